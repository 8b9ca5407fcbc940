"""What a run notes about itself while it runs: events, metrics, where each worker is.

The runner tells the observer, the observer its history, which pools the writes.
``log_metrics`` and ``trial_event`` are for the user's objective: a ``ContextVar``
says which trial the calling code belongs to, as the trial's own log is found.
A thread that an objective starts by itself belongs to no trial.
"""

from __future__ import annotations

import contextlib
import math
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import InvalidOptionError, StorageTroubleError
from optuna_nb.records import StudyState
from optuna_nb.tuning.results import as_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.trial import Trial

    from optuna_nb.storage.history import History
    from optuna_nb.storage.studies import StudyStorage

_MOST_STEP = 2**63  # what a whole number in a database stays below


@dataclass(frozen=True, slots=True)
class _Current:
    """The trial that runs in this context."""

    trial: Trial
    worker: str
    history: History | None


_current: ContextVar[_Current | None] = ContextVar("optuna_nb_current_trial", default=None)


def log_metrics(step: int, /, **values: float) -> None:
    """Keep named numbers of the present trial beside its score: ``log_metrics(epoch, auc=0.91)``.

    They go into the records of the run, some at a time; the objective goes on at
    once. The same step and name again replaces the number.

    Args:
        step: Epoch, round or iteration: a whole number below 2**63.
        **values: A number each; NaN and the infinities are kept.

    Raises:
        InvalidOptionError: If no trial runs in this context, a value is no number that a float
            holds, or the step is no such whole number.
    """
    current = _present("log_metrics")
    whole = _whole(step)
    numbers: dict[str, float] = {}
    for name, value in values.items():
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            msg = f"log_metrics: {name} is of type {type(value).__name__}: give a number that a float holds"
            raise InvalidOptionError(msg, code="NB209") from None
    if current.history is not None:
        current.history.metrics(current.trial.number, current.worker, whole, numbers)


def trial_event(kind: str, /, **payload: Any) -> None:
    """Note that something happened in the present trial: ``trial_event("exchange", step=3)``.

    Args:
        kind: What happened.
        **payload: Numbers, texts, lists and dicts that say more.

    Raises:
        InvalidOptionError: If no trial runs in this context, or JSON cannot hold the payload.
    """
    current = _present("trial_event")
    if current.history is None:
        return
    try:
        note = {"trial": current.trial.number, **as_python(payload)}
        current.history.event(str(kind), current.worker, note)
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"trial_event: JSON cannot hold this ({error}): give numbers, texts, lists and dicts"
        raise InvalidOptionError(msg, code="NB209") from None


def _whole(step: Any) -> int:
    """Read a step: a whole number of whatever type that the records can hold."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        whole = int(step)
        if whole == step and -_MOST_STEP <= whole < _MOST_STEP:
            return whole
    msg = f"log_metrics: the step is {step!r:.60}: give a whole number below 2**63"
    raise InvalidOptionError(msg, code="NB209")


def _present(function: str) -> _Current:
    current = _current.get()
    if current is None:
        msg = f"{function} works only in a trial that optuna_nb runs: call it in a %%tune cell's own thread"
        raise InvalidOptionError(msg, code="NB208")
    return current


@contextlib.contextmanager
def belonging_to(trial: Trial, history: Any) -> Iterator[None]:
    """Let code far from the kernel be known as that of a trial.

    Args:
        trial: The trial that runs in this context.
        history: Takes its ``metrics`` and ``event``.
    """
    token = _current.set(_Current(trial, "", history))
    try:
        yield
    finally:
        _current.reset(token)


class Observer:
    """Notes what happens in one run; without a history it notes nothing."""

    def __init__(self, history: History | None) -> None:
        """Start before the first trial."""
        self._history = history
        self._lock = threading.Lock()
        self._state: StudyState | None = None
        self._at: dict[str, Trial | None] = {}  # worker -> its trial
        self.is_remote = False  # whether trials run on workers that the executor names

    @contextlib.contextmanager
    def in_trial(self, trial: Trial) -> Iterator[None]:
        """Let the code of a trial be known as such."""
        worker = threading.current_thread().name.removeprefix("optuna_nb ")
        worker = worker if worker.startswith("job ") else "kernel"
        token = _current.set(_Current(trial, worker, self._history))
        if not self.is_remote:
            self.on_worker(trial, worker)
        try:
            yield
        finally:
            current = _current.get()
            _current.reset(token)
            if current is not None and self._at.get(current.worker) is trial:
                self._at[current.worker] = None

    def on_worker(self, trial: Trial, worker: str) -> None:
        """Note which worker runs the trial of this context."""
        if worker not in self._at:
            self._note("worker joined", worker, {})
        self._at[worker] = trial
        current = _current.get()
        if current is None or current.worker != worker:
            _current.set(_Current(trial, worker, self._history))

    def lost(self, trial: Trial, worker: str) -> None:
        """Note that a worker went away with its trial, which begins again."""
        self._at.pop(worker, None)
        self._note("worker lost", worker, {"trial": trial.number})
        self._note("retried", None, {"trial": trial.number})

    def state_is(self, state: StudyState) -> None:
        """Note a change of what the run does."""
        with self._lock:
            before, self._state = self._state, state
        if state is before:
            return
        if state is StudyState.PAUSED:
            self._note("paused", None, None)
        elif state is StudyState.RUNNING and before is StudyState.PAUSED:
            self._note("resumed", None, None)
        elif state is StudyState.STOPPED:
            self._note("stopped", None, None)

    def pruned(self, trial: Trial) -> None:
        """Note that a trial was given up early."""
        self._note("pruned", None, {"trial": trial.number})

    def retried(self, numbers: list[int]) -> None:
        """Note which trials run again, as the kernel died in them."""
        for number in numbers:
            self._note("retried", None, {"trial": number})

    def tick(self, storage: StudyStorage, study_id: int) -> None:
        """Note where the workers are, and write what is due. For a few times a second."""
        if self._history is None:
            return
        best = _best(storage, study_id)
        for worker, trial in list(self._at.items()):
            if trial is None:
                self._history.worker_is_at(worker, trial=None, best=best)
                continue
            with contextlib.suppress(KeyError):  # it was dropped just now
                steps = storage.get_trial(trial._trial_id).intermediate_values
                step = max(steps, default=None)
                current = None if step is None else _finite(steps[step])
                self._history.worker_is_at(worker, trial=trial.number, step=step, current=current, best=best)
        self._history.tick()

    def close(self) -> None:
        """Write what waits; the run's record is closed right after."""
        if self._history is not None:
            for worker, trial in self._at.items():
                if trial is not None:
                    self._note("worker lost", worker, {"trial": trial.number})
            with contextlib.suppress(StorageTroubleError):  # the end of the record meets it again
                self._history.flush()

    def _note(self, kind: str, worker: str | None, payload: dict[str, Any] | None) -> None:
        if self._history is not None:
            self._history.event(kind, worker, payload)


def _best(storage: StudyStorage, study_id: int) -> float | None:
    try:
        values = storage.get_best_trial(study_id).values
    except (RuntimeError, ValueError):  # several directions, or nothing yet
        return None
    return _finite(values[0]) if values else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
