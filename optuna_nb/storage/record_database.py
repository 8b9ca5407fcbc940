"""Where records are kept: an SQLite file with the studies, or a PostgreSQL server.

Both are used through ``records()``, which holds one transaction, so whoever
writes or asks does not know which it is.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Protocol

import sqlalchemy
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError
from optuna_nb.storage.column_types import from_json
from optuna_nb.storage.migrations import RECORD_STEPS, STEPS, applied_steps, migrate_server, missing_steps
from optuna_nb.storage.opening import open_database, open_file_read_only
from optuna_nb.storage.paths import sqlite_path
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.server import ServerRecords, is_server, server_records

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator


class RecordDatabase(Protocol):
    """What the records need of a database. Any thread may call it."""

    def records(self) -> contextlib.AbstractContextManager[sqlalchemy.Connection]:
        """Hold one transaction, which an error rolls back."""

    def close(self) -> None:
        """Let go of it."""


def records_database(url: str) -> RecordDatabase:
    """Open the records that a URL names; make them if there are none.

    Args:
        url: ``sqlite:///FILE.db``, a bare path, or ``postgresql+psycopg://HOST/DATABASE``.

    Raises:
        StorageError: If it cannot be opened, or was made by a newer version of this package.
    """
    return _server(url) if is_server(url) else open_database(url)


def read_records(url: str) -> RecordDatabase:
    """Open records to be asked only; nothing is made, and an SQLite file is opened read-only.

    Raises:
        StorageError: If there are none, or they were made by another version of this package.
    """
    if is_server(url):
        server = _server(url)
        server.read_only = True
        return server
    connection = open_file_read_only(url)
    place = str(sqlite_path(url))
    with contextlib.ExitStack() as failing:
        failing.callback(connection.close)
        with translated(sqlite_path(url)):
            applied = applied_steps(connection)
        if missing_steps(applied, STEPS, place):
            msg = f"{place} holds no records of this version: run a %%tune cell on it first"
            raise StorageError(msg, code="NB506")
        failing.pop_all()
    return _ReadOnlyFile(connection)


class _ReadOnlyFile:
    """The records of an SQLite file, on a connection that cannot write."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._engine = sqlalchemy.create_engine(
            "sqlite://", creator=lambda: connection, poolclass=StaticPool, json_deserializer=from_json
        )

    @contextlib.contextmanager
    def records(self) -> Iterator[sqlalchemy.Connection]:
        with self._lock, self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()
        self._connection.close()


def _server(url: str) -> ServerRecords:
    server = server_records(url)
    try:
        migrate_server(server, RECORD_STEPS)
    except BaseException:
        server.close()
        raise
    return server
