"""From a snapshot to what a chart shows: pure data, no drawing.

Each function reads a snapshot and returns a frozen series that is small enough
to draw, however many trials there are. ``svg`` draws them; a plotly figure or a
text chart could do so as well.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from optuna_nb.records import TrialOutcome, thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import StudySnapshot, TrialView

Point = tuple[int, float]  # trial number, value
_T = TypeVar("_T")

_MAX_POINTS = 480
_MAX_MARKS = 160
_MAX_FRONT = 64
_PLANE = 2  # objectives; in the plane, the last of a front beats all that any of it beats
_FEW = 8  # below this many values, quartiles say nothing
_FENCE = 3.0  # Tukey's outer fence, in interquartile ranges: what lies beyond is far out
_AT_MOST_BEYOND = 20  # one value in so many may lie beyond the scale


@dataclass(frozen=True, slots=True)
class History:
    """The values of one objective by trial, and the best so far."""

    label: str
    direction: str
    points: tuple[Point, ...]  # completed trials with a finite value, thinned
    best: tuple[Point, ...]  # the trials that improved on all before them
    pruned: tuple[int, ...]  # trial numbers, thinned
    failed: tuple[int, ...]
    last: int  # the highest trial number; -1 when there is none
    low: float  # of the values that deserve the room
    high: float
    infeasible: frozenset[int] = frozenset()  # which of these points break a constraint
    infinite: tuple[Point, ...] = ()  # completed trials without a finite value, thinned
    not_finite: int = 0  # how many there are

    @property
    def outliers(self) -> int:
        """Count the points beyond the scale; they are drawn at its edge."""
        return sum(not self.low <= value <= self.high for _, value in self.points)


def history(snapshot: StudySnapshot, objective: int = 0, *, label: str = "value") -> History:
    """Compute the history of one objective.

    Args:
        snapshot: The study; any number of trials, none included.
        objective: Index of the objective, as in ``snapshot.directions``.
        label: What the values are called.

    Returns:
        At most about 500 points. The best so far is exact: it is computed from
        all feasible trials, before any is left out. Takes O(trials).
    """
    direction = snapshot.directions[objective]
    sign = 1.0 if direction == "minimize" else -1.0
    points: list[Point] = []
    infinite: list[Point] = []
    best: list[Point] = []
    broken: set[int] = set()
    rest: dict[TrialOutcome, list[int]] = {TrialOutcome.PRUNED: [], TrialOutcome.FAILED: []}
    for trial in snapshot.trials:
        if trial.outcome is not TrialOutcome.COMPLETE:
            rest[trial.outcome].append(trial.number)
        elif objective < len(trial.values):
            value = trial.values[objective]
            if math.isnan(value):
                value = sign * math.inf
            (points if math.isfinite(value) else infinite).append((trial.number, value))
            if not trial.feasible:
                broken.add(trial.number)
            elif sign * value < (sign * best[-1][1] if best else math.inf):
                best.append((trial.number, value))
    low, high = _scale([value for _, value in points], sign)
    drawn = tuple(thinned(points, _MAX_POINTS))
    return History(
        label=label,
        direction=direction,
        points=drawn,
        best=tuple(_thin(best, _MAX_MARKS)),
        pruned=tuple(_thin(rest[TrialOutcome.PRUNED], _MAX_MARKS)),
        failed=tuple(_thin(rest[TrialOutcome.FAILED], _MAX_MARKS)),
        last=max((trial.number for trial in snapshot.trials), default=-1),
        low=low,
        high=high,
        infeasible=frozenset(number for number, _ in drawn if number in broken),
        infinite=tuple(_thin(infinite, _MAX_MARKS)),
        not_finite=len(infinite),
    )


def top(snapshot: StudySnapshot, count: int) -> list[TrialView]:
    """Rank the completed, feasible trials, best first.

    With several directions these are trials of the Pareto front: the ones that
    no other trial beats in one objective without losing in another, ordered by
    the first objective and evenly thinned to ``count``. Of more than two
    objectives, only the beginning of the front is looked for, as a whole one
    takes quadratic time.
    """
    if len(snapshot.directions) == 1:
        direction = snapshot.directions[0]
        done = (t for t in snapshot.trials if t.outcome is TrialOutcome.COMPLETE and t.feasible and t.values)
        return heapq.nsmallest(count, done, key=lambda t: (_cost(t.values[0], direction), t.number))
    ranked = [
        (tuple(_cost(v, d) for v, d in zip(t.values, snapshot.directions, strict=True)), t.number, t)
        for t in snapshot.trials
        if t.outcome is TrialOutcome.COMPLETE and t.feasible and len(t.values) == len(snapshot.directions)
    ]
    ranked.sort(key=lambda entry: entry[:2])
    front: list[tuple[tuple[float, ...], TrialView]] = []
    for costs, _, trial in ranked:  # sorted, so a trial can only be beaten by an earlier one
        rivals = front[-1:] if len(costs) == _PLANE else front
        if not any(all(a <= b for a, b in zip(other, costs, strict=True)) for other, _ in rivals):
            front.append((costs, trial))
        if len(costs) > _PLANE and len(front) == _MAX_FRONT:
            break
    return [trial for _, trial in _thin(front, count)]


def best_value(snapshot: StudySnapshot, objective: int) -> float | None:
    """Return the best value of one objective among all completed, feasible trials, or None."""
    if snapshot.best is not None:
        return snapshot.best.values[objective]
    direction = snapshot.directions[objective]
    costs = (
        _cost(trial.values[objective], direction)
        for trial in snapshot.trials
        if trial.outcome is TrialOutcome.COMPLETE and trial.feasible and objective < len(trial.values)
    )
    best = min(costs, default=None)
    return None if best is None else _cost(best, direction)


def _cost(value: float, direction: str) -> float:
    """Turn a value into one to be minimized; NaN ranks last."""
    if math.isnan(value):
        return math.inf
    return value if direction == "minimize" else -value


def _scale(values: list[float], sign: float) -> tuple[float, float]:
    """Choose the range to draw: all that is good, and the bad up to the outer fence.

    One log loss of 30 among many near 0.3 would press the rest into a line.
    """
    if not values:
        return 0.0, 1.0
    costs = sorted(sign * value for value in values)
    best, worst = costs[0], costs[-1]
    if len(costs) >= _FEW:
        lower, upper = costs[len(costs) // 4], costs[(3 * len(costs)) // 4]
        fence = max(upper + _FENCE * (upper - lower), costs[-1 - math.ceil(len(costs) / _AT_MOST_BEYOND)])
        if upper > lower:
            worst = max(cost for cost in costs if cost <= fence)
    low, high = sorted((sign * best, sign * worst))
    return low, high


def _thin(items: Sequence[_T], limit: int) -> Sequence[_T]:
    """Keep at most ``limit`` items, evenly, with the first and the last."""
    if len(items) <= limit or limit < 2:  # noqa: PLR2004 - a first and a last
        return items[:limit]
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]
