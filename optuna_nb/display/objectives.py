"""Charts of several objectives: the Pareto front, and how the hypervolume grows."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

from optuna_nb.display import figures, many_objectives, plane, wording
from optuna_nb.display.scale import Scale, padded
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot

_POINTS, _STEPS = 400, 80
_PLANE = 2


def charts(snapshot: StudySnapshot) -> str:
    """Draw front and hypervolume; of three and more objectives each pair of the first three."""
    if len(snapshot.directions) < _PLANE:
        return ""
    if len(snapshot.directions) > _PLANE:
        return many_objectives.charts(snapshot)
    points = _points(snapshot)
    if len(points) < _PLANE:
        return ""
    front = [(t.values[0], t.values[1]) for t in figures.top(snapshot, 200)]
    return (
        f'<div class="onb-grid onb-pairs">{_front(snapshot, points, front)}{_growth(snapshot, points)}</div>'
    )


def _points(snapshot: StudySnapshot) -> list[tuple[int, float, float]]:
    return [
        (trial.number, trial.values[0], trial.values[1])
        for trial in snapshot.trials
        if trial.outcome is TrialOutcome.COMPLETE
        and trial.feasible
        and len(trial.values) == _PLANE
        and all(map(math.isfinite, trial.values))
    ]


def _front(
    snapshot: StudySnapshot, points: list[tuple[int, float, float]], front: list[tuple[float, float]]
) -> str:
    every = max(1, len(points) // _POINTS)
    x, y = [p[1] for p in points], [p[2] for p in points]
    drawing = plane.Plane(Scale(*padded(min(x), max(x))), Scale(*padded(min(y), max(y))), 400, 250)
    rest = drawing.dots([(a, b) for _, a, b in points[::every]])
    best = drawing.line(front, width=1.2) + drawing.dots(front, color=plane.ACCENT, size=6.5)
    down, right = (("↓" if d == "minimize" else "↑") for d in reversed(snapshot.directions))
    label = f"{wording.objective(snapshot, 0)} {right}"
    title = f"Pareto front: {wording.objective(snapshot, 1)} {down} by {label}"
    return drawing.draw(rest + best, title=title, x_label=label, said=f"{title}, {len(front)} trials")


def _growth(snapshot: StudySnapshot, points: list[tuple[int, float, float]]) -> str:
    """Draw the area that the front beats, as a share of what it would beat at the best of both."""
    signs = [1.0 if d == "minimize" else -1.0 for d in snapshot.directions]
    costs = [(number, signs[0] * a, signs[1] * b) for number, a, b in points]
    worst = max(c[1] for c in costs), max(c[2] for c in costs)
    ideal = min(c[1] for c in costs), min(c[2] for c in costs)
    whole = (worst[0] - ideal[0]) * (worst[1] - ideal[1])
    if not whole > 0 or not math.isfinite(whole):
        return ""
    front: list[tuple[float, float]] = []  # by the first cost; the second one falls
    series: list[tuple[float, float]] = []
    every = max(1, len(costs) // _STEPS)
    for index, (number, a, b) in enumerate(costs):
        _insert(front, a, b)
        if index % every == 0 or index == len(costs) - 1:
            series.append((number, 100 * _area(front, worst) / whole))
    drawing = plane.Plane(Scale(0, max(series[-1][0], 1)), Scale(0, 105), 400, 250)
    title = "Hypervolume, % of the box around all trials"
    said = f"{title}: {series[-1][1]:.0f} after {len(points)} trials"
    return drawing.draw(drawing.line(series, width=2), title=title, x_label="trial", said=said)


def _insert(front: list[tuple[float, float]], a: float, b: float) -> None:
    at = bisect.bisect_left(front, (a, b))
    if at > 0 and front[at - 1][1] <= b:
        return
    end = at
    while end < len(front) and front[end][1] >= b:
        end += 1
    front[at:end] = [(a, b)]


def _area(front: list[tuple[float, float]], worst: tuple[float, float]) -> float:
    area, ceiling = 0.0, worst[1]
    for a, b in front:
        area += (worst[0] - a) * (ceiling - b)
        ceiling = b
    return area
