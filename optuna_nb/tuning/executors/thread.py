"""Trials in threads of this process: the job thread that submits a trial runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna_nb.tuning.dropping import Droppable
from optuna_nb.tuning.executors.cores import ThreadLimit, in_words, share
from optuna_nb.tuning.score import read_score
from optuna_nb.tuning.turns import COMPUTING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import Trial

    from optuna_nb.tuning.capture import TrialLog
    from optuna_nb.tuning.executors.contract import Desk
    from optuna_nb.tuning.score import Score


class ThreadExecutor:
    """Evaluates where it is called.

    Args:
        evaluate: the objective.
        jobs: trials at the same time.
    """

    turn = COMPUTING_SECONDS

    def __init__(self, evaluate: Callable[[Trial], Any], jobs: int = 1) -> None:
        self.slots = jobs
        self.about = in_words(jobs)
        self._evaluate = evaluate
        self._droppable = Droppable()
        self._limit = ThreadLimit(share(jobs)) if jobs > 1 else None
        self._directions: Sequence[str] = ()

    def open(self, desk: Desk) -> None:
        """Learn what a score is to look like."""
        self._directions = desk.directions

    def prepare(self, trial: Trial) -> None:
        """Nothing: the trial draws its parameters where it runs."""

    def submit(self, trial: Trial, log: TrialLog) -> Score:  # noqa: ARG002 - its output is captured around us
        """Evaluate a trial in the calling thread."""
        if self._limit is not None:
            self._limit.apply()
        with self._droppable.evaluating(self._evaluate):
            value = self._evaluate(trial)
        return read_score(value, self._directions)

    def status(self) -> str:
        """Nothing: the trials in flight tell all."""
        return ""

    def drop_all(self) -> object:
        """Raise ``TrialDropped`` in each evaluating thread."""
        return self._droppable.drop_all()

    def abandon(self) -> None:
        """Nothing: the threads are daemons."""

    def close(self) -> None:
        """Lift the limits on threads."""
        if self._limit is not None:
            self._limit.lift()
