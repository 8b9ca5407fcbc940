"""What a new owner of a study finds and puts in order before the first trial.

A trial that was in flight when the former owner died runs again under its own
number; one that has been there for two deaths is marked failed and passed
over. Rows that plain Optuna left as running belong to nobody any more.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from optuna_nb.records import StudyState
from optuna_nb.storage import lease, live
from optuna_nb.storage.memory import changed, running_trial
from optuna_nb.storage.refusals import reading

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from optuna_nb.storage.dialect import Connection, StudyDatabase
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.memory import StudyMemory

DEATHS_ALLOWED = 1
CAUSE = "optuna_nb:failed_because"  # system attribute of a trial that was passed over


def put_in_order(ledger: Ledger, memory: StudyMemory) -> list[FrozenTrial]:
    """Clear what the former owner left; return the trials to be written as failed, with new ids or old.

    Raises:
        LeaseLostError: If another process owns the study now.
    """
    study_id = ledger.study_id
    with ledger.database.transaction() as connection:
        lease.check(connection, study_id, ledger.lease.token)
        in_flight = live.clear(connection, study_id)
        live.take_requests(connection, study_id)  # they were meant for a run that is over
        if ledger.lease.succeeded_dead_owner:
            if not in_flight and _was_in_a_trial(connection, study_id):
                in_flight = [_next_number(memory)]
            deadly = _count_deaths(connection, study_id, in_flight)
            # Dying from here to the first trial is no death of a trial.
            connection.execute(
                "UPDATE study_status SET state = ? WHERE study_id = ?", (StudyState.INTERRUPTED, study_id)
            )
        else:
            deadly = []
    failed = [_as_failed(trial, "its program ended") for trial in memory.select((TrialState.RUNNING,))]
    for number in deadly:
        known = memory.by_number(number)
        if known is None or known.state == TrialState.WAITING:  # an enqueued one waits until it has ended
            trial = known or running_trial(ledger.take_trial_id(), number)
            failed.append(_as_failed(trial, "the kernel died twice in this trial"))
    return failed


def _next_number(memory: StudyMemory) -> int:
    """Return the number of the trial that is asked for next: enqueued ones come first."""
    waiting = memory.select((TrialState.WAITING,))
    return waiting[0].number if waiting else memory.next_number()


def retried_trials(database: StudyDatabase, study_id: int) -> list[int]:
    """Return the numbers of the trials that are to run again, as a kernel died in them."""
    with reading(database) as connection:
        rows = connection.execute(
            "SELECT number FROM trial_deaths AS deaths WHERE study_id = ? AND NOT EXISTS"
            " (SELECT 1 FROM trials WHERE trials.study_id = deaths.study_id"
            " AND trials.number = deaths.number) ORDER BY number",
            (study_id,),
        )
        return [number for (number,) in rows]


def _was_in_a_trial(connection: Connection, study_id: int) -> bool:
    """Tell whether the dead owner was at a trial too young to have a live row."""
    (state,) = connection.execute("SELECT state FROM study_status WHERE study_id = ?", (study_id,)).fetchone()
    return state in (StudyState.RUNNING, StudyState.STOPPING)


def _count_deaths(connection: Connection, study_id: int, numbers: list[int]) -> list[int]:
    """Count one more death for each trial; return those that have had too many."""
    connection.executemany(
        "INSERT INTO trial_deaths (study_id, number, deaths) VALUES (?, ?, 1)"
        " ON CONFLICT (study_id, number) DO UPDATE SET deaths = trial_deaths.deaths + 1",
        [(study_id, number) for number in numbers],
    )
    rows = connection.execute(
        "SELECT number FROM trial_deaths WHERE study_id = ? AND deaths > ?", (study_id, DEATHS_ALLOWED)
    )
    return sorted(number for (number,) in rows)


def _as_failed(trial: FrozenTrial, cause: str) -> FrozenTrial:
    failed = changed(trial)
    failed.state = TrialState.FAIL
    failed.datetime_complete = datetime.now()  # noqa: DTZ005 - Optuna's trials carry local time
    failed.datetime_start = trial.datetime_start or failed.datetime_complete
    failed.system_attrs = {**trial.system_attrs, CAUSE: cause}
    return failed
