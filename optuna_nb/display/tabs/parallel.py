"""Parallel coordinates: each trial a line through the parameters that matter most, to its value.

An axis has a place below its scale for the trials that lack its parameter: where
parameters depend on each other, the best trial seldom has all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display import labels, plane, wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.display.scale import Scale
    from optuna_nb.display.tabs.subject import Subject
    from optuna_nb.records import TrialView

_LINES, _AXES = 90, 7
_WIDTH, _TOP, _BASE = 826, 40, 240
_LEFT, _RIGHT = 60, 90
_MISSING = 16  # how far below its axis what lacks the parameter passes
_LETTER = 7.0


def draw(subject: Subject) -> str:
    """Draw the best trials in colour, and others evenly."""
    names = list(subject.order[:_AXES])
    others, best = _picked(subject)
    picked = [*others, *best]
    scales = [*(subject.scale(name, picked) for name in names), subject.value_scale()]
    lacking = [any(name not in trial.params for trial in picked) for name in names]
    axes = "".join(
        _axis(index, len(scales), name, scale, has_gap=has_gap)
        for index, (name, scale, has_gap) in enumerate(
            zip([*names, subject.label], scales, [*lacking, False], strict=True)
        )
    )

    def lines(trials: Sequence[TrialView], look: str) -> str:
        path = "".join(_line(subject, trial, names, scales) for trial in trials)
        return f'<path d="{path}" fill="none" {look}/>' if path else ""

    broken = [trial for trial in others if not trial.feasible]
    first = [trial for trial in best if subject.best is not None and trial.number == subject.best.number]
    drawn = (
        lines([t for t in others if t.feasible], f'stroke="{plane.POINT}" opacity=".28"')
        + lines(broken, f'stroke="{plane.POINT}" opacity=".4" stroke-dasharray="2 4"')
        + lines(best, f'stroke="{plane.ACCENT}" stroke-width="1.4" opacity=".7"')
        + lines(first, f'stroke="{plane.ACCENT}" stroke-width="3"')
    )
    said = f"Parallel coordinates of {len(picked)} trials over {', '.join(names)}"
    heading = f"<h4>Parallel coordinates <span>{_legend(best, first, broken, lacking)}</span></h4>"
    height = _BASE + (38 if any(lacking) else 14)
    return heading + plane.chart(drawn + axes, _WIDTH, height, said=wording.clip(said, 300), key="parallel")


def _picked(subject: Subject) -> tuple[list[TrialView], list[TrialView]]:
    """Choose some trials evenly, and the best of those that keep their constraints."""
    kept, _ = subject.having()
    best = kept[-max(3, min(12, len(kept) // 10)) :]
    if subject.best is not None and subject.best.number not in {t.number for t in best}:
        best = [*best[1:], subject.best]  # its value is not finite
    chosen = {trial.number for trial in best}
    rest = [trial for trial in subject.trials if trial.number not in chosen]
    return rest[:: max(1, len(rest) // _LINES)], best


def _legend(
    best: Sequence[TrialView],
    first: Sequence[TrialView],
    broken: Sequence[TrialView],
    lacking: Sequence[bool],
) -> str:
    count = f"the {len(best)} best trials" if len(best) > 1 else "the best trial"
    parts = [f"{count} in colour" if best else "no trial keeps its constraints"]
    if first and len(best) > 1:
        parts.append(f"trial {first[0].number} the thick line")
    if broken:
        parts.append("infeasible ones dotted")
    if any(lacking):
        parts.append(f"{wording.NOTHING} where a trial has no such parameter")
    return ", ".join(parts)


def _x(index: int, count: int) -> float:
    return _LEFT + index * (_WIDTH - _LEFT - _RIGHT) / (count - 1)


def _y(place: float) -> float:
    return _BASE - (_BASE - _TOP) * place


def _axis(index: int, count: int, name: str, scale: Scale, *, has_gap: bool) -> str:
    x = _x(index, count)
    limit = min(max(int((_x(1, count) - _x(0, count) - 8) / _LETTER), 6), 16)
    halo = f'fill="{plane.TEXT}" stroke="var(--onb-paper,white)" stroke-width="3" paint-order="stroke"'
    texts = "".join(
        f'<text x="{x + 5:.0f}" y="{_y(place) + 3.8:.1f}" {halo}>{labels.svg(text, limit)}</text> '
        for place, text in scale.ticks(4)
    )
    if has_gap:
        y = _BASE + _MISSING + 13
        texts += f'<text x="{x:.0f}" y="{y}" text-anchor="middle" {halo}>{wording.NOTHING}</text> '
    return (
        f'<path d="M{x:.0f} {_TOP}V{_BASE}" stroke="{plane.POINT}"/>{texts}'
        f'<text x="{x:.0f}" y="{_TOP - 9}" text-anchor="middle">{labels.svg(name, limit)}</text> '
    )


def _line(subject: Subject, trial: TrialView, names: Sequence[str], scales: Sequence[Scale]) -> str:
    places = [
        _y(scale.place(trial.params[name])) if name in trial.params else _BASE + _MISSING
        for name, scale in zip(names, scales[:-1], strict=True)
    ]
    places.append(_y(scales[-1].place(subject.value(trial))))
    return "M" + "L".join(f"{_x(index, len(scales)):.0f} {y:.1f}" for index, y in enumerate(places))
