"""An Optuna study as the runner drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class TunedStudy(optuna.Study):
    """An Optuna study whose ``stop`` works under ask and tell, as samplers and objectives call it."""

    exhausted = False

    def stop(self) -> None:
        """Start no further trial: the grid is used up, or the objective says so."""
        self.exhausted = True


def finished(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have ended, in whatever way."""
    return [trial for trial in trials if trial.state.is_finished()]
