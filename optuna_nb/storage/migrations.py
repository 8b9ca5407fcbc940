"""Making a database, and bringing an older one up to date.

Optuna's tables are made and checked by Optuna's own code. Ours come from named
steps, each with its own commit, in which it also records itself; a new file
goes through all of them, an older one through those that it has not seen. A
step that has been released is never edited: the next change is the next step.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError
from optuna_nb.storage.column_types import now
from optuna_nb.storage.database import (
    Database,
    connect,
    explain,
    find_journal,
    make_private,
    sqlite_path,
    translated,
)
from optuna_nb.storage.record_rules import create_rules, keep_owners_apart
from optuna_nb.storage.record_tables import RecordBase
from optuna_nb.storage.schema import FOLLOW_DELETES, STUDY_TABLES, Base, Migration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def create_study_tables(connection: sqlalchemy.Connection) -> None:
    """Add what a study needs beside Optuna's tables."""
    Base.metadata.create_all(connection, tables=STUDY_TABLES)
    for trigger in FOLLOW_DELETES:
        connection.exec_driver_sql(trigger)


def create_record_tables(connection: sqlalchemy.Connection) -> None:
    """Add experiments, model runs, tuning runs and what these leave behind."""
    RecordBase.metadata.create_all(connection)


def create_record_rules(connection: sqlalchemy.Connection) -> None:
    """Let the database itself keep what the records promise."""
    create_rules(connection)


def keep_records_of_owners_apart(connection: sqlalchemy.Connection) -> None:
    """Show a user of a shared server only their own records."""
    keep_owners_apart(connection)


Step = Callable[[sqlalchemy.Connection], None]
RECORD_STEPS: tuple[Step, ...] = (create_record_tables, create_record_rules, keep_records_of_owners_apart)
# A commit writes whole pages to the log: a quarter of SQLite's usual page makes a trial 10 % cheaper.
PAGE_BYTES = 1024

STEPS: tuple[Step, ...] = (create_study_tables, *RECORD_STEPS)


def open_database(url: str) -> Database:
    """Open the database that a storage URL names; make it if there is none.

    Raises:
        StorageError: If it cannot be opened, or was made by a newer version of
            Optuna or of this package.
    """
    path = sqlite_path(url)
    if not path.exists():
        _create(path)
    database = Database(path)
    try:
        with translated(path):
            _check_optuna_tables(database)
            _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    """Build the file aside and link it into place whole, so a kill leaves none or all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            memory.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _optuna_tables(memory)
            _fitting.add(_optuna_schema(memory))
            engine = sqlalchemy.create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
            for step in STEPS:
                with engine.begin() as connection:
                    apply(connection, step)
            with contextlib.closing(sqlite3.connect(draft)) as target:
                make_private(draft)
                memory.backup(target)
        _set_aside_log_without_file(path)
        with contextlib.suppress(FileExistsError):  # another kernel was quicker
            os.link(draft, path)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except OSError as error:
        if not path.parent.is_dir():
            msg = f"the folder {path.parent} does not exist: create it, or name another file"
            raise StorageError(msg) from error
        msg = f"{path} cannot be created ({error.strerror}): name another file"
        raise StorageError(msg) from error
    finally:
        draft.unlink(missing_ok=True)


def _set_aside_log_without_file(path: Path) -> None:
    """Rename the write-ahead log of a file that was deleted: SQLite would play it into the new one.

    It is kept, as the file may only have been moved, and the log may hold what is not in it.
    """
    log = path.with_name(f"{path.name}-wal")
    aside = path.with_name(f"{path.name}-wal.of-a-deleted-file")
    with contextlib.suppress(FileNotFoundError):
        log.rename(aside)
        if path.exists():  # another kernel was quicker, and the log is its own
            aside.rename(log)


def _optuna_tables(connection: sqlite3.Connection) -> None:
    # The path never enters a URL, so no character of it has a meaning there.
    RDBStorage("sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool})


_fitting: set[tuple[object, ...]] = set()  # schema versions that Optuna has said to be its own


def _optuna_schema(connection: sqlite3.Connection) -> tuple[object, ...]:
    tables = ("version_info", "alembic_version")
    found = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN (?, ?)", tables
    )
    if found.fetchone() != (len(tables),):
        return ()
    versions = connection.execute("SELECT schema_version FROM version_info").fetchall()
    steps = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(versions) > 1 or len(steps) > 1:  # nobody writes a second row
        msg = "Optuna's version tables are damaged: put a copy of the file in its place"
        raise StorageError(msg)
    return (*versions, *steps)


def _check_optuna_tables(database: Database) -> None:
    """Make or check Optuna's tables; asking Optuna takes 60 ms, so a version is asked about once."""
    try:
        with database.lock:
            if _optuna_schema(database.connection) in _fitting:
                return
            _optuna_tables(database.connection)
            _fitting.add(_optuna_schema(database.connection))
    except RuntimeError as error:
        fix = "update Optuna" if "try updating" in str(error) else "run `optuna storage upgrade` on it"
        msg = f"{database.path} does not fit Optuna {optuna.__version__}: {fix}"
        raise StorageError(msg) from error
    except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        cause = error if isinstance(error, sqlalchemy.exc.DBAPIError) else error.__cause__
        original = getattr(cause, "orig", None)
        if isinstance(original, sqlite3.Error):
            raise explain(database.path, original) from error
        msg = f"{database.path} is damaged: put a copy of it in its place"
        raise StorageError(msg) from error


def _migrate(database: Database) -> None:
    with database.lock:
        applied = applied_steps(database.connection)
    missing = missing_steps(applied, STEPS, str(database.path))
    if missing and applied:
        _keep_copy(database, missing[0])
    for step in missing:
        with database.records() as connection:
            apply(connection, step)


def missing_steps(applied: set[str], steps: Sequence[Step], place: str) -> list[Step]:
    """Return the steps that a database has not been through.

    Raises:
        StorageError: If it has been through one that this code does not know.
    """
    if unknown := applied - {step.__name__ for step in STEPS}:
        msg = f"{place} was made by a newer optuna_nb ({min(unknown)}): update optuna_nb"
        raise StorageError(msg)
    return [step for step in steps if step.__name__ not in applied]


def applied_steps(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the steps that an SQLite file has been through."""
    found = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (Migration.__tablename__,)
    ).fetchone()
    if found is None:
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM optuna_nb_migrations")}


def apply(connection: sqlalchemy.Connection, step: Step) -> None:
    """Take one step and record it, in the caller's transaction, unless another program just did."""
    Base.metadata.create_all(connection, tables=[Base.metadata.tables[Migration.__tablename__]])
    if connection.scalar(sqlalchemy.select(Migration.name).where(Migration.name == step.__name__)) is None:
        step(connection)
        connection.execute(sqlalchemy.insert(Migration).values(name=step.__name__, applied_at=now()))


def _keep_copy(database: Database, step: Step) -> None:
    """Keep the file as it is beside it, named after the first step that will change it."""
    copy = database.path.with_name(f"{database.path.name}.before-{step.__name__}")
    with database.lock, contextlib.closing(sqlite3.connect(copy)) as target:
        make_private(copy)
        database.connection.backup(target)


def open_read_only(url: str) -> sqlite3.Connection:
    """Open an existing database for reading; nothing is made or changed.

    Raises:
        StorageError: If there is no such file, or it is not a database.
    """
    path = sqlite_path(url)
    if not path.exists():
        msg = f"there is no database {path}: run a %%tune cell first, or name another file"
        if (journal := find_journal(path.parent)) is not None:
            msg = (
                f"there is no database {path}: `%tune import {journal}` makes studies of this Optuna journal"
            )
        raise StorageError(msg)
    return connect(path, read_only=True)
