"""The tab *Learning curves*: what trials reported step by step, with the pruned ones marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna_nb.display import figures, plane, wording
from optuna_nb.display.scale import Scale, padded
from optuna_nb.display.tabs.choices import quiet
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
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
    leaders = {number for number in best if any(c.number == number for c in curves)}
    last = max(step for curve in curves for step, _ in curve.points)
    values = sorted(value for curve in curves for _, value in curve.points)
    cut = len(values) // 50  # the first steps are often far off
    if len(snapshot.directions) == 1 and snapshot.directions[0] == "maximize":
        scale = Scale(*padded(values[cut], values[-1]))
    else:
        scale = Scale(*padded(values[0], values[-1 - cut]))
    drawing = plane.Plane(Scale(0, max(last, 1)), scale, 826, 300)
    body = ""
    for curve in sorted(curves, key=lambda c: c.number in leaders):
        pruned = curve.outcome is TrialOutcome.PRUNED
        color = plane.ACCENT if curve.number in leaders else plane.BAD if pruned else plane.POINT
        width = 2.0 if curve.number in leaders else 1.1
        body += drawing.line(curve.points, color=color, width=width, dash="4 3" if pruned else "")
        if pruned:
            step, value = curve.points[-1]
            x, y = drawing.x(step), drawing.y(value)
            body += (
                f'<path d="M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m-7 0l7 -7" stroke="{plane.BAD}"'
                ' stroke-width="1.6"/>'
            )
    count = sum(c.outcome is TrialOutcome.PRUNED for c in curves)
    title = "Reported values"
    said = f"Reported values of {len(curves)} trials, {count} of them pruned"
    key = (
        f'<p class="onb-quiet">{len(curves)} trials: the best in colour, the newest in grey, '
        f"{count} pruned dashed and crossed where they ended.</p>"
    )
    return drawing.draw(body, title=title, x_label="step", said=said) + key + _table(curves, leaders)


def _finite(curve: Curve) -> Curve:
    points = tuple(point for point in curve.points if math.isfinite(point[1]))
    return curve if len(points) == len(curve.points) else type(curve)(curve.number, curve.outcome, points)


def _table(curves: list[Curve], leaders: set[int]) -> str:
    """Say in words what the lines show."""
    rows = "".join(
        f'<tr class="onb-s-{c.outcome}"><th scope="row">{c.number}</th>'
        f'<td class="onb-text">{wording.OUTCOME_SIGN[c.outcome]} {c.outcome}'
        f"{', among the best' if c.number in leaders else ''}</td>"
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
