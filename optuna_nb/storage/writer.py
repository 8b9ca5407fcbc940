"""The SQL that makes a finished trial durable: one transaction, prepared statements.

The first statement proves that the writer still owns the study; a writer whose
lease is gone changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optuna_nb.errors import LeaseLostError, TrialIdTakenError
from optuna_nb.storage import lease
from optuna_nb.storage.dialect import REFUSALS, parent_is_gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna_nb.storage.dialect import Connection
    from optuna_nb.storage.rows import TrialRows

_PROGRESS = (
    "UPDATE study_status SET beat = beat + 1, state = ?, target = ?, elapsed = ?, note = ?"
    " WHERE study_id = ? AND token = ?"
)
_TRIAL = (
    "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_WAS_WAITING = (
    "UPDATE trials SET state = ?, datetime_start = ?, datetime_complete = ?"
    " WHERE trial_id = ? AND study_id = ? AND state IN ('WAITING', 'RUNNING')"
)
_CHILDREN = {
    "params": "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
    " VALUES (?, ?, ?, ?)",
    "values": "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, ?, ?, ?)",
    "steps": "INSERT INTO trial_intermediate_values"
    " (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)",
    "user_attrs": "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
    "system_attrs": "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
}
CHILD_TABLES = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)
_COMMITTED = "INSERT INTO trial_commits (study_id, trial_id, hash) VALUES (?, ?, ?)"
_LOG = "INSERT INTO trial_logs (trial_id, text) VALUES (?, ?)"
LANDED = "DELETE FROM live_trials WHERE study_id = ? AND number = ?"
_ATTRIBUTE = (
    "INSERT INTO study_{kind}_attributes (study_id, key, value_json) VALUES (?, ?, ?)"
    " ON CONFLICT (study_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_USER_ATTRIBUTE = _ATTRIBUTE.format(kind="user")
_SYSTEM_ATTRIBUTE = _ATTRIBUTE.format(kind="system")


@dataclass(slots=True)
class Progress:
    """How far the owner is, as it stands in ``study_status``."""

    state: str = "new"
    target: int | None = None
    elapsed: float = 0.0
    note: str = ""


@dataclass(slots=True)
class Commit:
    """What one transaction writes of one study."""

    study_id: int
    token: int
    rows: TrialRows | None = None
    was_waiting: bool = False  # the trial has a row already, as it was enqueued
    had_live_row: bool = False
    log: str = ""
    user_attrs: Mapping[str, str] = field(default_factory=dict)  # of the study, as JSON
    system_attrs: Mapping[str, str] = field(default_factory=dict)
    progress: tuple[str, int | None, float, str] | None = None


def write(connection: Connection, commit: Commit) -> None:
    """Write one commit inside the caller's transaction.

    Raises:
        LeaseLostError: If another process owns the study now.
        TrialIdTakenError: If a foreign writer took the trial's id.
    """
    if commit.progress is None:
        lease.check(connection, commit.study_id, commit.token)
    else:
        done = connection.execute(_PROGRESS, (*commit.progress, commit.study_id, commit.token))
        lease.require(connection, commit.study_id, done.rowcount)
    if commit.rows is not None:
        _write_trial(connection, commit, commit.rows)
    if commit.user_attrs:
        connection.executemany(_USER_ATTRIBUTE, [(commit.study_id, *kv) for kv in commit.user_attrs.items()])
    if commit.system_attrs:
        connection.executemany(
            _SYSTEM_ATTRIBUTE, [(commit.study_id, *kv) for kv in commit.system_attrs.items()]
        )


def _write_trial(connection: Connection, commit: Commit, rows: TrialRows) -> None:
    if commit.was_waiting:
        _forget_waiting(connection, rows)
    else:
        try:
            connection.execute(_TRIAL, rows.trial)
        except REFUSALS as error:
            if parent_is_gone(error):
                msg = "another program has deleted this study: nothing more is written; run the cell again"
                raise LeaseLostError(msg, code="NB404") from error
            raise TrialIdTakenError(rows.trial_id) from error
    for name, sql in _CHILDREN.items():
        if children := getattr(rows, name):
            connection.executemany(sql, children)
    if rows.trial[3] != "WAITING":
        connection.execute(_COMMITTED, (rows.study_id, rows.trial_id, rows.digest))
    if commit.log:
        connection.execute(_LOG, (rows.trial_id, commit.log))
    if commit.had_live_row:
        connection.execute(LANDED, (rows.study_id, rows.trial[1]))


def insert(connection: Connection, rows: TrialRows) -> None:
    """Insert a trial of a study that nobody owns, or one that waits.

    Its id and number are the caller's care.
    """
    _write_trial(connection, Commit(rows.study_id, 0, rows), rows)


def _forget_waiting(connection: Connection, rows: TrialRows) -> None:
    _, _, study_id, state, start, complete = rows.trial
    done = connection.execute(_WAS_WAITING, (state, start, complete, rows.trial_id, study_id))
    if done.rowcount != 1:  # somebody else finished it meanwhile: never overwrite
        msg = f"trial {rows.trial[1]} was finished by another program: its result there is kept"
        raise LeaseLostError(msg, code="NB404")
    delete_children(connection, rows.trial_id)


def delete_children(connection: Connection, trial_id: int) -> None:
    """Delete what Optuna keeps of a trial beside its row."""
    for table in CHILD_TABLES:
        connection.execute(f"DELETE FROM {table} WHERE trial_id = ?", (trial_id,))  # noqa: S608
