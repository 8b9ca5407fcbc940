"""Which trials are better: feasible first, then by value; with several directions, the Pareto set."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence


def rank(trials: Sequence[FrozenTrial], directions: Sequence[str]) -> list[FrozenTrial]:
    """Sort complete trials, best first by the first direction; NaN last.

    Feasible ones come before the others, which are sorted by how far they break their constraints.
    """
    sign = -1.0 if directions[0] == "maximize" else 1.0

    def key(trial: FrozenTrial) -> tuple[bool, float, float, int]:
        value = (trial.values or [math.nan])[0]
        return math.isnan(value), violation(trial), 0.0 if math.isnan(value) else sign * value, trial.number

    return sorted((t for t in trials if t.state == TrialState.COMPLETE), key=key)


def violation(trial: FrozenTrial) -> float:
    """Sum up how far a trial breaks its constraints; 0 for a feasible one."""
    return sum(max(value, 0.0) for value in trial.constraints.values())


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a trial keeps all its constraints; one without any does."""
    return all(value <= 0.0 for value in trial.constraints.values())


def pareto_set(trials: Sequence[FrozenTrial], directions: Sequence[str]) -> list[FrozenTrial]:
    """Return the feasible trials that no other beats, the best compromise first.

    The order is that of the distance to the ideal point, which has the best value
    of each objective, with every objective scaled to 0..1 over the set. With one
    direction these are the best trial and its equals. Takes O(n * size of the set).
    """
    signs = np.array([-1.0 if direction == "maximize" else 1.0 for direction in directions])
    able = [t for t in trials if t.state == TrialState.COMPLETE and t.values and is_feasible(t)]
    able = [t for t in able if not any(map(math.isnan, t.values))]
    if not able:
        return []
    costs = signs * np.array([t.values for t in able], dtype=float)
    kept: list[int] = []
    for i in np.lexsort(costs.T[::-1]):  # a trial can only be beaten by one that comes earlier
        rivals = costs[kept]
        beaten = (rivals <= costs[i]).all(axis=1) & (rivals < costs[i]).any(axis=1)
        if not beaten.any():
            kept.append(int(i))
    front = costs[kept]
    distance = [math.hypot(*row) for row in _scaled(front)]
    order = sorted(range(len(kept)), key=lambda k: (distance[k], able[kept[k]].number))
    return [able[kept[k]] for k in order]


def _scaled(costs: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Scale each column to 0..1; infinities are the ends of the scale."""
    finite = np.where(np.isfinite(costs), costs, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without a finite number
        low, high = np.nan_to_num(np.nanmin(finite, axis=0)), np.nan_to_num(np.nanmax(finite, axis=0))
    span = np.where(high > low, high - low, 1.0)
    scaled: np.ndarray[Any, np.dtype[np.float64]] = (np.clip(costs, low, high) - low) / span
    return np.where(np.isposinf(costs), 1.0, np.where(np.isneginf(costs), 0.0, scaled))
