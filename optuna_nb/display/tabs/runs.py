"""The tab *Runs*: what happened when, what resumed what, and what changed between versions."""

from __future__ import annotations

import difflib
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import wording
from optuna_nb.display.tabs.choices import quiet, select, tools
from optuna_nb.display.timeline import STATUS_SIGN, in_words, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import RunEvents, RunView, StudySnapshot, VersionView

_MOST, _LINES = 50, 600
_JOINED = "worker joined"
_COLUMNS = (
    *("run", "version", "state", "notes", "begin", "took"),
    *("trials", "best", "resumes", "events", "flags"),
)
_TEXTS = {"version", "state", "notes", "begin", "events", "flags"}


def render(snapshot: StudySnapshot, source: Source, choices: Choices) -> str:
    """Draw and list runs, and compare two versions where there are several."""
    events = {index: _without_threads(found) for index, found in source.events().items()}
    runs = [_as_it_ended(run, events.get(run.index)) for run in source.runs()]
    if not runs:
        return quiet("No run is recorded: plain Optuna made this study")
    drawn = timeline(runs, events, active=snapshot.state.is_active, now=datetime.now(UTC))
    return drawn + _runs(runs, events) + _versions(source.versions(), choices)


def _as_it_ended(run: RunView, events: RunEvents | None) -> RunView:
    """Tell a run that was stopped from one that did all it was to do: the record's status is one for both."""
    stopped = run.status == "completed" and events is not None and "stopped" in events.counts
    return replace(run, status="stopped") if stopped else run


def _without_threads(found: RunEvents) -> RunEvents:
    """Leave out that a thread of the kernel began to work, which every run without a cluster does."""
    kept = [event for event in found.events if event.kind != _JOINED or not _is_thread(event.worker)]
    counts = dict(found.counts)
    if left_out := len(found.events) - len(kept):
        counts[_JOINED] = counts.get(_JOINED, 0) - left_out
    return replace(found, counts={kind: n for kind, n in counts.items() if n > 0}, events=kept)


def _is_thread(worker: str) -> bool:
    return worker in {"", "kernel"} or worker.startswith("job ")


def _runs(runs: list[RunView], events: Mapping[int, RunEvents]) -> str:
    before = {run.index: run for run in runs}
    rows = "".join(
        _run(run, before.get(run.parent or 0), events.get(run.index)) for run in reversed(runs[-_MOST:])
    )
    heads = "".join(f'<th scope="col"{_left(name in _TEXTS)}>{name}</th>' for name in _COLUMNS)
    return (
        '<div class="onb-scroll onb-tall" data-onb-key="runs" tabindex="0" role="region"'
        f' aria-label="Tuning runs"><table class="onb-table"><caption>{len(runs)} tuning '
        f"run{'s' if len(runs) > 1 else ''}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _run(run: RunView, parent: RunView | None, events: RunEvents | None) -> str:
    took = (run.completed - run.started).total_seconds() if run.completed and run.started else None
    if events is not None and "killed" in events.counts:  # which was noticed long after, perhaps
        took = run.seconds
    sign = STATUS_SIGN.get(run.status, "")
    changed = _changes(parent.flags, run.flags) + _changes(parent.versions, run.versions) if parent else []
    flags = ("; ".join(changed) or "as before") if parent else _first(run.flags)
    tags = " ".join(f"#{tag}" for tag in run.tags)
    note = "; ".join(part for part in (run.error, run.notes, tags) if part)
    resumed = wording.NOTHING if run.parent is None else str(run.parent)
    return (
        f'<tr class="onb-s-{"failed" if run.status == "failed" else "complete"}">'
        f'<th scope="row">{run.index}</th>'
        f'<td class="onb-text">{escape(wording.clip_middle(run.study, 40))}</td>'
        f'<td class="onb-text">{sign} {escape(run.status)}</td>'
        f"{_said(note, 160)}"
        f'<td class="onb-text">{_time(run.started)}</td><td>{wording.duration(took)}</td>'
        f"<td>{wording.NOTHING if run.trials is None else run.trials}</td>"
        f"<td>{wording.number(run.best) if isinstance(run.best, float) else wording.NOTHING}</td>"
        f"<td>{resumed}</td>{_said(in_words(events), 120)}{_said(flags, 120)}</tr>"
    )


def _said(text: str, limit: int) -> str:
    """Make a cell of words, which takes as many lines as it needs."""
    words = escape(wording.clip(text, limit)) or wording.NOTHING
    return f'<td class="onb-text onb-words">{words}</td>'


def _time(when: datetime | None) -> str:
    return wording.NOTHING if when is None else f"{when.astimezone():%d %b %Y, %H:%M:%S}"


def _first(flags: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {flags[key]}" for key in ("trials", "sampler", "pruner") if flags.get(key))


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return [
        f"{key} {_word(old.get(key))} → {_word(new.get(key))}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def _word(value: object) -> str:
    return wording.NOTHING if value is None else wording.parameter(value, 30)


def _versions(versions: list[VersionView], choices: Choices) -> str:
    if len(versions) < 2:  # noqa: PLR2004 - nothing to compare
        return ""
    names = [version.name for version in versions]
    newer = versions[names.index(choices.one_of("newer", names, names[-1]))]
    parent = newer.parent if newer.parent in names else names[max(names.index(newer.name) - 1, 0)]
    older = versions[names.index(choices.one_of("older", names, str(parent)))]
    options = [(name, name) for name in names]
    controls = tools(
        choices, select("older", "From", options, older.name), select("newer", "to", options, newer.name)
    )
    parts = [f"{part} changed" for part in _parts(older.fingerprint, newer.fingerprint)]
    what = ", ".join(parts) or "nothing that counts changed"
    return (
        f"<h4>Versions <span>{escape(wording.clip(what, 200))}</span></h4>{controls}"
        '<pre class="onb-code" data-onb-key="diff" tabindex="0" role="region"'
        ' aria-label="Change of the code">'
        f"{diff(older.code, newer.code, older.name, newer.name)}</pre>"
    )


def _parts(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [part for part in dict.fromkeys([*old, *new]) if old.get(part) != new.get(part)]


def diff(old: str, new: str, old_name: str, new_name: str) -> str:
    """Show what changed in code: lines with + and -, in colour as well."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    shown = []
    for line in list(lines)[:_LINES]:
        tag = {"+": "ins", "-": "del", "@": "i"}.get(line[:1])
        text = escape(line)
        shown.append(f"<{tag}>{text}</{tag}>" if tag else text)
    return "\n".join(shown) or "<i>the code is the same</i>"


def _left(text: bool) -> str:  # noqa: FBT001 - the only argument
    return ' class="onb-text"' if text else ""
