"""A study that this process owns: its memory is the truth, its ledger makes it durable.

Here the parts of an owned study meet: memory, ledger, live rows and the watch
for trials of others. The storage's lock is held around every call.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from optuna_nb.errors import StorageError, StorageTroubleError, TrialIdTakenError
from optuna_nb.storage import lease, succession
from optuna_nb.storage.database import LOOK_SECONDS
from optuna_nb.storage.foreign import Foreign
from optuna_nb.storage.ledger import Ledger
from optuna_nb.storage.live import LiveTable, take_requests
from optuna_nb.storage.loader import load_study
from optuna_nb.storage.memory import running_trial
from optuna_nb.storage.refusals import reading
from optuna_nb.storage.rows import encode, round_trip, storable, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import Request
    from optuna_nb.storage.dialect import StudyDatabase


class OwnedStudy:
    """One study under a lease."""

    def __init__(self, database: StudyDatabase, study_id: int) -> None:
        """Take the lease, read the study, and put in order what a dead owner left.

        Raises:
            LockedStudyError: If another process is running the study.
        """
        self._database = database
        self._renamed: dict[int, int] = {}  # id that a foreign trial took -> the new one
        self.ledger = Ledger(database, study_id, lease.acquire(database, study_id))
        try:
            with reading(database) as connection:
                self.memory = load_study(connection, study_id)
            self.ledger.waiting_rows.update(self.memory.waiting)
            for trial in succession.put_in_order(self.ledger, self.memory):
                self._write_failed(trial)
        except BaseException:
            self.release()
            raise
        self._written_attrs = self.memory.system_attrs  # of the study, as of its last finished trial
        self._live = LiveTable(self.ledger)
        self._foreign = Foreign(self.ledger, self.memory)
        self._looked = -LOOK_SECONDS  # for trials of others

    def _write_failed(self, trial: FrozenTrial) -> None:
        known = self.memory.has(trial._trial_id)
        (self.memory.replace if known else self.memory.add)(trial)
        self.memory.in_flight.discard(trial._trial_id)
        self.memory.waiting.discard(trial._trial_id)
        self.ledger.add_trial(encode(trial, self.memory.study_id), row_is_there=known)
        self.ledger.flush()

    def release(self) -> None:
        """Write what waits and let go of the lease. What an unfinished trial set is not written.

        Raises:
            StorageTroubleError: If it cannot be written just now; the lease is still ours.
        """
        try:
            if hasattr(self, "_foreign"):
                self.flush()
        except StorageTroubleError:
            raise
        except Exception:  # what cannot be written ever must not keep the study for ever
            with contextlib.suppress(StorageError):
                self._let_go()
            raise
        self._let_go()

    def _let_go(self) -> None:
        lease.release(self._database, self.ledger.study_id, self.ledger.lease.token)

    def create_trial(self, template: FrozenTrial | None) -> int:
        """Add a trial under the lowest free number, and return its id."""
        memory = self.memory
        trial = None if template is None else storable(template)
        trial_id = self.ledger.take_trial_id()
        if trial is None:
            trial = running_trial(trial_id, memory.next_number())
        else:
            trial.number = memory.next_number()
            trial._trial_id = trial_id
        memory.add(trial)
        return trial_id if trial.state == TrialState.RUNNING else self._commit(trial, None)

    def set_state(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> int:
        """Move a trial to a state, and return its id; a finished one is on disk then."""
        memory = self.memory
        trial = memory.set_state(trial_id, state, values)
        if not state.is_finished():
            return trial_id
        internals = memory.internals.pop(trial_id, {})
        return self._commit(trial, internals if len(internals) == len(trial.params) else None)

    def _commit(self, trial: FrozenTrial, internals: dict[str, float] | None) -> int:
        """Hand a trial to the ledger; return its id, another one if a foreign trial took its own."""
        self._written_attrs = self.memory.system_attrs
        trial_id = trial._trial_id
        self._renamed.pop(trial_id, None)  # of an earlier trial that had this id
        if self.ledger.add_trial(encode(trial, self.memory.study_id, internals)):
            self.flush()
        while trial_id in self._renamed:  # by now the memory may hold the foreign trial under the old id
            trial_id = self._renamed[trial_id]
        return trial_id

    def flush(self) -> None:
        """Write all that waits; a trial of ours whose id a foreign one has taken gets another."""
        while True:
            try:
                self.ledger.flush()
            except TrialIdTakenError as error:
                self._give_way(error.trial_id)
                self._foreign.take_in()
            else:
                return

    def _give_way(self, trial_id: int) -> None:
        """Give another id to a finished trial of ours that a foreign one has taken the id of."""
        new_id = self.ledger.take_trial_id_above_all()
        trial = self.memory.rename(trial_id, new_id)
        self._renamed[trial_id] = new_id
        self.ledger.rename(trial_id, encode(trial, self.memory.study_id))

    def forget(self, trial_id: int) -> None:
        """Drop a trial in flight as if it had never been asked for."""
        self.memory.remove(trial_id)
        self.memory.system_attrs = self._written_attrs
        self.ledger.drop_attributes()

    def set_attribute(self, kind: str, key: str, value: Any) -> None:
        """Set an attribute of the study: at once, or with the trial that is in flight."""
        text = to_json(value)
        memory = self.memory
        setattr(memory, kind, {**getattr(memory, kind), key: round_trip(value)})
        getattr(self.ledger, kind)[key] = text
        if not memory.in_flight:
            self._written_attrs = memory.system_attrs
            self.ledger.add_study()
            if self.ledger.durability.mode != "end":
                self.flush()

    def take_in_foreign(self) -> None:
        """Add the trials that plain Optuna or its dashboard have finished or enqueued."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self.ledger.patiently(self._foreign.take_in)  # a lock, or a server that is away, is waited for
        if clashes := self._foreign.clashes & self.ledger.unwritten():
            for trial_id in clashes:
                self._give_way(trial_id)
            self.ledger.patiently(self._foreign.take_in)
        self._looked = now

    def tick(self) -> list[Request]:
        """Show trials in flight, beat, and return what others ask."""
        if self.ledger.is_due:
            self.flush()
        self._live.tick(self.memory)
        study_id = self.memory.study_id
        with reading(self._database) as connection:
            asked = connection.execute("SELECT 1 FROM requests WHERE study_id = ? LIMIT 1", (study_id,))
            if asked.fetchone() is None:
                return []
        with self._database.transaction() as writing:
            lease.check(writing, study_id, self.ledger.lease.token)
            return take_requests(writing, study_id)
