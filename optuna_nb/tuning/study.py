"""An Optuna study as the runner drives it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

import optuna
from optuna.trial import Trial

from optuna_nb.errors import InvalidOptionError
from optuna_nb.tuning.fixing import held

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_logger = logging.getLogger("optuna_nb")


class QueuedTrial(Trial):
    """A trial whose parameters were queued: what its objective does not suggest is drawn instead.

    Optuna would take a number from outside of the range, and end the trial at an unknown choice;
    the ranges of a changed cell are not known when the best sets of its old version are queued.
    """

    def _is_fixed_param(self, name: str, distribution: BaseDistribution) -> bool:
        if name in self._fixed_params:
            try:
                value = held(name, self._fixed_params[name], distribution)
            except InvalidOptionError as error:
                _logger.warning(
                    "trial %d: %s; it is drawn, though it was queued", self.number, str(error).split("\n")[0]
                )
                return False
            self._fixed_params = {**self._fixed_params, name: value}  # the stored ones stay as they are
        return bool(super()._is_fixed_param(name, distribution))


class TunedStudy(optuna.Study):
    """An Optuna study whose ``stop`` works under ask and tell, as samplers and objectives call it."""

    exhausted = False

    def ask(self, fixed_distributions: dict[str, BaseDistribution] | None = None) -> Trial:
        """Begin a trial; see Optuna."""
        trial = super().ask(fixed_distributions)
        if trial._fixed_params:  # noqa: SLF001 - Optuna has no public name for it
            trial.__class__ = QueuedTrial  # Study.ask names the class itself
        return trial

    def optimize(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse, as Optuna does, that a trial runs the study that it is one of."""
        msg = "Nested invocation of `Study.optimize` method isn't allowed."
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Start no further trial: the grid is used up, or the objective says so."""
        self.exhausted = True


def finished(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have ended, in whatever way."""
    return [trial for trial in trials if trial.state.is_finished()]
