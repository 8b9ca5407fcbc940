"""An objective whose trials wait, so that a test can do something in the middle of a run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import Trial


class Gate:
    """Trials from a number on wait until ``opened`` is set; ``reached`` tells that one does."""

    def __init__(self, at: int = 0) -> None:
        """Stay closed.

        Args:
            at: The number of the first trial that waits.
        """
        self._at = at
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, trial: Trial) -> float:
        """Wait, then return a value that the sampler draws."""
        if trial.number >= self._at:
            self.reached.set()
            assert self.opened.wait(20)
        return trial.suggest_float("x", -1, 1)
