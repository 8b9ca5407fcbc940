"""Which parameters matter: a quick first-order measure that needs no model.

Each parameter alone is asked how much of the variance of the *rank* of the value
its bins explain (epsilon squared of a one-way analysis of variance, so that a
parameter without influence gets about zero however many bins it has). Ranks,
as one diverged trial would else decide all. A parameter that only some trials
have is asked among these, and explains so much less of the variance of all: that
it is there at all is what another one decided. Interactions are not seen: for
these there is ``%tune plot param_importances``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import StudySnapshot, TrialView

LEAST = 10  # trials, below which nothing is said
_MOST = 1000  # trials that are looked at
_BINS = 8


def sample(snapshot: StudySnapshot, objective: int = 0) -> list[TrialView]:
    """Choose completed trials: the best hundred that are feasible, and of the rest so many, evenly."""
    done = [
        trial
        for trial in snapshot.trials
        if trial.outcome is TrialOutcome.COMPLETE
        and len(trial.values) > objective
        and math.isfinite(trial.values[objective])
    ]
    if len(done) <= _MOST:
        return done
    sign = 1.0 if snapshot.directions[objective] == "minimize" else -1.0
    values = np.array([sign * trial.values[objective] if trial.feasible else math.inf for trial in done])
    kept = set(np.argpartition(values, 100)[:100].tolist())
    kept.update(np.linspace(0, len(done) - 1, _MOST - 100).astype(int).tolist())
    return [done[index] for index in sorted(kept)]


def importances(trials: Sequence[TrialView], objective: int = 0) -> list[tuple[str, float]]:
    """Return each parameter's share of the variance, from 0 to 1, the largest first.

    Empty where there are fewer than ``LEAST`` trials, or all values are equal.
    """
    if len(trials) < LEAST:
        return []
    values = np.array([trial.values[objective] for trial in trials])
    _, ranks = np.unique(values, return_inverse=True)
    ranks = ranks - ranks.mean()
    total = float((ranks**2).sum())
    if total == 0:
        return []
    columns: dict[str, tuple[list[int], list[object]]] = {}
    for row, trial in enumerate(trials):
        for name, value in trial.params.items():
            rows, column = columns.setdefault(name, ([], []))
            rows.append(row)
            column.append(value)
    shares = [(name, _explained(column, ranks[rows]) / total) for name, (rows, column) in columns.items()]
    return sorted(shares, key=lambda pair: -pair[1])


def _explained(column: list[object], ranks: np.ndarray) -> float:
    """Return how much of the squared distances of the ranks from their mean the bins explain."""
    ranks = ranks - ranks.mean()
    groups = _bins(column)
    count = np.bincount(groups)
    sums = np.bincount(groups, weights=ranks)
    used = count > 0
    bins = int(used.sum())
    if bins < 2 or bins >= len(ranks):  # noqa: PLR2004 - one bin, or one trial a bin, explains nothing
        return 0.0
    between = float((sums[used] ** 2 / count[used]).sum())
    within = (float((ranks**2).sum()) - between) / (len(ranks) - bins)
    return max(0.0, between - (bins - 1) * within)


def _bins(column: list[object]) -> np.ndarray:
    """Sort the trials into bins: by quantiles where all are numbers, else by what they are."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in column):
        numbers = np.array(column, dtype=float)
        different, groups = np.unique(numbers, return_inverse=True)
        most = max(2, min(_BINS, len(column) // 5))
        if len(different) <= most:
            return np.asarray(groups)
        edges = np.quantile(numbers, np.linspace(0, 1, most + 1)[1:-1])
        return np.searchsorted(edges, numbers, side="right")
    known: dict[str, int] = {}
    return np.array([known.setdefault(repr(value)[:80], len(known)) for value in column])
