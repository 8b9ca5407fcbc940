"""Trials that plain Optuna or its dashboard put into a study that we own.

They are taken in when they are finished or enqueued. Their ids are theirs: a
trial of ours that meant to use the same id takes another. Where a number is
taken twice the foreign trial is given the next free one, as ours is already
part of a run that must come out the same when it is resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.trial import TrialState

from optuna_nb.errors import StorageTroubleError
from optuna_nb.storage import lease
from optuna_nb.storage.dialect import data_version
from optuna_nb.storage.loader import IDS_ABOVE, load_trials
from optuna_nb.storage.memory import changed
from optuna_nb.storage.refusals import reading
from optuna_nb.storage.rows import encode

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from optuna_nb.storage.dialect import Connection
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.memory import StudyMemory


_IDS = "SELECT trial_id FROM trials WHERE study_id = ? AND trial_id > ?"


class Foreign:
    """Watches one owned study for trials of others. The storage's lock is held."""

    def __init__(self, ledger: Ledger, memory: StudyMemory) -> None:
        """Start from what is in memory."""
        self._ledger = ledger
        self._memory = memory
        self._last_id = max((trial._trial_id for trial in memory.trials), default=0)
        self.clashes: set[int] = set()  # ids that a trial of ours without a row and a foreign one have
        self._version: int | str = -1  # a trial may have come between the reading and this line

    def take_in(self) -> list[FrozenTrial]:
        """Add new trials of others to memory, and return them; reads nothing where nobody has written."""
        with reading(self._ledger.database) as connection:
            version = data_version(connection)
        if version == self._version:
            return []
        ledger, memory, before = self._ledger, self._memory, self._last_id
        key = (ledger.study_id, self._last_id)
        unwritten = self._ids_without_row()
        with reading(ledger.database) as connection:
            there = {trial_id for (trial_id,) in connection.execute(_IDS, key).fetchall()}
        if all(memory.has(i) and i not in unwritten for i in there):  # all ours: a server counts these too
            self.clashes, self._version = set(), version
            self._last_id = max([self._last_id, *there])
            return []
        known = {trial._trial_id for trial in memory.trials if trial._trial_id > self._last_id}
        with reading(ledger.database) as connection:
            found = load_trials(connection, IDS_ABOVE, key, study=memory.name)
        self.clashes = unwritten.intersection(trial._trial_id for trial in found)
        found = [trial for trial in found if trial._trial_id not in known]
        if not self.clashes:  # else looked at again, once ours has been written under another id
            self._version = version
        running = [trial for trial in found if trial.state == TrialState.RUNNING]
        if running or self.clashes:  # looked at again when its program has written something
            found = [trial for trial in found if trial.state != TrialState.RUNNING]
        else:
            self._last_id = max([self._last_id, *(known - unwritten), *(trial._trial_id for trial in found)])
        if not found:
            return []
        try:
            with ledger.database.transaction() as writing:
                lease.check(writing, ledger.study_id, ledger.lease.token)
                return [self._add(writing, trial) for trial in sorted(found, key=lambda t: t.number)]
        except StorageTroubleError:  # they are taken in another time
            for trial in found:
                if memory.has(trial._trial_id):
                    memory.remove(trial._trial_id)
                    ledger.waiting_rows.discard(trial._trial_id)
            self._version, self._last_id = -1, before
            raise

    def _add(self, connection: Connection, trial: FrozenTrial) -> FrozenTrial:
        ledger, memory = self._ledger, self._memory
        if memory.by_number(trial.number) is not None:
            trial = changed(trial)
            trial.number = memory.next_number()
            connection.execute(
                "UPDATE trials SET number = ? WHERE trial_id = ?", (trial.number, trial._trial_id)
            )
        memory.add(trial)
        if trial.state == TrialState.WAITING:
            ledger.waiting_rows.add(trial._trial_id)
        else:
            connection.execute(
                "INSERT INTO trial_commits (study_id, trial_id, hash) VALUES (?, ?, ?)"
                " ON CONFLICT (trial_id) DO NOTHING",  # an earlier COMMIT may not have been answered
                (ledger.study_id, trial._trial_id, encode(trial, ledger.study_id).digest),
            )
        return trial

    def _ids_without_row(self) -> set[int]:
        """Return the ids of our own trials that are not in the file yet."""
        return self._ledger.unwritten() | (self._memory.in_flight - self._ledger.waiting_rows)
