"""Optuna's storage interface over one database: reads from memory, durable writes.

The first write to a study takes its lease; from then on its memory is the
truth and every finished trial is committed before ``tell`` returns. Nothing of
an unfinished trial reaches Optuna's tables, and study attributes that are set
while a trial is in flight wait for that trial: so a killed study stands in the
file exactly as after its last finished trial.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from copy import deepcopy as deep_copy
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from optuna_nb.errors import StorageTroubleError
from optuna_nb.storage.dialect import data_version
from optuna_nb.storage.loader import load_study
from optuna_nb.storage.memory import StudyMemory, changed
from optuna_nb.storage.opening import open_database
from optuna_nb.storage.owned import OwnedStudy
from optuna_nb.storage.refusals import reading
from optuna_nb.storage.rows import check_param, check_step, plain_text, round_trip
from optuna_nb.storage.study_rows import delete_study, insert_study

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection

    from optuna_nb.records import Request
    from optuna_nb.storage.dialect import Connection, StudyDatabase
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.writer import Progress


class StudyStorage(BaseStorage):
    """Studies in one SQLite file, or in one database of a server. Safe to share between threads."""

    def __init__(self, database: StudyDatabase | str) -> None:
        """Open a database, or use one that is open (it is then not closed here).

        Raises:
            StorageError: If it cannot be opened.
        """
        self._own_database = isinstance(database, str)
        self.database = open_database(database) if isinstance(database, str) else database
        if self._own_database:
            weakref.finalize(self, self.database.close)
        self._lock = threading.RLock()
        self._owned: dict[int, OwnedStudy] = {}
        self._read: dict[int, StudyMemory] = {}  # studies of others, as last read
        self._renamed: dict[int, int] = {}  # id of ours that a foreign trial took -> the new one
        self._highest_id = 0  # of the studies made here
        self._seen_version = self._data_version()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle where the studies are, not what is known of them."""
        return {"url": self.database.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the same database anew, owning nothing."""
        self.__init__(state["url"])  # type: ignore[misc]

    # Leases

    def acquire(self, study_id: int) -> Ledger:
        """Own the study: take its lease, and read it anew.

        Raises:
            LockedStudyError: If another kernel is running it.
            KeyError: If there is no such study.
        """
        with self._lock:
            return self._own(study_id).ledger

    def _own(self, study_id: int) -> OwnedStudy:
        owned = self._owned.get(study_id)
        if owned is None:
            self._check_study(study_id)
            owned = self._owned[study_id] = OwnedStudy(self.database, study_id)
            self._read.pop(study_id, None)
        return owned

    def release(self, study_id: int) -> None:
        """Let go of the study. What an unfinished trial set on it is not written."""
        with self._lock:
            owned = self._owned.pop(study_id, None)
            if owned is not None:
                try:
                    owned.release()
                except StorageTroubleError:  # it can be let go of later
                    self._owned[study_id] = owned
                    raise

    def close(self) -> None:
        """Release all studies and close the database."""
        with self._lock:
            try:
                for study_id in list(self._owned):
                    self.release(study_id)
            finally:
                if self._own_database:
                    self.database.close()

    def elapsed(self, study_id: int) -> float:
        """Return the seconds of tuning that are on record for the study."""
        with self._lock:
            found = self._query("SELECT elapsed FROM study_status WHERE study_id = ?", study_id)
        return float(found[0][0]) if found else 0.0

    def show_progress(self, study_id: int, progress: Progress) -> None:
        """Write what the owner is doing now; study attributes that wait stay waiting.

        Raises:
            LeaseLostError: If another process owns the study now.
            StorageTroubleError: If the file cannot be written just now.
        """
        with self._lock:
            self._owned[study_id].ledger.show(progress)

    def tick(self, study_id: int) -> list[Request]:
        """Show trials in flight, beat, and return what others ask. For a few times a second.

        Raises:
            LeaseLostError: If another process owns the study now.
            StorageTroubleError: If the file cannot be written just now.
        """
        with self._lock:
            return self._owned[study_id].tick()

    def flush(self, study_id: int) -> None:
        """Write all that waits, whatever the durability.

        Raises:
            LeaseLostError: If another process owns the study now.
        """
        with self._lock:
            self._owned[study_id].flush()

    def forget_trial(self, trial_id: int) -> None:
        """Drop a trial in flight as if it had never been asked for."""
        with self._lock:
            self._owned[self._memory_of_trial(trial_id).study_id].forget(trial_id)

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create a study and own it."""
        generated = DEFAULT_STUDY_NAME_PREFIX + str(uuid.uuid4())
        return self.create_study(generated if study_name is None else study_name, directions)

    def create_study(
        self,
        name: str,
        directions: Sequence[StudyDirection],
        also: Callable[[Connection, int], None] = lambda *_: None,
    ) -> int:
        """Create a study and own it; what ``also`` writes is in the same transaction.

        Raises:
            DuplicatedStudyError: If the name is taken.
        """
        with self._lock:
            with self.database.transaction() as connection:
                study_id = insert_study(connection, name, directions, above=self._highest_id)
                also(connection, study_id)
            self._highest_id = study_id
            self._own(study_id)
            return study_id

    def delete_study(self, study_id: int) -> None:
        """Delete a study with all that belongs to it."""
        with self._lock:
            self._own(study_id)
            with self.database.transaction() as connection:
                delete_study(connection, study_id)
            del self._owned[study_id]

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute: at once, or with the trial that is in flight."""
        with self._lock:
            self._own(study_id).set_attribute("user_attrs", self._name(key, "attribute"), value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute: at once, or with the trial that is in flight."""
        with self._lock:
            self._own(study_id).set_attribute("system_attrs", self._name(key, "attribute"), value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return the id of the study of that name."""
        with self._lock:
            name = plain_text(study_name, "study name")
            found = self._query("SELECT study_id FROM studies WHERE study_name = ?", name)
            if not found:
                msg = f"No such study {study_name}."
                raise KeyError(msg)
            return int(found[0][0])

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return the name of the study."""
        with self._lock:
            return self._memory(study_id).name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions, by objective."""
        with self._lock:
            return self._memory(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user's attributes; not to be changed."""
        with self._lock:
            return self._memory(study_id).user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return Optuna's attributes; not to be changed."""
        with self._lock:
            return self._memory(study_id).system_attrs

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies of the file."""
        with self._lock:
            ids = self._query("SELECT study_id FROM studies ORDER BY study_id")
            return [self._frozen(self._memory(study_id)) for (study_id,) in ids]

    @staticmethod
    def _frozen(memory: StudyMemory) -> FrozenStudy:
        return FrozenStudy(
            study_name=memory.name,
            direction=None,
            directions=memory.directions,
            user_attrs=deep_copy(memory.user_attrs),
            system_attrs=deep_copy(memory.system_attrs),
            study_id=memory.study_id,
        )

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial under the lowest free number; only memory knows it while it runs."""
        with self._lock:
            return self._own(study_id).create_trial(template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Draw a parameter of a trial in flight."""
        param_name = self._name(param_name, "parameter")
        check_param(param_name, distribution)
        with self._lock:
            memory = self._open_trial(trial_id)
            memory.set_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Move a trial to a state; a finished one is on disk when this returns."""
        with self._lock:
            if state == TrialState.RUNNING:
                self._renamed.pop(trial_id, None)  # who claims a waiting trial means the one with this id now
            memory = self._open_trial(trial_id)
            if state == TrialState.RUNNING and memory.get(trial_id).state != TrialState.WAITING:
                return False
            present_id = self._renamed.get(trial_id, trial_id)
            new_id = self._own(memory.study_id).set_state(present_id, state, values)
            if new_id != trial_id:
                self._renamed[trial_id] = new_id
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Report a value of a trial in flight."""
        check_step(step, self.database.largest_step)
        with self._lock:
            memory = self._open_trial(trial_id)
            trial = changed(memory.get(trial_id))
            trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value + 0.0}
            memory.replace(trial)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial in flight."""
        self._set_trial_attr(trial_id, "user_attrs", key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's on a trial in flight."""
        self._set_trial_attr(trial_id, "system_attrs", key, value)

    def _set_trial_attr(self, trial_id: int, kind: str, key: str, value: Any) -> None:
        key, value = self._name(key, "attribute"), round_trip(value)
        with self._lock:
            memory = self._open_trial(trial_id)
            trial = changed(memory.get(trial_id))
            setattr(trial, kind, {**getattr(trial, kind), key: value})
            memory.replace(trial)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial; not to be changed."""
        with self._lock:
            return self._memory_of_trial(trial_id).get(self._renamed.get(trial_id, trial_id))

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """Return the id of a trial."""
        with self._lock:
            trial = self._memory(study_id).by_number(trial_number)
            if trial is None:
                msg = f"No trial with number {trial_number} exists in study with study_id {study_id}."
                raise KeyError(msg)
            return trial._trial_id

    def get_trial_number_from_id(self, trial_id: int) -> int:
        """Return the number of a trial."""
        return self.get_trial(trial_id).number

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001, FBT002 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials of a study by number; not to be changed unless copied."""
        with self._lock:
            if states == (TrialState.WAITING,) and study_id in self._owned:
                self._owned[study_id].take_in_foreign()  # Optuna asks so before each new trial
            trials = self._memory(study_id).select(states)
        return deep_copy(trials) if deepcopy else trials

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the best complete trial, feasible or not, as Optuna's storages do."""
        with self._lock:
            memory = self._memory(study_id)
            if len(memory.directions) > 1:
                msg = "Best trial can be obtained only for single-objective optimization."
                raise RuntimeError(msg)
            if memory.best is None:
                msg = "No trials are completed yet."
                raise ValueError(msg)
            return memory.best

    def _name(self, text: str, what: str) -> str:
        return plain_text(text, what, self.database.longest_name)

    # From ids to memories

    def _query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with reading(self.database) as connection:
            return connection.execute(sql, parameters).fetchall()

    def _data_version(self) -> int | str:
        with reading(self.database) as connection:
            return data_version(connection)

    def _check_study(self, study_id: int) -> None:
        if not self._query("SELECT 1 FROM studies WHERE study_id = ?", study_id):
            msg = f"No study with study_id {study_id} exists."
            raise KeyError(msg)

    def _memory(self, study_id: int) -> StudyMemory:
        """Return a study's memory: our own as it is, another's as it is in the file."""
        owned = self._owned.get(study_id)
        if owned is not None:
            return owned.memory
        version = self._data_version()
        if version != self._seen_version:
            self._seen_version = version
            self._read.clear()
        memory = self._read.get(study_id)
        if memory is None:
            self._check_study(study_id)
            with reading(self.database) as connection:
                memory = self._read[study_id] = load_study(connection, study_id)
        return memory

    def _memory_of_trial(self, trial_id: int) -> StudyMemory:
        trial_id = self._renamed.get(trial_id, trial_id)
        for owned in self._owned.values():
            memory = owned.memory
            if memory.has(trial_id):
                return memory
        found = self._query("SELECT study_id FROM trials WHERE trial_id = ?", trial_id)
        if not found:
            msg = f"No trial with trial_id {trial_id} exists."
            raise KeyError(msg)
        return self._memory(int(found[0][0]))

    def _open_trial(self, trial_id: int) -> StudyMemory:
        """Return the memory of a trial that may still be changed."""
        memory = self._memory_of_trial(trial_id)
        state = memory.get(self._renamed.get(trial_id, trial_id)).state
        if state != TrialState.RUNNING:
            self.check_trial_is_updatable(trial_id, state)
        return memory
