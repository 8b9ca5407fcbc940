"""Draws what happened in the runs of a study: a bar for each run, a mark for each event.

Every kind has a shape of its own, the user's kinds a letter, and the legend
names and counts them all; the text that shows up under the pointer says when,
and in which trial. Marks that would lie upon each other become one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import plane, wording
from optuna_nb.display.time_axis import TimeAxis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.records import EventView, RunEvents, RunView

MOST_RUNS = 30
STATUS_SIGN = {"running": "●", "completed": "✓", "stopped": "■", "failed": "✕"}
_PRUNED = "pruned"
_FILLED, _DRAWN = f'fill="{plane.ACCENT}"', f'fill="none" stroke="{plane.ACCENT}" stroke-width="1.8"'
_DARK = 'fill="none" stroke="currentColor" stroke-width="2"'
_SHAPES = {  # of the kinds that are ours: path, how it is painted, and whether it stands on the bar
    "started": ("M-3 -5.5v11l7 -5.5z", _FILLED, True),
    "paused": ("M-2.2 -5v10M2.2 -5v10", _DARK, True),
    "resumed": ("M-3 -5v10l6.5 -5z", _DRAWN, True),
    "stopped": ("M-4 -4h8v8h-8z", 'fill="currentColor"', True),
    "killed": ("M-4 -4l8 8m-8 0l8 -8", f'fill="none" stroke="{plane.BAD}" stroke-width="2.4"', True),
    "retried": ("M3.4 -2.2a4 4 0 1 0 .6 2.9M4.2 -5.2v3.4h-3.4", _DRAWN, False),
    "worker joined": ("M-4 0h8M0 -4v8", _DRAWN, False),
    "worker lost": ("M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0M-2.4 0h4.8", _DRAWN, False),
    _PRUNED: ("M0 -3v6", f'fill="none" stroke="{plane.TEXT}"', False),
}
_OWN = "M0 -6.5l6.5 6.5l-6.5 6.5l-6.5 -6.5z"
_OWN_PAINT = f'fill="var(--onb-paper,white)" stroke="{plane.ACCENT}"'
_LETTERS = "ABCDEFGHIJKL"
_LEFT, _RIGHT, _TOP, _ROW, _WIDTH = 122, 26, 8, 36, 826
_NEAR, _ASIDE, _LINES = 9.0, 28.0, 6
_FEW_TICKS = 40
_LETTER = 7.0  # width of one, in a broad font


@dataclass(slots=True)
class _Mark:
    """A mark, and what is said under the pointer."""

    x: float
    kind: str
    said: list[str] = field(default_factory=list)


def timeline(
    runs: Sequence[RunView], events: Mapping[int, RunEvents], *, active: bool, now: datetime | None = None
) -> str:
    """Draw the newest runs as rows over time.

    Args:
        runs: All runs, oldest first.
        events: What happened, by the index of the run.
        active: Whether a run that has no end goes on at this moment.
        now: This moment.

    Returns:
        A heading, one ``<svg>`` element and a line of words; a line alone where no run has a begin.
    """
    shown = [run for run in runs if run.started is not None][-MOST_RUNS:]
    if not shown:
        return '<p class="onb-chart onb-quiet">No timeline: no run has recorded when it began</p>'
    ends = {run.index: _end(run, events.get(run.index), now if active else None) for run in shown}
    seen = [(_seconds(run.started), _seconds(ends[run.index])) for run in shown]
    late = [_seconds(e.time) for run in shown for e in _of(events, run) if e.time > ends[run.index]]
    axis = TimeAxis([*seen, *((moment, moment) for moment in late)], _LEFT + 6, _WIDTH - _RIGHT)
    own = [kind for kind in _totals(shown, events) if kind not in _SHAPES]
    letters = {kind: _LETTERS[i] if i < len(_LETTERS) else "…" for i, kind in enumerate(own)}
    base = _TOP + _ROW * len(shown)
    body = _frame(axis, base)
    for position, run in enumerate(reversed(shown)):
        y = _TOP + _ROW * position + 20
        body += _row(run, _of(events, run), ends[run.index], axis, y=y, letters=letters)
    legend, height = _legend(_totals(shown, events), letters, base + 42)
    said = f"Timeline of {_many(len(shown), 'tuning run')} with {_many(_count(shown, events), 'event')}"
    return (
        f"<h4>Timeline <span>{escape(_which(runs, shown))}</span></h4>"
        f"{plane.chart(body + legend, _WIDTH, height, said=said, key='timeline')}"
        f'<p class="onb-quiet">{_words(shown, events, cut=bool(axis.cuts()))}</p>'
    )


def in_words(found: RunEvents | None) -> str:
    """Count what happened in one run: "1 paused, 37 pruned"; plain text."""
    if found is None:
        return wording.NOTHING
    parts = [
        f"{n:,} {wording.clip(kind, 24)}"
        for kind, n in found.counts.items()
        if kind not in {"started", "worker joined"}
    ]
    return ", ".join(parts) or wording.NOTHING


def _of(events: Mapping[int, RunEvents], run: RunView) -> Sequence[EventView]:
    return events[run.index].events if run.index in events else ()


def _end(run: RunView, found: RunEvents | None, now: datetime | None) -> datetime:
    """Say when a run ended; of one whose kernel died only what was last heard of it is known."""
    assert run.started is not None  # noqa: S101 - the caller leaves such runs out
    events = found.events if found else ()
    heard = max([run.started, *(e.time for e in events if e.kind != "killed")])
    if run.status == "running":
        return max(now, heard) if now else heard
    if any(e.kind == "killed" for e in events):
        return max(heard, datetime.fromtimestamp(_seconds(run.started) + (run.seconds or 0.0), UTC))
    return run.completed or heard


def _seconds(when: datetime | None) -> float:
    return 0.0 if when is None else when.timestamp()


def _totals(runs: Sequence[RunView], events: Mapping[int, RunEvents]) -> dict[str, int]:
    totals: dict[str, int] = dict.fromkeys(_SHAPES, 0)
    for run in runs:
        for kind, count in events[run.index].counts.items() if run.index in events else ():
            totals[kind] = totals.get(kind, 0) + count
    return {kind: count for kind, count in totals.items() if count}


def _count(runs: Sequence[RunView], events: Mapping[int, RunEvents]) -> int:
    return sum(_totals(runs, events).values())


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _which(runs: Sequence[RunView], shown: Sequence[RunView]) -> str:
    if len(shown) < len(runs):
        return f"the newest {len(shown)} of {len(runs)} runs, newest first"
    return "newest run first" if len(shown) > 1 else ""


def _words(shown: Sequence[RunView], events: Mapping[int, RunEvents], *, cut: bool) -> str:
    total, kept = _count(shown, events), sum(len(_of(events, run)) for run in shown)
    parts = [] if total else ["No event of these runs is recorded."]
    if kept < total:
        parts.append(f"Thinned: {kept:,} of {total:,} events are drawn, all are counted.")
    if cut:
        parts.append("Time in which nothing ran is cut out.")
    return " ".join([*parts, "A mark says more under the pointer." if total else ""]).strip()


def _frame(axis: TimeAxis, base: float) -> str:
    parts = []
    for x, seconds in axis.cuts():
        parts.append(
            f"<g><title>{wording.duration(seconds)} without a run</title>"
            f'<path d="M{x - 4:.1f} {_TOP}V{base}h8V{_TOP}z" fill-opacity="0"/>'
            f'<path d="M{x:.1f} {_TOP}V{base}" stroke="{plane.POINT}" stroke-dasharray="1 4"/>'
            f'<path d="M{x - 5:.1f} {base + 3}l4 -6m2 6l4 -6" stroke="{plane.TEXT}"/></g>'
        )
    first = datetime.fromtimestamp(axis.stretches[0][0], UTC).astimezone()
    offset = first.utcoffset()
    day, free = None, 0.0
    for x, moment in axis.ticks(offset.total_seconds() if offset else 0.0):
        when = datetime.fromtimestamp(moment, UTC).astimezone()
        text = f"{when:%H:%M:%S}" if when.date() == day else f"{when.day} {when:%b %H:%M:%S}"
        width = _LETTER * len(text)
        at = min(x, _WIDTH - width)
        if at < free:
            continue
        day, free = when.date(), at + width + 4
        parts.append(
            f'<path d="M{x:.1f} {_TOP}V{base + 4}" stroke="{plane.GRID}"/>'
            f'<text x="{at:.1f}" y="{base + 16}" fill="{plane.TEXT}">{text}</text> '
        )
    return "".join(parts)


def _row(
    run: RunView,
    events: Sequence[EventView],
    end: datetime,
    axis: TimeAxis,
    *,
    y: float,
    letters: Mapping[str, str],
) -> str:
    left, right = axis.x(_seconds(run.started)), axis.x(_seconds(end))
    color = plane.BAD if run.status == "failed" else plane.ACCENT
    took = wording.duration(max(_seconds(end) - _seconds(run.started), 0.0))
    begin = f"{run.started.astimezone():%d %b %Y, %H:%M:%S}" if run.started else ""
    said = f"run {run.index} of {wording.clip_middle(run.study, 60)}, {run.status}: began {begin}, {took}"
    said += f", {wording.clip(run.error, 120)}" if run.error else ""
    going = ' stroke-dasharray="3 2"' if run.status == "running" else ""
    name = f"{STATUS_SIGN.get(run.status, '')} {escape(wording.clip(run.status, 12))}"
    label = f'<text x="2" y="{y + 4}">run {run.index} <tspan fill="{plane.TEXT}">{name}</tspan></text> '
    bar = (
        f'<g><title>{escape(said)}</title><rect x="{left:.1f}" y="{y - 4.5}" height="9" rx="2" fill="{color}"'
        f' width="{max(right - left, 1.5):.1f}" fill-opacity=".22" stroke="{color}"{going}/></g>'
    )
    parts = [label, bar]
    gone = [axis.x(_seconds(e.time)) for e in events if e.time > end]
    if gone:
        parts.append(
            f'<path d="M{right:.1f} {y}H{max(gone):.1f}" stroke="{plane.TEXT}" stroke-dasharray="2 3"/>'
        )
    parts.append(_ticks([e for e in events if e.kind == _PRUNED], axis, y + 10))
    others = [e for e in events if e.kind != _PRUNED]
    on_bar = [e for e in others if e.kind in _SHAPES and _SHAPES[e.kind][2]]
    above = [e for e in others if e.kind not in _SHAPES or not _SHAPES[e.kind][2]]
    for lane, found in ((y, on_bar), (y - 12.5, above)):
        parts += [_mark(mark, lane, letters) for mark in _placed(found, axis)]
    return "".join(parts)


def _placed(events: Sequence[EventView], axis: TimeAxis) -> list[_Mark]:
    """Give each event a place; what would lie upon another stands beside it, or joins it."""
    marks: list[_Mark] = []
    for event in events:
        x = axis.x(_seconds(event.time))
        last = marks[-1] if marks else None
        if last is not None and x - last.x < _NEAR:
            if last.kind == event.kind or last.x + _NEAR - x > _ASIDE:
                last.said.append(_say(event))
                continue
            x = last.x + _NEAR
        marks.append(_Mark(x, event.kind, [_say(event)]))
    return marks


def _say(event: EventView) -> str:
    """Put one event into words: plain text."""
    payload = dict(event.payload)
    trial = payload.pop("trial", None)
    parts = [f"{event.kind} at {event.time.astimezone():%H:%M:%S}"]
    parts += [] if trial is None else [f"trial {wording.parameter(trial, 12)}"]
    parts += [event.worker] if event.worker not in {"", "kernel"} else []
    parts += [
        f"{key} {wording.parameter(value, 40)}"
        for key, value in list(payload.items())[:12]
        if value is not None
    ]
    return wording.clip(", ".join(parts), 200)


def _mark(mark: _Mark, y: float, letters: Mapping[str, str]) -> str:
    lines = mark.said[:_LINES]
    if len(mark.said) > _LINES:
        lines.append(f"and {len(mark.said) - _LINES} more")
    said = escape("\n".join(lines))
    return (
        f'<g transform="translate({mark.x:.1f} {y:.1f})"><title>{said}</title>'
        f'<path d="M-5 -6h10v12h-10z" fill-opacity="0"/>{_shape(mark.kind, letters)}</g>'
    )


def _shape(kind: str, letters: Mapping[str, str]) -> str:
    if kind in _SHAPES:
        path, paint, _ = _SHAPES[kind]
        return f'<path d="{path}" {paint}/>'
    return (
        f'<path d="{_OWN}" {_OWN_PAINT}/><text y="2.8" font-size="8" text-anchor="middle">'
        f"{letters.get(kind, '…')}</text> "
    )


def _ticks(events: Sequence[EventView], axis: TimeAxis, y: float) -> str:
    """Draw pruned trials below the bar; many of them are one path."""
    places = [(axis.x(_seconds(e.time)), e) for e in events]
    if len(events) > _FEW_TICKS:
        rounded = dict.fromkeys(round(x) for x, _ in places)
        path = "".join(f"M{x} {y - 3}v6" for x in rounded)
        return f'<g><title>pruned trials</title><path d="{path}" stroke="{plane.TEXT}"/></g>'
    return "".join(
        f'<g><title>{escape(_say(e))}</title><path d="M{x:.1f} {y - 3}v6" stroke="{plane.TEXT}"'
        ' stroke-width="1.3"/></g>'
        for x, e in places
    )


def _legend(totals: Mapping[str, int], letters: Mapping[str, str], y: float) -> tuple[str, float]:
    """Name and count every kind that occurs; return it with the height of the drawing."""
    x, parts = 10.0, []
    for kind, count in totals.items():
        text = f"{wording.clip(kind, 24)} {count:,}"
        width = 30 + _LETTER * len(text)
        if x + width > _WIDTH and x > 10:  # noqa: PLR2004 - not the first of its line
            x, y = 10.0, y + 19
        parts.append(
            f'<g transform="translate({x:.0f} {y:.0f})">{_shape(kind, letters)}'
            f'<text x="11" y="3.8" fill="{plane.TEXT}">{escape(text)}</text> </g>'
        )
        x += width
    return "".join(parts), (y + 12 if totals else y - 20)
