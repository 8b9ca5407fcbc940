"""Racing of folds: when the first folds of a trial show that it will not be the best.

Folds differ more from each other than good trials do, so a mean of the first folds
says little. Scores are taken as trial effect + fold effect + noise. The best trials so
far tell the fold effects and the noise; what is left of a new trial's folds estimates
its own effect, and a one-sided t test compares it with the best.

The new trial's own noise counts too (its residuals are pooled), and the folds are a
finite population: with all folds known, nothing is uncertain.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIVALS = 8  # best trials that a new one is compared with
LEVEL = 0.05  # of the one-sided test
FEWEST = 2  # with fewer there is no telling a fold's effect from noise


class _Rivals(NamedTuple):
    """The best trials so far, taken apart into trial effects, fold effects and noise."""

    effects: NDArray[np.float64]  # of the folds, (n_folds,)
    best: float  # mean loss of the best one
    squares: float  # of what is left, summed up
    freedom: int  # degrees of it


def _read(rivals: NDArray[np.float64]) -> _Rivals | None:
    """Take rivals apart; None where they are too few for telling a fold's effect from noise."""
    n_trials, n_folds = rivals.shape
    if n_trials < FEWEST or n_folds < FEWEST or not np.isfinite(rivals).all():
        return None
    effects = _fold_effects(rivals)
    trial_means = rivals.mean(axis=1, keepdims=True)
    squares = float(((rivals - trial_means - effects) ** 2).sum())
    return _Rivals(effects, float(trial_means.min()), squares, (n_trials - 1) * (n_folds - 1))


def _fold_effects(rivals: NDArray[np.float64]) -> NDArray[np.float64]:
    effects: NDArray[np.float64] = rivals.mean(axis=0) - rivals.mean()
    return effects


def _margin(squares: float, freedom: int, done: int, rivals: NDArray[np.float64]) -> float:
    """Return by how much a trial as good as the best may look worse after so many folds."""
    n_trials, n_folds = rivals.shape
    variance = squares / freedom * (1 / done - 1 / n_folds) * (1 + 1 / n_trials)
    return float(_quantile(1 - LEVEL, freedom) * np.sqrt(variance))


def expected(losses: NDArray[np.float64], rivals: NDArray[np.float64]) -> float:
    """Estimate the mean loss over all folds from the first ones.

    Args:
        losses: Of the first folds of a trial, ``(j,)``; less is better.
        rivals: Of the best trials so far, ``(m, n_folds)``; may be empty.
    """
    if len(rivals) == 0:
        return float(losses.mean())
    return float((losses - _fold_effects(rivals)[: len(losses)]).mean())


def limit_of_first(rivals: NDArray[np.float64]) -> float | None:
    """Return the loss of the first fold above which a trial is hopeless; None where none is.

    With one split there is nothing to estimate: it is the best loss so far.

    Args:
        rivals: Of the best trials so far, ``(m, n_folds)``.
    """
    n_trials, n_folds = rivals.shape
    if n_trials > 0 and n_folds == 1:
        return float(rivals.min())
    known = _read(rivals)
    if known is None:
        return None
    return float(known.effects[0]) + known.best + _margin(known.squares, known.freedom, 1, rivals)


def is_hopeless(losses: NDArray[np.float64], rivals: NDArray[np.float64]) -> bool:
    """Tell whether a trial is worse than the best one, by its first folds.

    Args:
        losses: Of its first folds, ``(j,)``; less is better.
        rivals: Of the best trials so far, ``(m, n_folds)``, same folds.
    """
    known, done = _read(rivals), len(losses)
    if known is None or done >= rivals.shape[1]:
        return False
    if not np.isfinite(losses).all():
        return True
    own = losses - known.effects[:done]
    squares = known.squares + float(((own - own.mean()) ** 2).sum())
    margin = _margin(squares, known.freedom + done - 1, done, rivals)
    return bool(float(own.mean()) - known.best > margin + 1e-12)


@functools.lru_cache(maxsize=4096)
def _quantile(probability: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, freedom))
