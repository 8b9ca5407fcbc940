"""Charts of three and more objectives: the front seen from three sides, and its hypervolume.

The hypervolume is estimated at points spread evenly over the box around all
trials (a Halton sequence, the same each time): each point counts from the first
trial on that is at least as good in every objective.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from optuna_nb.display import figures, plane, wording
from optuna_nb.display.scale import Scale, padded
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot, TrialView

_POINTS, _PROBES, _STEPS = 400, 1024, 80
_SIDES = 3
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)


def charts(snapshot: StudySnapshot) -> str:
    """Draw the sides and the growth; nothing before there are two trials."""
    trials = [trial for trial in snapshot.trials if _counts(trial, len(snapshot.directions))]
    if len(trials) < 2:  # noqa: PLR2004 - two trials span a box
        return ""
    front = figures.top(snapshot, 200)
    sides = [_side(snapshot, trials, front, i, j) for i, j in combinations(range(_SIDES), 2)]
    return f'<div class="onb-grid onb-pairs">{"".join(sides)}{_growth(snapshot, trials)}</div>'


def _counts(trial: TrialView, count: int) -> bool:
    complete = trial.outcome is TrialOutcome.COMPLETE and trial.feasible
    return complete and len(trial.values) == count and all(map(math.isfinite, trial.values))


def _side(snapshot: StudySnapshot, trials: list[TrialView], front: list[TrialView], i: int, j: int) -> str:
    x, y = [t.values[i] for t in trials], [t.values[j] for t in trials]
    drawing = plane.Plane(Scale(*padded(min(x), max(x))), Scale(*padded(min(y), max(y))), 400, 250)
    every = max(1, len(trials) // _POINTS)
    dots = drawing.dots([(t.values[i], t.values[j]) for t in trials[::every]])
    best = drawing.dots([(t.values[i], t.values[j]) for t in front], color=plane.ACCENT, size=6.5)
    arrows = ["↓" if d == "minimize" else "↑" for d in snapshot.directions]
    label = f"{wording.objective(snapshot, i)} {arrows[i]}"
    title = f"Pareto front: {wording.objective(snapshot, j)} {arrows[j]} by {label}"
    return drawing.draw(dots + best, title=title, x_label=label, said=f"{title}, {len(front)} trials")


def _growth(snapshot: StudySnapshot, trials: list[TrialView]) -> str:
    share = hypervolume(np.array([t.values for t in trials]), [d == "maximize" for d in snapshot.directions])
    every = max(1, len(trials) // _STEPS)
    rows = sorted({*range(0, len(trials), every), len(trials) - 1})
    series = [(float(trials[row].number), 100 * float(share[row])) for row in rows]
    drawing = plane.Plane(Scale(0, max(series[-1][0], 1)), Scale(0, 105), 400, 250)
    title = "Hypervolume, % of the box around all trials (estimated)"
    said = f"{title}: {series[-1][1]:.0f} after {len(trials)} trials"
    return drawing.draw(drawing.line(series, width=2), title=title, x_label="trial", said=said)


def hypervolume(values: np.ndarray, maximize: list[bool]) -> np.ndarray:
    """Estimate the share of the box around all trials that the first n of them beat.

    Args:
        values: One row a trial, one column an objective; all finite.
        maximize: For each objective whether more is better.

    Returns:
        One share a trial, from 0 to 1, never falling.
    """
    costs = np.where(maximize, -values, values)
    low, high = costs.min(axis=0), costs.max(axis=0)
    wide = high > low
    scaled = (costs[:, wide] - low[wide]) / (high - low)[wide]
    if not scaled.shape[1]:
        return np.zeros(len(values))
    probes = _halton(scaled.shape[1])
    first = np.full(len(probes), len(values))
    for row, cost in enumerate(scaled):
        open_ = np.flatnonzero(first == len(values))
        if not open_.size:
            break
        first[open_[(probes[open_] >= cost).all(axis=1)]] = row
    return np.searchsorted(np.sort(first), np.arange(len(values)), side="right") / len(probes)


def _halton(dimensions: int) -> np.ndarray:
    """Return points spread evenly over the unit box (Halton 1960), one row each."""
    points = np.empty((_PROBES, dimensions))
    for column in range(dimensions):
        base = _PRIMES[column % len(_PRIMES)]
        numbers, weight = np.arange(1, _PROBES + 1), 1.0
        points[:, column] = 0.0
        while numbers.any():
            weight /= base
            points[:, column] += weight * (numbers % base)
            numbers = numbers // base
    return points
