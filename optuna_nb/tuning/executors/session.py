"""The kernel's side of one trial that runs elsewhere: what it is given, and what it is answered.

Its parameters are drawn in advance, in the order in which the trial before asked for
them, and stand in the storage at once, so that the next trials take them into account.
Where the objective asks for something else, those that it has not used are taken back,
the sampler's generators go back to where they were, and the draw goes on from there:
the numbers are the same as if nothing had been drawn in advance.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from optuna.pruners import NopPruner

from optuna_nb.storage.amending import change_trial
from optuna_nb.tuning import capture
from optuna_nb.tuning.executors.messages import Assignment, Given, StudyInfo
from optuna_nb.tuning.observer import log_metrics, trial_event
from optuna_nb.tuning.reseeding import position_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

    from optuna_nb.tuning.executors.contract import Desk
    from optuna_nb.tuning.executors.pruning import Reported, Reports
    from optuna_nb.tuning.reseeding import Position

    Guess = Sequence[tuple[str, BaseDistribution]]


class Session:
    """One trial in flight. Used by the thread that asked for the trial.

    Args:
        desk: of the run; its lock is held.
        trial: asked for just now.
        guess: names and distributions that it may ask for, in their order.
        reports: of the run.
    """

    def __init__(self, desk: Desk, trial: Trial, guess: Guess, reports: Reports) -> None:
        self.trial = trial
        self._desk = desk
        self._reports = reports
        self._start = _untouched(desk.storage.get_trial(trial._trial_id))
        self._drawn: list[Given] = []
        self._before: list[Position] = []  # where the sampler stood before each of them
        self._position = position_of(desk.study.sampler)
        for name, distribution in guess:
            try:
                with capture.trial_log():  # what the sampler has to say comes again when it is asked for
                    self._draw(name, distribution)
            except Exception:  # noqa: BLE001 - the objective hears of it if it asks so itself
                break
        self._in_advance = len(self._drawn)

    def assignment(self) -> Assignment:
        """Return what the worker gets."""
        study = self._desk.study
        prunes = not isinstance(study.pruner, NopPruner)
        reports = self._reports
        info = StudyInfo(study.study_name, tuple(study.directions), prunes, reports.pruner)
        return Assignment(info, _untouched(self._start), tuple(self._drawn), reports.newest())

    def order(self) -> Guess:
        """Return what the trial asked for, in its order."""
        return [(given.name, given.distribution) for given in self._drawn]

    def settle(self, used: int) -> None:
        """Take back what the trial has not used of what was drawn in advance."""
        if used < self._in_advance:
            names = [given.name for given in self._drawn[used : self._in_advance]]
            self._take_back(names)
            self._position = self._before[used]
            del self._drawn[used : self._in_advance], self._before[used : self._in_advance]
            self._in_advance = used

    def begin_again(self) -> None:
        """Forget what the trial has reported and set; it keeps its parameters."""
        start = self._start

        def forget(trial: FrozenTrial) -> None:
            trial.intermediate_values = {}
            trial.user_attrs, trial.system_attrs = dict(start.user_attrs), dict(start.system_attrs)

        change_trial(self._desk.storage, self.trial._trial_id, forget)
        forget(self._cached)
        self._in_advance = len(self._drawn)

    # What comes from the worker

    def hear(self, news: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Take in what the trial did.

        Raises:
            StorageError: If something of it cannot be stored.
        """
        for kind, arguments in news:
            getattr(self, f"_hear_{kind}")(*arguments)

    def answer(self, kind: str, arguments: tuple[Any, ...]) -> Any:
        """Answer a question of the trial; it may be asked twice.

        Raises:
            Exception: What the trial is to raise.
        """
        return getattr(self, f"_answer_{kind}")(*arguments)

    def _answer_suggest(self, used: int, name: str, distribution: BaseDistribution) -> Any:
        with self._desk.lock:
            self.settle(used)
            if name in self._cached.distributions:  # the same question again
                return self.trial._suggest(name, distribution)  # noqa: SLF001 - what every suggest_* calls
            self._position.restore()  # other trials have drawn from the same generators meanwhile
            return self._draw(name, distribution)

    def _answer_prune(self, known: int) -> tuple[bool, Reported | None]:
        return self.trial.should_prune(), self._reports.since(known)

    def _answer_study(self, name: str, arguments: dict[str, Any] | None) -> Any:
        study = self._desk.study
        if arguments is not None:
            return study.get_trials(deepcopy=False, **arguments)
        value = getattr(study, name)
        if callable(value):
            msg = f"trial.study.{name}() is not there on a worker: it has values, get_trials and stop"
            raise AttributeError(msg)  # noqa: TRY004 - so it looks to the objective
        return value

    def _answer_compute(self, question: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return question(self._desk.study, *arguments)

    def _hear_report(self, value: float, step: int) -> None:
        self.trial.report(value, step)

    def _hear_user_attr(self, key: str, value: Any) -> None:
        self.trial.set_user_attr(key, value)

    def _hear_system_attr(self, key: str, value: Any) -> None:
        self._desk.storage.set_trial_system_attr(self.trial._trial_id, key, value)
        self._cached.system_attrs[key] = value

    def _hear_study_attr(self, key: str, value: Any) -> None:
        self._desk.study.set_user_attr(key, value)

    def _hear_stop(self) -> None:
        self._desk.study.stop()

    def _hear_metrics(self, step: int, values: dict[str, float]) -> None:
        log_metrics(step, **values)

    def _hear_event(self, kind: str, payload: dict[str, Any]) -> None:
        trial_event(kind, **payload)

    # Drawing

    @property
    def _cached(self) -> FrozenTrial:
        return self.trial._cached_frozen_trial  # noqa: SLF001 - what the trial itself goes by

    def _draw(self, name: str, distribution: BaseDistribution) -> Any:
        value = self.trial._suggest(name, distribution)  # noqa: SLF001 - what every suggest_* calls
        self._before.append(self._position)
        self._position = position_of(self._desk.study.sampler)
        self._drawn.append(Given(name, distribution, value))
        return value

    def _take_back(self, names: Sequence[str]) -> None:
        def drop(trial: FrozenTrial) -> None:
            trial.params = {k: v for k, v in trial.params.items() if k not in names}
            trial.distributions = {k: v for k, v in trial.distributions.items() if k not in names}

        change_trial(self._desk.storage, self.trial._trial_id, drop)
        drop(self._cached)


def _untouched(trial: FrozenTrial) -> FrozenTrial:
    """Copy a trial that has no parameters yet."""
    twin = copy.copy(trial)
    twin.params, twin.distributions = {}, {}
    twin.user_attrs, twin.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    twin.intermediate_values = {}
    return twin
