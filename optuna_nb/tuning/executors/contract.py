"""What an executor is: it evaluates trials, and nothing else.

The runner asks, tells and writes; each of its job threads hands one trial at a time
to ``Executor.submit`` and waits there. So every executor has the runner's pauses,
stops, limits and records for nothing, and the storage never leaves this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from optuna import Study
    from optuna.trial import Trial

    from optuna_nb.storage.studies import StudyStorage
    from optuna_nb.tuning.capture import TrialLog
    from optuna_nb.tuning.observer import Observer
    from optuna_nb.tuning.score import Score


@dataclass(frozen=True, slots=True)
class Desk:
    """What an executor may use of the run that it works for."""

    study: Study
    storage: StudyStorage
    directions: Sequence[str]
    lock: threading.Lock  # held while a trial is asked for or told, and while a sampler draws
    observer: Observer
    is_stopping: Callable[[], bool]
    waits_for: Callable[[str], None]  # no trial can run just now, and why; "" once they can again


class Executor(Protocol):
    """Evaluates trials. One instance serves one run."""

    slots: int  # trials at the same time, each submitted by a thread of its own; known once it is open
    turn: float  # seconds for which a thread here may hold the interpreter meanwhile
    about: str  # what one trial gets of the machine, in words; often nothing

    def open(self, desk: Desk) -> None:
        """Get ready; may take seconds. Called once, from the thread of the run.

        Raises:
            ClusterError: If there is nothing to run trials on.
        """

    def prepare(self, trial: Trial) -> None:
        """Take note of a trial that was asked for just now. The desk's lock is held."""

    def submit(self, trial: Trial, log: TrialLog) -> Score:
        """Evaluate a trial, and block until it has ended.

        Args:
            trial: Asked for in the calling thread, and prepared.
            log: Where what it prints elsewhere goes.

        Raises:
            TrialDropped: If it was dropped; its number is to be free again.
            Exception: Whatever the objective raised, or ``ObjectiveError`` for what is no score.
        """

    def status(self) -> str:
        """Say what the workers are doing, as the JSON of ``records.Cluster``; "" without workers."""

    def drop_all(self) -> object:
        """Let every trial in flight raise ``TrialDropped`` as soon as can be. From any thread."""

    def close(self) -> None:
        """Let go of everything. From any thread, more than once, also if it was never opened."""

    def abandon(self) -> None:
        """Let go of everything at once, as this process ends in mid-trial. From any thread."""
