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
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIVALS = 8  # best trials that a new one is compared with
LEVEL = 0.05  # of the one-sided test
FEWEST = 2  # with fewer there is no telling a fold's effect from noise


def expected(losses: NDArray[np.float64], rivals: NDArray[np.float64]) -> float:
    """Estimate the mean loss over all folds from the first ones.

    Args:
        losses: Of the first folds of a trial, ``(j,)``; less is better.
        rivals: Of the best trials so far, ``(m, n_folds)``; may be empty.
    """
    if len(rivals) == 0:
        return float(losses.mean())
    effects = rivals.mean(axis=0) - rivals.mean()
    return float((losses - effects[: len(losses)]).mean())


def limit_of_first(rivals: NDArray[np.float64]) -> float | None:
    """Return the loss of the first fold above which a trial is hopeless; None where none is.

    With one split there is nothing to estimate: it is the best loss so far.

    Args:
        rivals: Of the best trials so far, ``(m, n_folds)``.
    """
    n_trials, n_folds = rivals.shape
    if n_trials > 0 and n_folds == 1:
        return float(rivals.min())
    if n_trials < FEWEST or n_folds < FEWEST or not np.isfinite(rivals).all():
        return None
    effects = rivals.mean(axis=0) - rivals.mean()
    trial_means = rivals.mean(axis=1, keepdims=True)
    residuals = rivals - trial_means - effects
    freedom = (n_trials - 1) * (n_folds - 1)
    noise = float((residuals**2).sum()) / freedom
    variance = noise * (1 - 1 / n_folds) * (1 + 1 / n_trials)
    return float(effects[0] + trial_means.min() + _quantile(1 - LEVEL, freedom) * np.sqrt(variance))


def is_hopeless(losses: NDArray[np.float64], rivals: NDArray[np.float64]) -> bool:
    """Tell whether a trial is worse than the best one, by its first folds.

    Args:
        losses: Of its first folds, ``(j,)``; less is better.
        rivals: Of the best trials so far, ``(m, n_folds)``, same folds.
    """
    n_trials, n_folds = rivals.shape if rivals.ndim == 2 else (0, 0)  # noqa: PLR2004 - a matrix
    done = len(losses)
    if n_trials < FEWEST or n_folds < FEWEST or done >= n_folds:
        return False
    if not np.isfinite(rivals).all():
        return False
    if not np.isfinite(losses).all():
        return True
    effects = rivals.mean(axis=0) - rivals.mean()
    trial_means = rivals.mean(axis=1, keepdims=True)
    residuals = rivals - trial_means - effects
    own = losses - effects[:done]
    freedom = (n_trials - 1) * (n_folds - 1) + done - 1
    noise = float((residuals**2).sum() + ((own - own.mean()) ** 2).sum()) / freedom
    variance = noise * (1 / done - 1 / n_folds) * (1 + 1 / n_trials)
    gap = float(own.mean() - trial_means.min())
    return bool(gap > _quantile(1 - LEVEL, freedom) * np.sqrt(variance) + 1e-12)


@functools.lru_cache(maxsize=4096)
def _quantile(probability: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, freedom))
