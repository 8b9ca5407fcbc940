"""Is a study's file sound? Each check is a function that reads and returns a finding.

SQLite's own check misses a flipped byte inside a value, so trials are compared
with the hash that was written with them. Mending is in :mod:`.repair`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

from optuna_nb.errors import StorageError, StudyNotFoundError
from optuna_nb.records import Finding
from optuna_nb.storage import lease, versions
from optuna_nb.storage.dialect import is_file
from optuna_nb.storage.loader import ONE_TRIAL, WHOLE_STUDY, load_directions, load_trials, understood
from optuna_nb.storage.migrations import SERVER_STEPS, STEPS, applied_steps
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.server import place

if TYPE_CHECKING:
    from optuna_nb.records import VersionRecord
    from optuna_nb.storage.dialect import Connection

_SHOWN = 5  # numbers or lines that a finding names
_OF_AN_INDEX = ("missing from index", "wrong # of entries in index", "non-unique entry in index")
ATTRIBUTE_TABLES = ("study_user_attributes", "study_system_attributes")


def examine(url: str, name: str) -> list[Finding]:
    """Check the file of a study, and the study. Nothing is changed.

    Raises:
        StudyNotFoundError: If there is no such study.
        StorageError: If the file cannot be opened at all.
    """
    where = place(url)
    with contextlib.closing(open_read_only(url)) as connection:
        # Pages, indexes and references of a server are its own care.
        findings = [check_integrity(connection)] if is_file(connection) else []
        try:
            with translated(where):
                version = versions.resolve(connection, name)
                findings += [
                    *([check_references(connection)] if is_file(connection) else []),
                    check_steps(connection),
                    check_contents(connection, version),
                    check_attributes(connection, version),
                    check_numbers(connection, version),
                    check_running(connection, version),
                ]
        except StudyNotFoundError:
            if not findings or not findings[0].problem:
                raise
        except StorageError as error:
            findings.append(Finding("tables", str(error)))
    return findings


def check_integrity(connection: Connection) -> Finding:
    """Ask SQLite about pages, indexes and constraints of the whole file."""
    check = "integrity of the file"
    try:
        lines = [line for (line,) in connection.execute("PRAGMA integrity_check(20)")]
    except sqlite3.DatabaseError as error:
        return Finding(check, str(error))
    if lines == ["ok"]:
        return Finding(check, "")
    mendable = all(any(part in line for part in _OF_AN_INDEX) for line in lines)
    return Finding(check, _some(lines, "; "), mendable)


def check_references(connection: Connection) -> Finding:
    """Look for rows whose trial or study is gone."""
    rows = connection.execute("PRAGMA foreign_key_check").fetchall()
    tables = sorted({row[0] for row in rows})
    text = f"{len(rows)} rows of {', '.join(tables)} belong to nothing" if rows else ""
    return Finding("rows without a parent", text, can_be_mended=True)


def check_steps(connection: Connection) -> Finding:
    """Compare the tables with what this version of the package makes; Optuna's are checked by opening."""
    steps = STEPS if is_file(connection) else SERVER_STEPS
    applied, known = applied_steps(connection), {step.__name__ for step in steps}
    if unknown := applied - known:
        return Finding(
            "version of the tables", f"made by a newer optuna_nb ({min(unknown)}): update optuna_nb"
        )
    missing = known - applied if applied else set()
    text = f"{len(missing)} steps behind this optuna_nb" if missing else ""
    return Finding("version of the tables", text, can_be_mended=True)


def check_contents(connection: Connection, version: VersionRecord) -> Finding:
    """Compare each trial with the hash that was written with it."""
    numbers = [number for _, number in damaged_trials(connection, version.study_id)]
    text = f"{_trials(numbers)} not what was written" if numbers else ""
    return Finding("contents of the trials", text, can_be_mended=True)


def damaged_trials(connection: Connection, study_id: int) -> list[tuple[int, int]]:
    """Return id and number of the trials that cannot be read, or are not what was once committed."""
    try:
        load_trials(connection, WHOLE_STUDY, (study_id,), study="study")
    except (StorageError, sqlite3.OperationalError):  # the latter for text that is no UTF-8
        sql = "SELECT trial_id, number FROM trials WHERE study_id = ? ORDER BY number"
        rows = connection.execute(sql, (study_id,)).fetchall()
        return [row for row in rows if not _is_sound(connection, row[0])]
    return []


def _is_sound(connection: Connection, trial_id: int) -> bool:
    try:
        load_trials(connection, ONE_TRIAL, (trial_id,), study="study")
    except (StorageError, sqlite3.OperationalError):
        return False
    return True


def check_attributes(connection: Connection, version: VersionRecord) -> Finding:
    """Look for directions and study attributes that make no sense."""
    check = "directions and attributes of the study"
    try:
        with understood(version.study_name):
            load_directions(connection, version.study_id)
    except StorageError as error:
        return Finding(check, str(error))
    unreadable = unreadable_attributes(connection, version.study_id)
    text = f"{len(unreadable)} attributes cannot be read" if unreadable else ""
    return Finding(check, text, can_be_mended=True)


def unreadable_attributes(connection: Connection, study_id: int) -> list[tuple[str, int]]:
    """Return table and row id of the study's attributes that are no JSON."""
    found = []
    for table in ATTRIBUTE_TABLES:
        columns = "rowid, CAST(value_json AS BLOB)" if is_file(connection) else f"{table[:-1]}_id, value_json"
        sql = f"SELECT {columns} FROM {table} WHERE study_id = ?"  # noqa: S608
        for row, text in connection.execute(sql, (study_id,)):
            try:
                json.loads(text)
            except (TypeError, ValueError):
                found.append((table, row))
    return found


def check_numbers(connection: Connection, version: VersionRecord) -> Finding:
    """Look for trials that share a number."""
    numbers = sorted({number for _, number in doubled_trials(connection, version.study_id)})
    text = f"{_trials(numbers)} there more than once" if numbers else ""
    return Finding("numbers of the trials", text, can_be_mended=True)


def doubled_trials(connection: Connection, study_id: int) -> list[tuple[int, int]]:
    """Return id and number of the trials whose number an earlier one has."""
    sql = (
        "SELECT trial_id, number FROM"
        " (SELECT trial_id, number, row_number() OVER (PARTITION BY number ORDER BY trial_id) AS place"
        " FROM trials WHERE study_id = ?) AS placed WHERE place > 1 ORDER BY trial_id"
    )
    return connection.execute(sql, (study_id,)).fetchall()


def check_running(connection: Connection, version: VersionRecord) -> Finding:
    """Look for trials that are marked as running; ours never are, as they live in memory while they run."""
    numbers = [number for _, number in running_trials(connection, version.study_id)]
    text = f"{_trials(numbers)} marked as running, by plain Optuna" if numbers else ""
    return Finding("trials that run for ever", text, can_be_mended=True)


def running_trials(connection: Connection, study_id: int) -> list[tuple[int, int]]:
    """Return id and number of the trials in Optuna's table that run."""
    sql = "SELECT trial_id, number FROM trials WHERE study_id = ? AND state = 'RUNNING' ORDER BY number"
    return connection.execute(sql, (study_id,)).fetchall()


def living_owner(connection: Connection) -> str:
    """Name a study of the file that a living process owns; empty where there is none."""
    sql = (
        "SELECT study_name, host, pid, pid_started FROM study_status JOIN studies USING (study_id)"
        " WHERE host IS NOT NULL"
    )
    rows = connection.execute(sql) if applied_steps(connection) else ()
    return next((str(row[0]) for row in rows if lease.is_alive(lease.Owner(*row[1:])) is not False), "")


def _trials(numbers: list[int]) -> str:
    one = len(numbers) == 1
    return f"{'trial' if one else f'{len(numbers)} trials:'} {_some(numbers)} {'is' if one else 'are'}"


def _some(items: list[str] | list[int], separator: str = ", ") -> str:
    text = separator.join(map(str, items[:_SHOWN]))
    return text if len(items) <= _SHOWN else f"{text} and {len(items) - _SHOWN} more"
