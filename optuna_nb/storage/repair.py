"""Mending what :mod:`.doctor` finds, after a copy of the file is kept.

What cannot be mended is taken out rather than guessed: a trial whose content is
not what was written goes, and its number runs again when the study goes on.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

from optuna_nb.errors import LockedStudyError
from optuna_nb.storage import doctor, versions
from optuna_nb.storage.column_types import now
from optuna_nb.storage.loader import ONE_TRIAL, load_trials
from optuna_nb.storage.opening import open_file, open_file_read_only
from optuna_nb.storage.paths import make_private, sqlite_path
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.rows import encode
from optuna_nb.storage.succession import CAUSE
from optuna_nb.storage.writer import delete_children

if TYPE_CHECKING:
    from pathlib import Path


def repair(url: str, name: str) -> tuple[Path, list[str]]:
    """Keep a copy of the file, then mend what can be mended, in one transaction.

    Returns:
        The copy, and a line for each thing that was done.

    Raises:
        LockedStudyError: If a kernel runs a study of the file.
        StudyNotFoundError: If there is no such study.
        StorageError: If the file cannot be read or written.
    """
    path = sqlite_path(url)
    with contextlib.closing(open_file_read_only(url)) as connection, translated(path):
        if owned := doctor.living_owner(connection):
            msg = f"a kernel is running {owned} in this file: %tune stop {owned} first"
            raise LockedStudyError(msg, code="NB403")
        if not doctor.check_integrity(connection).problem:  # a broken index may hide the study
            versions.resolve(connection, name)
    copy = keep_copy(path)
    database = open_file(url)  # brings the tables up to date
    try:
        with database.transaction() as connection:
            indexes = _rebuild_indexes(connection)
            study_id = versions.resolve(connection, name).study_id
            done = [
                indexes,
                _drop_orphans(connection),
                _drop_damaged(connection, study_id),
                _drop_attributes(connection, study_id),
                _end_running(connection, study_id),
                _renumber(connection, study_id),
            ]
    finally:
        database.close()
    return copy, [line for line in done if line]


def keep_copy(path: Path) -> Path:
    """Copy the file, as it is now, beside itself; an earlier copy is never overwritten."""
    names = (f"{path.name}.before-repair{f'-{i}' if i > 1 else ''}" for i in range(1, 1_000_000))
    copy = next(it for it in map(path.with_name, names) if not it.exists())
    try:
        with (
            contextlib.closing(open_file_read_only(str(path))) as source,
            contextlib.closing(sqlite3.connect(copy)) as to,
        ):
            source.backup(to)
    except sqlite3.Error:  # too damaged for SQLite to read: byte by byte, with the log
        shutil.copy2(path, copy)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
    make_private(copy)
    return copy


def _rebuild_indexes(connection: sqlite3.Connection) -> str:
    finding = doctor.check_integrity(connection)
    if not finding.problem or not finding.can_be_mended:
        return ""
    connection.execute("REINDEX")
    return "built the indexes anew"


def _drop_orphans(connection: sqlite3.Connection) -> str:
    count = 0
    while rows := connection.execute("PRAGMA foreign_key_check").fetchall():
        gone = sum(
            connection.execute(*_without_parent(connection, *row)).rowcount for row in dict.fromkeys(rows)
        )
        if not gone:
            break
        count += gone
    return f"deleted {count} rows that belonged to nothing" if count else ""


def _without_parent(
    connection: sqlite3.Connection, table: str, rowid: int | None, parent: str, key: int
) -> tuple[str, tuple[int, ...]]:
    """Return what deletes a row that ``foreign_key_check`` names, or all like it where rows have no ids."""
    child = _quoted(table)
    if rowid is not None:
        return f"DELETE FROM {child} WHERE rowid = ?", (rowid,)  # noqa: S608 - quoted
    keys = connection.execute(f"PRAGMA foreign_key_list({child})")
    column, theirs = next((_quoted(row[3]), _quoted(row[4])) for row in keys if row[0] == key)
    others = f"SELECT {theirs} FROM {_quoted(parent)}"  # noqa: S608 - quoted
    return f"DELETE FROM {child} WHERE {column} IS NOT NULL AND {column} NOT IN ({others})", ()  # noqa: S608 - quoted


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _drop_damaged(connection: sqlite3.Connection, study_id: int) -> str:
    damaged = doctor.damaged_trials(connection, study_id)
    for trial_id, _ in damaged:
        delete_children(connection, trial_id)
        connection.execute("DELETE FROM trials WHERE trial_id = ?", (trial_id,))
    numbers = ", ".join(str(number) for _, number in damaged)
    return f"took out the damaged trials {numbers}: these numbers run again" if damaged else ""


def _drop_attributes(connection: sqlite3.Connection, study_id: int) -> str:
    unreadable = doctor.unreadable_attributes(connection, study_id)
    for table, row in unreadable:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))  # noqa: S608
    return f"deleted {len(unreadable)} attributes that could not be read" if unreadable else ""


def _end_running(connection: sqlite3.Connection, study_id: int) -> str:
    running = doctor.running_trials(connection, study_id)
    ended = now().replace(tzinfo=None).isoformat(" ", "microseconds")
    for trial_id, _ in running:
        connection.execute(
            "UPDATE trials SET state = 'FAIL', datetime_complete = ? WHERE trial_id = ?", (ended, trial_id)
        )
        connection.execute(
            "INSERT OR REPLACE INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
            (trial_id, CAUSE, json.dumps("its program ended")),
        )
        _hash_anew(connection, study_id, trial_id)
    return f"marked {len(running)} trials as failed that ran for ever" if running else ""


def _renumber(connection: sqlite3.Connection, study_id: int) -> str:
    doubled = doctor.doubled_trials(connection, study_id)
    (top,) = connection.execute("SELECT max(number) FROM trials WHERE study_id = ?", (study_id,)).fetchone()
    for place, (trial_id, _) in enumerate(doubled, start=1):
        connection.execute("UPDATE trials SET number = ? WHERE trial_id = ?", (top + place, trial_id))
        _hash_anew(connection, study_id, trial_id)
    return f"gave {len(doubled)} trials numbers of their own" if doubled else ""


def _hash_anew(connection: sqlite3.Connection, study_id: int, trial_id: int) -> None:
    """Commit a trial as it is now; it was sound before it was changed here."""
    connection.execute("DELETE FROM trial_commits WHERE trial_id = ?", (trial_id,))
    (trial,) = load_trials(connection, ONE_TRIAL, (trial_id,), study="study")
    if trial.state.is_finished():
        connection.execute(
            "INSERT INTO trial_commits (study_id, trial_id, hash) VALUES (?, ?, ?)",
            (study_id, trial_id, encode(trial, study_id).digest),
        )
