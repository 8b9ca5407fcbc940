"""The loop that tunes: ask, evaluate, tell, until the study has its trials.

``Runner.run`` blocks and is tested without a thread. It writes to the storage
and tells nobody; whoever wants to watch reads the database.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from optuna.trial import Trial, TrialState

from optuna_nb.errors import LeaseLostError, StorageTroubleError, WorkerLostError
from optuna_nb.records import StudyState
from optuna_nb.storage.ledger import Durability
from optuna_nb.storage.writer import Progress
from optuna_nb.tuning import capture, failure
from optuna_nb.tuning.dropping import TrialDropped
from optuna_nb.tuning.executors.contract import Desk
from optuna_nb.tuning.keeper import LET_GO_SECONDS, Keeper
from optuna_nb.tuning.observer import Observer
from optuna_nb.tuning.results import FOLD_SCORES, FOLD_STD, closing_line
from optuna_nb.tuning.study import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna_nb.records import Request
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.studies import StudyStorage
    from optuna_nb.tuning.control import Control
    from optuna_nb.tuning.executors.contract import Executor
    from optuna_nb.tuning.score import Score
    from optuna_nb.tuning.study import TunedStudy

_logger = logging.getLogger("optuna_nb")
FAILURES_IN_A_ROW = 3
LONG_SECONDS = 0.05  # a trial that took longer is worth the time of a full sync


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended."""

    state: StudyState
    note: str
    error: BaseException | None
    seconds: float  # of tuning in this run, pauses left out
    n_trials: int  # finished in this run
    log: str = ""  # of the trial that ended it, and that is not kept


class Runner:
    """Runs one study to its end. One instance runs once."""

    def __init__(
        self,
        study: TunedStudy,
        storage: StudyStorage,
        ledger: Ledger,
        executor: Executor,
        control: Control,
        *,
        timeout: float | None = None,
        elapsed_before: float = 0.0,
        synchronous: str = "auto",
        keep_log: bool = True,
    ) -> None:
        """Prepare a run of a study that this process owns.

        Args:
            study: The study, with its sampler and pruner.
            storage: Where it lives.
            ledger: What its owner writes.
            executor: What evaluates the objective; opened and closed here.
            control: What others may ask.
            timeout: Seconds after which no trial is started.
            elapsed_before: Seconds that earlier runs of the study took.
            synchronous: What a commit survives: ``full`` a power cut, ``normal`` a killed
                process, ``auto`` a power cut where the trial took long enough to miss it.
            keep_log: Whether what a trial prints goes into the database.
        """
        self.observer = Observer(None)
        self.after_first_trial: Callable[[], None] = lambda: None
        self._keep_log = keep_log
        self._study = study
        self._storage = storage
        self._ledger = ledger
        self._executor = executor
        self._control = control
        self._timeout = timeout
        self._elapsed_before = elapsed_before
        self._synchronous = synchronous
        self._directions = [direction.name.lower() for direction in study.directions]
        self._study_id = study._study_id  # noqa: SLF001 - Optuna has no public name for it
        self._lock = threading.Lock()  # around ask, tell and the counts below
        self._done = sum(
            t.state.is_finished() for t in storage.get_all_trials(self._study_id, deepcopy=False)
        )
        self._any_success = self._done > 0
        self._in_flight = self._failures = self._n_trials = 0
        self._is_first = True  # no trial of this run has finished
        self._error: BaseException | None = None
        self._note = self._log = ""
        self._trouble = ""
        self._waits_for = ""  # what keeps every trial from running just now
        self._began = time.monotonic()
        self._keeper = Keeper(control, tick=self._tick, state=self._state, show=self.show, lost=self._fail)

    def run(self) -> RunEnd:
        """Tune until done, stopped or failed.

        Raises:
            LeaseLostError: If another process took the study over.
        """
        self._began = time.monotonic()
        ledger = self._ledger
        ledger.on_trouble = self._note_trouble
        self.show(StudyState.RUNNING)
        self._keeper.start()
        try:
            if not self._is_complete() or not self._control.close_unless(self._wants_more):
                self._open_executor()  # a cluster takes seconds to start
                self._work_in_threads()
                while not self._control.close_unless(self._wants_more):
                    self._work_in_threads()
        except Exception as error:  # noqa: BLE001 - there is nothing to run trials on, whatever a cluster raises
            self._fail(error)
        finally:
            self._control.close_unless(lambda: False)
            self._executor.close()
            self._keeper.end()
        self._write_rest()
        state = self._final_state()
        if state is not StudyState.FAILED:
            self._note = "; ".join(filter(None, (self._note, self._summary())))
        return RunEnd(state, self._note, self._error, self._seconds(), self._n_trials, self._log)

    def _write_rest(self) -> None:
        """Write what waits with ``pooled`` and ``end``, also after an error."""
        self._ledger.full_sync = self._is_worth_a_sync(self._seconds())
        try:
            self._storage.flush(self._study_id)
        except LeaseLostError as error:
            self._fail(error)
        self._ledger.durability = Durability()

    def _summary(self) -> str:
        trials = finished(self._storage.get_all_trials(self._study_id, deepcopy=False))
        names, seconds = self._study.metric_names, self._seconds()
        return closing_line(trials, self._directions, names=names, n_trials=self._n_trials, seconds=seconds)

    def let_go(self) -> None:
        """End the beats of a run that is being abandoned, so that its study can be released."""
        self._keeper.end(LET_GO_SECONDS)

    def abandon_executor(self) -> None:
        """Leave the trials in flight to themselves: this process ends."""
        self._executor.abandon()

    def elapsed(self) -> float:
        """Return the seconds of tuning so far, over all runs of the study."""
        return self._elapsed_before + self._seconds()

    def end_early(self, note: str) -> RunEnd:
        """Describe a run that the process's end cuts short."""
        return RunEnd(StudyState.INTERRUPTED, note, failure.cut_short(note), self._seconds(), self._n_trials)

    # The loop

    def _open_executor(self) -> None:
        self._control.drop = self._executor.drop_all
        desk = Desk(
            self._study,
            self._storage,
            self._directions,
            self._lock,
            self.observer,
            lambda: self._control.is_stopping,
            self._wait_for,
        )
        self._executor.open(desk)

    def _wait_for(self, what: str) -> None:
        """Show that no trial can run just now, and why; or that they can again."""
        if what and not self._waits_for:
            _logger.warning("%s: %s", self._study.study_name, what)
        elif self._waits_for and not what:
            _logger.warning("%s: goes on", self._study.study_name)
        self._waits_for = what
        self._control.note_standstill(self._stands_still)
        self.show(self._state())

    def _work_in_threads(self) -> None:
        if self._executor.slots == 1:
            self._work()
            return
        workers = [
            threading.Thread(target=self._work, name=f"optuna_nb job {i}", daemon=True)
            for i in range(self._executor.slots)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _wants_more(self) -> bool:
        """Tell whether a new target came just when the last trial had ended."""
        is_over = self._is_over() or self._time_is_up()
        return not is_over and self._done < (self._control.target or 0)

    def _work(self) -> None:
        try:
            while self._may_start():
                self._one_trial()
        except BaseException as error:  # noqa: BLE001 - a thread must hand on what ended it
            self._fail(error)

    def _may_start(self) -> bool:
        """Claim a place for one more trial; while others' trials run, more may be asked for."""
        while (has_claimed := self._claim()) is None:
            self._control.wait_until(lambda: self._is_over() or self._has_room() or not self._in_flight)
        return has_claimed

    def _claim(self) -> bool | None:
        """Wait while paused, then claim a place; None if there is none while trials are in flight."""
        control = self._control
        if control.is_paused and not control.is_stopping:
            control.note_standstill(self._stands_still)
            self.show(StudyState.PAUSED)
            control.wait_while_paused()
            control.note_standstill(self._stands_still)
            if not control.is_stopping:
                self.show(StudyState.RUNNING)
        with self._lock:
            if self._is_over():
                return False
            if self._time_is_up():
                self._note = f"stopped after the timeout of {self._timeout:g} s"
                return False
            if not self._has_room():
                return None if self._in_flight else False
            self._in_flight += 1
            return True

    def _is_over(self) -> bool:
        return self._control.is_stopping or self._study.exhausted or self._error is not None

    def _time_is_up(self) -> bool:
        return self._timeout is not None and self._seconds() >= self._timeout

    def _has_room(self) -> bool:
        target = self._control.target
        return target is None or self._done + self._in_flight < target

    def _stands_still(self) -> bool:
        """Whether no trial runs: all have ended in a pause, or there is nothing to run them on."""
        return bool(self._waits_for) or (self._control.is_paused and not self._in_flight)

    def _one_trial(self) -> None:
        with self._lock:
            trial = self._study.ask()
            self._executor.prepare(trial)
        began = time.monotonic()
        with capture.trial_log() as log, self.observer.in_trial(trial):
            value, error = self._try(trial, log)
        with self._lock:
            try:
                self._ledger.full_sync = self._is_worth_a_sync(time.monotonic() - began)
                self._finish(trial, value, error, log)
            finally:
                self._in_flight -= 1
            is_first = self._is_first and self._n_trials > 0
            self._is_first = self._is_first and not is_first
        self._control.look_again()
        if is_first:  # it may take long, and other jobs need the lock
            self.after_first_trial()

    def _is_worth_a_sync(self, seconds: float) -> bool:
        """Whether a power cut may cost no trial that took so long: syncing takes some milliseconds."""
        return self._synchronous == "full" or (self._synchronous == "auto" and seconds > LONG_SECONDS)

    def _try(self, trial: Trial, log: capture.TrialLog) -> tuple[Score | None, BaseException | None]:
        try:
            return self._executor.submit(trial, log), None
        except (Exception, SystemExit, TrialDropped) as error:  # noqa: BLE001 - whatever the user's code raises
            return None, error

    def _finish(
        self, trial: Trial, score: Score | None, error: BaseException | None, log: capture.TrialLog
    ) -> None:
        pruned = isinstance(error, optuna.TrialPruned)
        if isinstance(error, TrialDropped):
            self._note = f"stopped now: trial {trial.number} was dropped and its number is free"
            self._storage.forget_trial(trial._trial_id)
            return
        text = failure.log_text(log.text(), None if pruned else error) if self._keep_log else ""
        if error is not None and not pruned:
            self._failures += 1
            self._note = failure.one_line(error, trial.number, logged=self._keep_log)
            if not (self._any_success or isinstance(error, WorkerLostError)):
                # a mistake in the cell: the number stays free for the next try
                self._error, self._log = error, text
                self._storage.forget_trial(trial._trial_id)
                return
            if self._failures >= FAILURES_IN_A_ROW:
                self._error = error
                self._note = f"{FAILURES_IN_A_ROW} trials in a row failed; the last: {self._note}"
        else:
            self._failures = 0
            self._any_success = True
            if self._error is None:
                self._note = ""
        if text:
            self._ledger.logs[trial._trial_id] = text
        self._done += 1
        self._n_trials += 1
        self._ledger.progress = self._progress(self._state())
        self._tell(trial, score, pruned=pruned)

    def _tell(self, trial: Trial, score: Score | None, *, pruned: bool) -> None:
        if pruned:
            self.observer.pruned(trial)
            self._study.tell(trial, state=TrialState.PRUNED)
        elif score is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            if score.fold_scores:
                trial.set_user_attr(FOLD_SCORES, list(score.fold_scores))
                trial.set_user_attr(FOLD_STD, score.std)
            self._study.tell(trial, list(score.values))

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
                self._note = failure.first_line(error) or type(error).__name__
        self._control.look_again()

    # What others see

    def show_end(self, end: RunEnd) -> None:
        """Write how the run ended.

        Raises:
            StorageTroubleError: If the file cannot be written just now.
        """
        self._note = end.note
        if not isinstance(end.error, LeaseLostError):
            self._storage.show_progress(self._study_id, self._progress(end.state))

    def _state(self) -> StudyState:
        if self._control.is_stopping:
            return StudyState.STOPPING
        return StudyState.PAUSED if self._control.is_paused or self._waits_for else StudyState.RUNNING

    def _final_state(self) -> StudyState:
        if self._error is not None:
            return StudyState.FAILED
        return StudyState.COMPLETED if self._is_complete() else StudyState.STOPPED

    def _is_complete(self) -> bool:
        target = self._control.target
        return self._study.exhausted or (target is not None and self._done >= target)

    def _progress(self, state: StudyState) -> Progress:
        note = self._trouble or self._waits_for or self._note
        if not note and state.is_active and self._ledger.durability.mode == "end":
            note = "trials stay in memory and are written when the run ends"
        return Progress(state.value, self._control.target, self.elapsed(), note)

    def _seconds(self) -> float:
        return time.monotonic() - self._began - self._control.paused_seconds

    def show(self, state: StudyState) -> None:
        """Write what the study is doing now; a view can wait, so trouble is left to the next trial."""
        self.observer.state_is(state)
        with contextlib.suppress(StorageTroubleError):
            self._storage.show_progress(self._study_id, self._progress(state))

    def _note_trouble(self, error: StorageTroubleError | None) -> None:
        """Tell the user once, where the study was started: the database cannot hold this note."""
        if error is None:
            self._trouble = ""
            _logger.warning("%s: the database can be written again, nothing is lost", self._study.study_name)
        else:
            self._trouble = f"{error}; the result is kept in memory until it can be written"
            _logger.warning("%s: %s", self._study.study_name, self._trouble)

    def _tick(self) -> Iterator[Request]:
        """Show trials in flight, keep the lease, and hand on what others ask."""
        self._ledger.workers = self._executor.status()
        yield from self._storage.tick(self._study_id)
        self.observer.tick(self._storage, self._study_id)
