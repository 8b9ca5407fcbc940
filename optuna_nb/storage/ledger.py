"""What one owned study still has to write, and when it is written.

A write that fails for want of space or a passing lock is kept and
tried again, so that a full disk costs time but no result.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna_nb.errors import CommitUnansweredError, FileGoneError, LeaseLostError, StorageTroubleError
from optuna_nb.storage import lease, writer
from optuna_nb.storage.writer import Commit, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna_nb.storage.dialect import Connection, StudyDatabase
    from optuna_nb.storage.history import History
    from optuna_nb.storage.lease import Lease
    from optuna_nb.storage.rows import TrialRows

RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Durability:
    """When finished trials are written.

    ``trial``: each before the next begins. ``pooled``: when ``buffer_size`` wait
    or ``flush_seconds`` have passed, for floods of tiny trials. ``end``: all in
    one transaction when the run ends, is interrupted or fails.

    The one transaction of ``end`` is atomic by SQLite itself: a kill in its midst
    leaves nothing of it. Writing a new file and renaming it over the old one would
    be worse, as readers, other studies and the records live in the same file.
    """

    mode: str = "trial"
    buffer_size: int = 100
    flush_seconds: float = 1.0


class Ledger:
    """The pending writes of one study. The storage's lock guards all of it."""

    def __init__(self, database: StudyDatabase, study_id: int, held: Lease) -> None:
        """Start with nothing to write."""
        self.database = database
        self.study_id = study_id
        self.lease = held
        self.next_trial_id = held.first_trial_id
        self.progress: Progress | None = None
        self.user_attrs: dict[str, str] = {}  # of the study, as JSON, not yet written
        self.system_attrs: dict[str, str] = {}
        self.logs: dict[int, str] = {}  # trial id -> what it printed, until it ends
        self.live: set[int] = set()  # ids of trials with a row in live_trials
        self.waiting_rows: set[int] = set()  # ids of trials that were enqueued and have a row
        self.workers = ""  # what the workers of a cluster are doing, as JSON; shown with the live rows
        self.on_trouble: Callable[[StorageTroubleError | None], None] | None = None
        self.give_up = threading.Event()
        self.durability = Durability()
        self.full_sync: bool | None = None  # what a commit survives; None leaves the database as it is
        self.step_interval = 1  # reported steps from one live row to the next
        self.history: History | None = None  # of the run; what it holds is written with the trials
        self.gone: FileGoneError | None = None  # while the file is not there
        self._buffer: list[Commit] = []
        self._troubled = False
        self._flushed = time.monotonic()

    def take_trial_id(self) -> int:
        """Return a fresh trial id, and set more aside when they run out."""
        if self.next_trial_id > self.lease.last_trial_id:
            self.patiently(self._set_ids_aside)
        self.next_trial_id += 1
        return self.next_trial_id - 1

    def _set_ids_aside(self) -> None:
        with self.database.transaction() as connection:
            lease.check(connection, self.study_id, self.lease.token)
            first, last = lease.reserve_trial_ids(connection, self.study_id)
        self.lease = lease.Lease(self.lease.token, first, last, self.lease.succeeded_dead_owner)
        self.next_trial_id = first

    def take_trial_id_above_all(self) -> int:
        """Return an id beyond those that a foreign writer has used or will use next."""
        self.next_trial_id = self.lease.last_trial_id + 1
        return self.take_trial_id()

    def rename(self, old_id: int, rows: TrialRows) -> None:
        """Carry over what waits for a trial that got another id; ``rows`` is the trial under it."""
        new_id = rows.trial_id
        if old_id in self.logs:
            self.logs[new_id] = self.logs.pop(old_id)
        if old_id in self.live:
            self.live.remove(old_id)
            self.live.add(new_id)
        for commit in self._buffer:
            if commit.rows is not None and commit.rows.trial_id == old_id:
                commit.rows = rows

    def add_trial(self, rows: TrialRows, *, row_is_there: bool = False) -> bool:
        """Take in a trial with all that waits for it; tell whether it is time to flush."""
        commit = self._commit(rows)
        commit.was_waiting |= row_is_there
        self._settle(commit)
        self._buffer.append(commit)
        return self.is_due

    @property
    def is_due(self) -> bool:
        """Whether what waits is to be written now."""
        durability = self.durability
        if not self._buffer or durability.mode == "end":
            return False
        return (
            durability.mode == "trial"
            or len(self._buffer) >= durability.buffer_size
            or time.monotonic() - self._flushed >= durability.flush_seconds
        )

    def flush(self) -> None:
        """Write all that waits, in one transaction.

        Blocks while the disk is full or the file locked, until the write
        succeeds or ``give_up`` is set. Where the file is gone, all goes on
        waiting: ``gone`` tells.

        Raises:
            LeaseLostError: If another process owns the study now.
            StorageTroubleError: If writing failed until ``give_up`` was set.
            TrialIdTakenError: If a foreign writer has used a trial's id; nothing was written.
        """
        for commit in self._buffer:  # what the study does is said once, as it is now
            commit.progress = None
        if self._buffer and self.progress is not None:
            self._buffer[-1].progress = _row(self.progress)
        try:
            self.insist(lambda: self._write(self._buffer))
        except LeaseLostError:
            self._buffer.clear()  # the new owner runs these trials again
            raise
        except FileGoneError:
            return
        self._buffer.clear()
        self._flushed = time.monotonic()

    def insist(self, write: Callable[[], object]) -> None:
        """Write until it succeeds or ``give_up`` is set; tell once of trouble, and once of its end.

        Raises:
            FileGoneError: If the file is gone, at once: that seldom passes.
            StorageTroubleError: If writing failed until ``give_up`` was set.
        """
        while True:
            try:
                write()
            except StorageTroubleError as error:
                if not self._troubled and self.on_trouble is not None:
                    self.on_trouble(error)
                self._troubled = True
                if isinstance(error, FileGoneError):
                    self.gone = error
                    raise
                if self.give_up.wait(RETRY_SECONDS):
                    raise
            else:
                break
        if self._troubled and self.on_trouble is not None:
            self.on_trouble(None)
        self._troubled = False
        self.gone = None

    def patiently(self, step: Callable[[], object]) -> None:
        """Do what is needed before a trial begins; a lock or a server that is away is waited for.

        That it succeeds at once says nothing of whether a trial can be written.

        Raises:
            StorageTroubleError: If it failed until ``give_up`` was set.
        """
        try:
            step()
        except FileGoneError:
            raise
        except StorageTroubleError:
            self.insist(step)

    @property
    def n_unwritten(self) -> int:
        """How many finished trials are in memory alone."""
        return sum(commit.rows is not None for commit in self._buffer)

    def unwritten(self) -> set[int]:
        """Return the ids of trials that wait to be written and have no row yet."""
        return {c.rows.trial_id for c in self._buffer if c.rows is not None and not c.was_waiting}

    def add_study(self) -> None:
        """Take in the study's attributes and progress, without a trial."""
        commit = self._commit(None)
        self._settle(commit)
        self._buffer.append(commit)

    def show(self, progress: Progress) -> None:
        """Write the progress alone; what waits for a trial stays waiting."""
        self.progress = progress
        self._write([Commit(self.study_id, self.lease.token, progress=_row(progress))])

    def drop_attributes(self) -> None:
        """Forget what an unfinished trial set on the study, so that a resume is exact."""
        self.system_attrs.clear()

    def _commit(self, rows: TrialRows | None) -> Commit:
        progress = self.progress
        trial_id = None if rows is None else rows.trial_id
        return Commit(
            self.study_id,
            self.lease.token,
            rows,
            was_waiting=trial_id in self.waiting_rows,
            had_live_row=trial_id in self.live,
            log=self.logs.get(trial_id, "") if trial_id is not None else "",
            user_attrs=dict(self.user_attrs),
            system_attrs=dict(self.system_attrs),
            progress=None if progress is None else _row(progress),
        )

    def _write(self, commits: list[Commit]) -> None:
        if not commits:
            return
        self.database.check_file()
        if self.history is not None and self.history.waits and any(c.rows is not None for c in commits):
            with self.history.handed_over() as write_history:
                self._transact(commits, write_history)
        else:
            self._transact(commits, None)

    def _transact(self, commits: list[Commit], write_history: Callable[[Connection], None] | None) -> None:
        with self.database.lock:  # nobody else chooses another synchronous in between
            if self.full_sync is not None:
                self.database.sync_fully(self.full_sync)
            try:
                with self.database.owners_transaction() as connection:
                    for commit in commits:
                        writer.write(connection, commit)
                    if write_history is not None:
                        write_history(connection)
            except CommitUnansweredError as error:
                if all(commit.rows is None for commit in commits):
                    raise  # nothing is lost or doubled by writing it again
                if not self._was_committed(error):
                    raise

    def _was_committed(self, error: CommitUnansweredError) -> bool:
        """Ask the server, once it is back, whether a trial is written: it must not be written twice."""
        if not self._troubled and self.on_trouble is not None:
            self.on_trouble(error)
        self._troubled = True
        while True:
            try:
                return self.database.was_committed(error.ticket)
            except StorageTroubleError:
                if self.give_up.wait(RETRY_SECONDS):
                    raise

    def _settle(self, commit: Commit) -> None:
        for written, waiting in (
            (commit.user_attrs, self.user_attrs),
            (commit.system_attrs, self.system_attrs),
        ):
            for key, text in written.items():
                if waiting.get(key) is text:
                    del waiting[key]
        if commit.rows is not None:
            trial_id = commit.rows.trial_id
            self.logs.pop(trial_id, None)
            self.live.discard(trial_id)
            self.waiting_rows.discard(trial_id)
            if commit.rows.trial[3] == "WAITING":
                self.waiting_rows.add(trial_id)


def _row(progress: Progress) -> tuple[str, int | None, float, str]:
    return progress.state, progress.target, progress.elapsed, progress.note
