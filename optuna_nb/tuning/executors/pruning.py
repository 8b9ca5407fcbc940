"""What a pruner reads of other trials, so that a worker may ask the pruner by itself.

Optuna's median, percentile, patient and threshold pruners look at the trial itself and at what
complete trials have reported, and at nothing else. A worker keeps the latter: it gets
the newest ones with each trial, and what it lacks with the kernel's answers. For
``FRESH_SECONDS`` it knows all that the kernel knew; after that it asks again, so steps that
take longer are judged as in the kernel, and short ones do not wait for a message each.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from optuna.pruners import MedianPruner, PatientPruner, PercentilePruner, ThresholdPruner
from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.pruners import BasePruner
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial

FRESH_SECONDS = 0.2
_NEWEST = 8  # complete trials that come with a trial
_MOST_VALUES = 2_000  # that come at once
_RUNS_KEPT = 4
_ALONE = (MedianPruner, PercentilePruner, ThresholdPruner)


class Reported(NamedTuple):
    """What some complete trials have reported, in the order in which the kernel learned of them."""

    run: str  # of the kernel
    total: int  # complete trials that there are
    first: int  # place of the first of these
    trials: tuple[dict[int, float], ...]


def decides_alone(pruner: BasePruner | None) -> bool:
    """Tell whether a pruner reads nothing but the trial itself and the complete ones."""
    if type(pruner) is PatientPruner:
        inner = pruner._wrapped_pruner  # noqa: SLF001 - it has no public name
        return inner is None or decides_alone(inner)
    return type(pruner) in _ALONE  # a subclass may read what it likes


class Reports:
    """The kernel's list of what complete trials have reported. From any thread.

    Nothing is listed until a trial has asked its pruner: most studies report nothing.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._alone = decides_alone(study.pruner)
        self._run = uuid.uuid4().hex
        self._is_asked = False
        self._known: set[int] = set()
        self._trials: list[dict[int, float]] = []
        self._lock = threading.Lock()

    @property
    def pruner(self) -> BasePruner | None:
        """The pruner where a worker may ask it, None where it must not."""
        return self._study.pruner if self._alone else None

    def newest(self) -> Reported | None:
        """Return what comes with a trial."""
        if not self._is_asked:
            return None
        with self._lock:
            self._look()
            place, values = len(self._trials), 0
            while place > 0 and len(self._trials) - place < _NEWEST and values < _MOST_VALUES:
                place -= 1
                values += len(self._trials[place])
            return Reported(self._run, len(self._trials), place, tuple(self._trials[place:]))

    def since(self, place: int) -> Reported | None:
        """Return what comes with an answer to a worker that knows those before a place."""
        if not self._alone:
            return None
        self._is_asked = True
        with self._lock:
            self._look()
            end, values = place, 0
            while end < len(self._trials) and values < _MOST_VALUES:
                values += len(self._trials[end])
                end += 1
            return Reported(self._run, len(self._trials), place, tuple(self._trials[place:end]))

    def _look(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if trial.number not in self._known:
                self._known.add(trial.number)
                self._trials.append(trial.intermediate_values)


class _Trial(NamedTuple):
    """As much of a complete trial as a pruner reads."""

    intermediate_values: dict[int, float]


class _Study(NamedTuple):
    """As much of a study as a pruner reads."""

    direction: StudyDirection
    trials: Sequence[_Trial]

    def get_trials(self, **_: Any) -> Sequence[_Trial]:
        """Return the complete trials."""
        return self.trials


class Cache:
    """What this worker process knows of the runs that it works for. From any thread."""

    def __init__(self) -> None:
        self._runs: dict[str, list[_Trial]] = {}  # the last one that was heard of at the end
        self._lock = threading.Lock()

    def known(self, run: str) -> int:
        """Return how many complete trials of a run are known."""
        with self._lock:
            return len(self._runs.get(run, ()))

    def take(self, reported: Reported) -> Sequence[_Trial] | None:
        """Take in what the kernel sent; return all complete trials, or None where some lack."""
        with self._lock:
            trials = self._runs.pop(reported.run, [])
            if reported.first <= len(trials):
                new = reported.trials[len(trials) - reported.first :]
                trials = [*trials, *map(_Trial, new)]  # a list that was handed out stays as it was
            self._runs[reported.run] = trials
            while len(self._runs) > _RUNS_KEPT:
                del self._runs[next(iter(self._runs))]
        return trials[: reported.total] if len(trials) >= reported.total else None


_cache = Cache()  # of this process


class Judge:
    """Asks the pruner for one trial: here as long as that is as good, else in the kernel.

    Args:
        pruner: that may be asked here; None where it must not.
        direction: of the study.
        reported: what came with the trial.
    """

    def __init__(
        self, pruner: BasePruner | None, direction: StudyDirection, reported: Reported | None
    ) -> None:
        self._pruner = pruner
        self._direction = direction
        self._run = ""
        self._study: _Study | None = None
        self._fresh_until = 0.0
        self.hear(reported)

    @property
    def known(self) -> int:
        """How many complete trials the kernel need not send."""
        return _cache.known(self._run)

    def hear(self, reported: Reported | None) -> None:
        """Take in what the kernel sent."""
        if self._pruner is None or reported is None:
            return
        self._run = reported.run
        trials = _cache.take(reported)
        self._study = None if trials is None else _Study(self._direction, trials)
        self._fresh_until = time.monotonic() + FRESH_SECONDS

    def decide(self, trial: FrozenTrial) -> bool | None:
        """Return whether to prune, or None where the kernel must be asked."""
        if self._pruner is None or self._study is None or time.monotonic() > self._fresh_until:
            return None
        return bool(self._pruner.prune(self._study, trial))  # type: ignore[arg-type]
