"""One study in memory: all reads of Optuna are answered from here.

No input or output happens in this file, and no lock is taken: the storage that
owns the study holds its lock around each call. Trials are replaced, never
changed, so a list that was handed out stays as it was.
"""

from __future__ import annotations

import bisect
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optuna.distributions import check_distribution_compatibility
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optuna.distributions import BaseDistribution


class StudyMemory:
    """The trials and attributes of one study, finished and in flight."""

    def __init__(self, study_id: int, name: str, directions: Sequence[StudyDirection]) -> None:
        """Start an empty study."""
        self.study_id = study_id
        self.name = name
        self.directions = list(directions)
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: dict[str, Any] = {}
        self.trials: list[FrozenTrial] = []  # by number; a number may be missing
        self.internals: dict[int, dict[str, float]] = {}  # trial id -> parameters, until it ends
        self.in_flight: set[int] = set()
        self.waiting: set[int] = set()
        self.best: FrozenTrial | None = None
        self._position: dict[int, int] = {}
        self._distributions: dict[str, BaseDistribution] = {}

    def next_number(self) -> int:
        """Return the lowest number that no trial has."""
        count = len(self.trials)
        if count == 0 or self.trials[-1].number == count - 1:
            return count
        return next((i for i, trial in enumerate(self.trials) if trial.number != i), count)

    def add(self, trial: FrozenTrial) -> None:
        """Take in a trial that has its number and id."""
        at = len(self.trials)
        if at and self.trials[-1].number >= trial.number:
            at = bisect.bisect_left(self.trials, trial.number, key=lambda t: t.number)
        self.trials.insert(at, trial)
        if at == len(self.trials) - 1:
            self._position[trial._trial_id] = at
        else:
            self._position = {t._trial_id: i for i, t in enumerate(self.trials)}
        self._distributions.update(trial.distributions)
        self._note_state(trial)

    def add_all(self, trials: Iterable[FrozenTrial]) -> None:
        """Take in many trials."""
        for trial in sorted(trials, key=lambda t: t.number):
            self.add(trial)

    def remove(self, trial_id: int) -> None:
        """Forget a trial that was never written."""
        del self.trials[self._position[trial_id]]
        self._position = {t._trial_id: i for i, t in enumerate(self.trials)}
        self.in_flight.discard(trial_id)
        self.waiting.discard(trial_id)
        self.internals.pop(trial_id, None)

    def has(self, trial_id: int) -> bool:
        """Tell whether the trial is of this study."""
        return trial_id in self._position

    def rename(self, old_id: int, new_id: int) -> FrozenTrial:
        """Give a trial another id, and return it."""
        trial = changed(self.get(old_id))
        trial._trial_id = new_id
        position = self._position.pop(old_id)
        self._position[new_id] = position
        self.trials[position] = trial
        if self.best is not None and self.best._trial_id == old_id:
            self.best = trial
        for ids in (self.in_flight, self.waiting):
            if old_id in ids:
                ids.remove(old_id)
                ids.add(new_id)
        return trial

    def get(self, trial_id: int) -> FrozenTrial:
        """Return the trial of that id."""
        return self.trials[self._position[trial_id]]

    def by_number(self, number: int) -> FrozenTrial | None:
        """Return the trial of that number, or None."""
        at = number
        if at >= len(self.trials) or self.trials[at].number != number:
            at = bisect.bisect_left(self.trials, number, key=lambda t: t.number)
        return self.trials[at] if at < len(self.trials) and self.trials[at].number == number else None

    def replace(self, trial: FrozenTrial) -> None:
        """Put a trial in the place of its former self."""
        self.trials[self._position[trial._trial_id]] = trial

    def set_param(self, trial_id: int, name: str, internal: float, distribution: BaseDistribution) -> None:
        """Draw a parameter of a trial in flight.

        Raises:
            ValueError: If other trials drew it from an incompatible distribution.
        """
        known = self._distributions.get(name)
        if known == distribution:
            distribution = known  # one object for all trials saves memory and writing
        else:
            if known is not None:
                check_distribution_compatibility(known, distribution)
            self._distributions[name] = distribution
        internal += 0.0  # no -0.0, as SQLite keeps none
        trial = changed(self.get(trial_id))
        trial.params = {**trial.params, name: distribution.to_external_repr(internal)}
        trial.distributions = {**trial.distributions, name: distribution}
        self.internals.setdefault(trial_id, {})[name] = internal
        self.replace(trial)

    def set_state(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> FrozenTrial:
        """Move a trial to a state, with the time of the move."""
        trial = changed(self.get(trial_id))
        trial.state = state
        if values is not None:
            trial.values = [value + 0.0 for value in values]  # no -0.0, as SQLite keeps none
        if state == TrialState.RUNNING:
            trial.datetime_start = datetime.now()  # noqa: DTZ005 - Optuna's trials carry local time
        if state.is_finished():
            trial.datetime_complete = datetime.now()  # noqa: DTZ005
        self.replace(trial)
        self._note_state(trial)
        return trial

    def select(self, states: Any) -> list[FrozenTrial]:
        """Return the trials in one of the states, by number."""
        if states is None:
            return list(self.trials)
        if states == (TrialState.WAITING,):
            if not self.waiting:
                return []
            return sorted((self.get(i) for i in self.waiting), key=lambda t: t.number)
        return [trial for trial in self.trials if trial.state in states]

    def _note_state(self, trial: FrozenTrial) -> None:
        trial_id = trial._trial_id
        (self.in_flight.add if trial.state == TrialState.RUNNING else self.in_flight.discard)(trial_id)
        (self.waiting.add if trial.state == TrialState.WAITING else self.waiting.discard)(trial_id)
        if trial.state == TrialState.COMPLETE and len(self.directions) == 1:
            self.best = trial if self.best is None else self._better(self.best, trial)

    def _better(self, best: FrozenTrial, trial: FrozenTrial) -> FrozenTrial:
        old, new = best.value, trial.value
        if old is None or new is None:
            return trial if old is None else best
        wins = new > old if self.directions[0] == StudyDirection.MAXIMIZE else new < old
        return trial if wins else best


def changed(trial: FrozenTrial) -> FrozenTrial:
    """Return a shallow copy to change; ``copy.copy`` takes four times as long."""
    twin = FrozenTrial.__new__(FrozenTrial)
    twin.__dict__ = trial.__dict__.copy()
    return twin


def running_trial(trial_id: int, number: int) -> FrozenTrial:
    """Return a new trial in flight, without parameters."""
    return FrozenTrial(
        number=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=datetime.now(),  # noqa: DTZ005
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )
