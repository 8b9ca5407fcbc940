"""Opening a database by its URL: one that is made where there is none, one to read, a file or a server."""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING

import sqlalchemy
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError, StudyNotFoundError
from optuna_nb.storage import optuna_tables
from optuna_nb.storage.database import Database, connect
from optuna_nb.storage.dialect import has_table
from optuna_nb.storage.migrations import (
    SERVER_STEPS,
    all_steps,
    migrate_file,
    migrate_server,
    missing_steps,
    take_all_steps,
)
from optuna_nb.storage.paths import make_private, sqlite_path
from optuna_nb.storage.placing import put, set_aside_log_without_file
from optuna_nb.storage.refusals import explain, find_journal, translated
from optuna_nb.storage.server import Place, is_server, place, server_records, server_url

if TYPE_CHECKING:
    from pathlib import Path

    from optuna_nb.storage.dialect import Connection, StudyDatabase

# A commit writes whole pages to the log: a quarter of SQLite's usual page makes a trial 10 % cheaper.
PAGE_BYTES = 1024
_creating = threading.Lock()


def open_database(url: str) -> StudyDatabase:
    """Open the database that a storage URL names; make its tables, and an SQLite file, if there are none.

    Raises:
        StorageError: If it cannot be opened, or was made by a newer version of
            Optuna or of this package.
    """
    return _open_server(url) if is_server(url) else open_file(url)


def attach(url: str) -> StudyDatabase:
    """Open a database that has the tables already, as a study in it is known.

    Raises:
        StorageError: If it cannot be opened.
    """
    return _server_database(url) if is_server(url) else Database(sqlite_path(url))


def open_file(url: str) -> Database:
    """Open an SQLite file; make it if there is none.

    Raises:
        StorageError: If it cannot be opened, or was made by a newer version of
            Optuna or of this package.
    """
    path = sqlite_path(url)
    with _creating:
        if not path.exists():
            _create(path)
    database = Database(path)
    try:
        with translated(path):
            optuna_tables.check_tables(database)
            migrate_file(database)
    except BaseException:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    """Build the file aside and link it into place whole, so a kill leaves none or all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
            memory.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            memory.executescript(optuna_tables.script())
            engine = sqlalchemy.create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
            take_all_steps(engine)
            with contextlib.closing(sqlite3.connect(draft)) as target:
                make_private(draft)
                memory.backup(target)
        if not path.exists():
            set_aside_log_without_file(path)
            with contextlib.suppress(FileExistsError):  # another kernel was quicker
                put(draft, path)
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except OSError as error:
        if not path.parent.is_dir():
            msg = f"the folder {path.parent} does not exist: create it, or name another file"
            raise StorageError(msg, code="NB504") from error
        msg = f"{path} cannot be created ({error.strerror}): name another file"
        raise StorageError(msg, code="NB504") from error
    finally:
        draft.unlink(missing_ok=True)


def _server_database(url: str) -> StudyDatabase:
    _check_driver(server_url(url))
    from optuna_nb.storage.postgres import ServerDatabase  # the driver is an extra

    return ServerDatabase(url)


def _check_driver(url: sqlalchemy.URL) -> None:
    if url.drivername != "postgresql+psycopg":
        msg = f"studies on a server need psycopg, not {url.drivername}: write postgresql+psycopg://..."
        raise StorageError(msg, code="NB501")
    if importlib.util.find_spec("psycopg") is None:
        msg = 'PostgreSQL needs a driver: pip install "optuna-nb[postgres]"'
        raise StorageError(msg, code="NB507")


def _open_server(url: str) -> StudyDatabase:
    database = _server_database(url)
    try:
        with database.lock:
            known = optuna_tables.fit(database.connection) and not missing_steps(
                all_steps(database.connection), SERVER_STEPS, str(database.path)
            )
        if not known:
            with contextlib.closing(server_records(url)) as server:
                migrate_server(server, SERVER_STEPS)
            with database.lock:
                optuna_tables.note_that_they_fit(database.connection)
    except BaseException:
        database.close()
        raise
    return database


def open_read_only(url: str) -> Connection:
    """Open an existing database of studies for reading; nothing is made or changed.

    Raises:
        StudyNotFoundError: If it holds no studies.
        StorageError: If there is no such file, it is not a database, or a server does not answer.
    """
    database = place(url)
    connection = _server_read_only(database) if isinstance(database, Place) else open_file_read_only(url)
    with contextlib.ExitStack() as failing, translated(database):
        failing.callback(connection.close)
        if not has_table(connection, "studies"):
            msg = f"{database} holds no studies yet: run a %%tune cell first, or name another database"
            raise StudyNotFoundError(msg, code="NB505")
        failing.pop_all()
    return connection


def _server_read_only(database: Place) -> Connection:
    _check_driver(database.url)
    from optuna_nb.storage.postgres import ServerConnection

    return ServerConnection(database, read_only=True)


def open_file_read_only(url: str) -> sqlite3.Connection:
    """Open an existing SQLite file for reading; nothing is made or changed.

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
        raise StorageError(msg, code="NB505")
    return connect(path, read_only=True)
