"""What the charts of the tab *Parameters* are of: trials in an order, and how their values lie on a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna_nb.display.scale import Scale, padded, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.records import TrialView


@dataclass(frozen=True, slots=True)
class Subject:
    """Completed trials with a finite value, one of their objectives, and their parameters."""

    trials: Sequence[TrialView]  # from worst to best, so that the best are drawn last
    order: Sequence[str]  # of the parameters, the one that matters most first
    objective: int
    label: str  # of the objective
    log_params: Mapping[str, bool]
    best: TrialView | None  # of all that keep their constraints, the one that every view calls so

    def value(self, trial: TrialView) -> float:
        """Return the value of the objective."""
        return trial.values[self.objective]

    def scale(self, name: str, trials: Sequence[TrialView]) -> Scale:
        """Choose the scale of a parameter, for those trials that have it."""
        values = [trial.params[name] for trial in trials if name in trial.params]
        return scale_of(values, log=self.log_params.get(name))

    def value_scale(self) -> Scale:
        """Scale the values; the worst twentieth may lie at the edge."""
        values = sorted(map(self.value, self.trials))
        cut = len(values) // 20
        # The trials stand from worst to best, which tells on which side the bad ones are.
        if self.value(self.trials[0]) <= self.value(self.trials[-1]):
            return Scale(*padded(values[cut], values[-1]))
        return Scale(*padded(values[0], values[-1 - cut]))

    def having(self, *names: str) -> tuple[list[TrialView], list[TrialView]]:
        """Return the trials with these parameters: those that keep their constraints, and the others."""
        found: tuple[list[TrialView], list[TrialView]] = ([], [])
        for trial in self.trials:
            if all(name in trial.params for name in names):
                found[not trial.feasible].append(trial)
        return found

    def best_with(self, *names: str) -> TrialView | None:
        """Return the best trial of all where it has these parameters: no other one is the best."""
        has_all = self.best is not None and all(name in self.best.params for name in names)
        return self.best if has_all else None
