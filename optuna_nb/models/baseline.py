"""How much tuning has gained over the library's defaults, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Gain:
    """A gain in the metric's units, positive where tuning helped."""

    mean: float
    low: float
    high: float

    def describe(self) -> str:
        """Put it in words."""
        return f"{self.mean:.4g} (95 % confidence interval {self.low:.4g} to {self.high:.4g})"


def paired_gain(
    baseline: Sequence[float], best: Sequence[float], *, sign: float, overlap: float
) -> Gain | None:
    """Compare two trials fold by fold, or by parts of the rows that score their only fold.

    Folds share training rows, so their differences are not independent; the variance is
    enlarged for that (Nadeau and Bengio, "Inference for the generalization error", 2003).
    The best of many trials is flattered by having been chosen: only a holdout is free of it.

    Args:
        baseline: Score of each fold by the library's defaults.
        best: Score of each fold by the best trial.
        sign: 1 where less is better, -1 where more is.
        overlap: Scoring rows over training rows of a fold; 0 for parts of one fold, which have one model.

    Returns:
        The gain with its 95 % interval; None with fewer than two folds.
    """
    if len(baseline) != len(best) or len(best) < 2:  # noqa: PLR2004 - a spread needs two
        return None
    from scipy.stats import t

    gains = sign * (np.asarray(baseline) - np.asarray(best))
    error = float(np.sqrt((1 / len(gains) + overlap) * gains.var(ddof=1)))
    reach = float(t.ppf(0.975, len(gains) - 1)) * error
    mean = float(gains.mean())
    return Gain(mean, mean - reach, mean + reach)
