"""The tab *Learning curves*: what trials reported step by step, with the pruned ones marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna_nb.display import figures, marks, plane, wording
from optuna_nb.display.scale import Scale, padded
from optuna_nb.display.tabs.choices import quiet
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import Curve, StudySnapshot

_NEWEST, _BEST = 18, 6


def render(snapshot: StudySnapshot, source: Source, _choices: Choices) -> str:
    """Draw the curves of the best trials and of the newest ones."""
    newest = source.numbers_with_steps(4 * _NEWEST)[:_NEWEST]
    best = [trial.number for trial in figures.top(snapshot, _BEST)]
    found = [_finite(curve) for curve in source.curves(list(dict.fromkeys([*newest, *best])))]
    curves = [curve for curve in found if curve.points]
    if not curves:
        return quiet("No trial has reported a step: trial.report(value, step) draws its curve here")
    leaders = {curve.number for curve in curves if curve.number in best}
    first = snapshot.best.number if snapshot.best is not None else None
    drawing = plane.Plane(_step_scale(curves), _value_scale(snapshot, curves), 826, 300)
    body = "".join(
        _curve(drawing, curve, leads=curve.number in leaders, is_best=curve.number == first)
        for curve in sorted(curves, key=lambda c: (c.number == first, c.number in leaders))
    )
    pruned = sum(c.outcome is TrialOutcome.PRUNED for c in curves)
    said = f"Reported values of {len(curves)} trials, {pruned} of them pruned"
    chart = drawing.draw(body, title="Reported values", x_label="step", said=said)
    return f'{chart}<p class="onb-quiet">{_key(snapshot, curves, leaders, first, drawing)}</p>' + _table(
        curves, leaders, first
    )


def _step_scale(curves: Sequence[Curve]) -> Scale:
    steps = [step for curve in curves for step, _ in curve.points]
    low, high = min(steps), max(steps)
    return Scale(low, high, whole=True) if high > low else Scale(low - 0.5, high + 0.5, whole=True)


def _value_scale(snapshot: StudySnapshot, curves: Sequence[Curve]) -> Scale:
    values = sorted(value for curve in curves for _, value in curve.points)
    cut = len(values) // 50  # the first steps are often far off
    if len(snapshot.directions) == 1 and snapshot.directions[0] == "maximize":
        return Scale(*padded(values[cut], values[-1]))
    return Scale(*padded(values[0], values[-1 - cut]))


def _curve(drawing: plane.Plane, curve: Curve, *, leads: bool, is_best: bool) -> str:
    """Draw one line, with a cross where a pruned trial ended and a ring where the best one did."""
    is_pruned = curve.outcome is TrialOutcome.PRUNED
    color = plane.ACCENT if leads else plane.BAD if is_pruned else plane.POINT
    width = 3.0 if is_best else 1.5 if leads else 1.1
    step, value = curve.points[-1]
    if is_pruned:
        path = marks.cross(drawing.x(step), drawing.y(value))
        end = f'<path d="{path}" stroke="{plane.BAD}" stroke-width="1.6"/>'
    elif is_best:
        end = drawing.ring(curve.points[-1], curve.number, value)
    else:  # a line of one point would not be seen
        end = drawing.dots(curve.points, color=color) if len(curve.points) == 1 else ""
    return drawing.line(curve.points, color=color, width=width, dash="4 3" if is_pruned else "") + end


def _key(
    snapshot: StudySnapshot,
    curves: Sequence[Curve],
    leaders: set[int],
    first: int | None,
    drawing: plane.Plane,
) -> str:
    """Say which trials the lines are of, and which have none."""
    pruned = sum(c.outcome is TrialOutcome.PRUNED for c in curves)
    parts = []
    if leaders:
        parts.append(f"the {len(leaders)} best in colour" if len(leaders) > 1 else "the best in colour")
    if first in leaders:
        parts.append(f"trial {first} the thick line with a ring")
    if len(curves) > len(leaders):
        parts.append("the newest in grey")
    if pruned:
        parts.append(f"{pruned} pruned dashed and crossed where they ended")
    if any(drawing.y_scale.side(value) for curve in curves for _, value in curve.points):
        parts.append("values beyond the scale along its edge")
    has_rest = snapshot.done > len(curves)
    total = f"{len(curves)} of {snapshot.done} trials" if has_rest else f"{snapshot.done} trials"
    total = "1 trial" if snapshot.done == 1 else total
    rest = " The others are older, or have reported no step." if has_rest else ""
    return f"{total}: {', '.join(parts)}.{rest}"


def _finite(curve: Curve) -> Curve:
    points = tuple(point for point in curve.points if math.isfinite(point[1]))
    return curve if len(points) == len(curve.points) else type(curve)(curve.number, curve.outcome, points)


def _table(curves: list[Curve], leaders: set[int], first: int | None) -> str:
    """Say in words what the lines show."""
    rows = "".join(
        f'<tr class="onb-s-{c.outcome}"><th scope="row">{c.number}</th>'
        f'<td class="onb-text">{wording.OUTCOME_SIGN[c.outcome]} {c.outcome}'
        f"{', the best' if c.number == first else ', among the best' if c.number in leaders else ''}</td>"
        f"<td>{c.points[-1][0]}</td><td>{wording.number(c.points[-1][1])}</td></tr>"
        for c in sorted(curves, key=lambda c: -c.number)[:8]
    )
    heads = (
        '<th scope="col">trial</th><th scope="col" class="onb-text">state</th>'
        '<th scope="col">last step</th><th scope="col">last value</th>'
    )
    return (
        '<div class="onb-scroll" data-onb-key="curves" tabindex="0" role="region" aria-label="Last reports">'
        f'<table class="onb-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
