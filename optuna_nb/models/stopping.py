"""When boosting stops early: the same rule for every library.

A loss that falls ever more slowly can also be seen to miss a limit. If it falls as a power
of the rounds, what is still to come is the gain of the last window times the number of
windows over the power. The last two gains say the power, and an exponential's grows with
the rounds; half of it is taken, for safety: a low learning rate, slow but steady, is not
given up for being slow. At the beginning of a study with folds haste pays: a good setting
soon makes all that follows cheaper. There the gains are taken for an exponential's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_LEARNING = 3.0  # patience in rounds times learning rate: as much learning, whatever the rate
_FEWEST, _MOST = 15, 100
_SAFETY = 2.0
_SLOWEST_DECAY = 0.9  # in haste: of a window's gain against the one before
_LEAST_POWER = 0.5  # of the rounds, with which a loss falls
_LEAST_GAIN = 5e-4  # of the loss; less over the whole patience is not worth the rounds


class Limit(NamedTuple):
    """What a fit has to reach to be of any use.

    Attributes:
        loss: To be reached.
        in_haste: Whether a fit that falls slowly may be given up too early.
    """

    loss: float
    in_haste: bool = False


class Patience:
    """Tells when a loss has stopped falling. One per fit.

    Args:
        learning_rate: Of the boosting.
        limit: What the fit has to reach; None without.
        period: Rounds from one known loss to the next.

    Attributes:
        gave_up: Whether the fit ended as it would have missed the limit.
    """

    def __init__(self, learning_rate: float, limit: Limit | None = None, period: int = 1) -> None:
        self.gave_up = False
        self.rounds = int(min(max(round(_LEARNING / learning_rate), _FEWEST), _MOST))
        self._limit = limit
        self._period = period
        self._window = max(self.rounds // 2, 10) // period  # in known losses, as all below
        self._windows: list[float] = []  # the loss at the end of each
        self._seen = 0
        self._best = math.inf
        self._since = 0

    def is_over(self, loss: float) -> bool:
        """Take in the next known loss, and tell whether to stop."""
        if loss < self._best - _LEAST_GAIN * abs(self._best) or math.isinf(self._best):
            self._best = loss
            self._since = 0
        else:
            self._since += 1
        self._seen += 1
        if self._limit is not None and self._seen % self._window == 0:
            self._windows.append(loss)
            self.gave_up = self._must_miss(self._limit)
        return self.gave_up or self._since * self._period >= self.rounds

    def _must_miss(self, limit: Limit) -> bool:
        if len(self._windows) < 3:  # noqa: PLR2004 - a gain after the first rise
            return False
        before, middle, now = self._windows[-3:]
        earlier, last = before - middle, middle - now
        if earlier <= 0 or last <= 0:
            return False  # it rises or jumps: patience decides
        if limit.in_haste:
            decay = min(last / earlier, _SLOWEST_DECAY)
            to_come = _SAFETY * last * decay / (1 - decay)
        else:
            count = len(self._windows)
            power = math.log(earlier / last) / math.log(count / (count - 1)) - 1
            to_come = last * count / max(power / _SAFETY, _LEAST_POWER)
        return now - to_come > limit.loss
