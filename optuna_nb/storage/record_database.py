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

from optuna_nb.errors import StorageError, StorageTroubleError
from optuna_nb.storage.column_types import from_json, to_json
from optuna_nb.storage.database import sqlite_path, translated
from optuna_nb.storage.migrations import (
    RECORD_STEPS,
    STEPS,
    applied_steps,
    apply,
    missing_steps,
    open_database,
    open_read_only,
)
from optuna_nb.storage.schema import Migration

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_LOCK = 0x6F70746E  # advisory lock of the server, held while it is migrated


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
    connection = open_read_only(url)
    place = str(sqlite_path(url))
    with contextlib.ExitStack() as failing:
        failing.callback(connection.close)
        with translated(sqlite_path(url)):
            applied = applied_steps(connection)
        if missing_steps(applied, STEPS, place):
            msg = f"{place} holds no records of this version: run a %%tune cell on it first"
            raise StorageError(msg)
        failing.pop_all()
    return _ReadOnlyFile(connection)


def is_server(url: str) -> bool:
    """Tell whether a URL names a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgresql+", "postgres://"))


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


class ServerRecords:
    """The records on a PostgreSQL server. The pool opens a connection for each thread that asks."""

    read_only = False

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        """Use an engine that was made with ``to_json`` and ``from_json``."""
        self.engine = engine

    @contextlib.contextmanager
    def records(self) -> Iterator[sqlalchemy.Connection]:
        """Hold one transaction."""
        try:
            with self.engine.begin() as connection:
                if self.read_only:
                    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                yield connection
        except sqlalchemy.exc.OperationalError as error:
            raise StorageTroubleError(_explain(self.engine.url, error)) from error

    def close(self) -> None:
        """Close the connections of the pool."""
        self.engine.dispose()


def _server(url: str) -> ServerRecords:
    try:
        parsed = sqlalchemy.make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = sqlalchemy.create_engine(
            parsed, json_serializer=to_json, json_deserializer=from_json, pool_pre_ping=True
        )
    except ModuleNotFoundError as error:
        msg = "PostgreSQL needs a driver: pip install optuna-nb[postgres]"
        raise StorageError(msg) from error
    except sqlalchemy.exc.ArgumentError as error:
        msg = "the storage URL cannot be read: write postgresql+psycopg://USER@HOST/DATABASE"
        raise StorageError(msg) from error
    server = ServerRecords(engine)
    try:
        _migrate(server)
    except sqlalchemy.exc.ProgrammingError as error:
        server.close()
        msg = f"{_place(parsed)}: {_first_line(error)}; ask its owner to open it once, or for the role"
        raise StorageError(msg) from error
    except BaseException:
        server.close()
        raise
    return server


def _migrate(server: ServerRecords) -> None:
    place = _place(server.engine.url)
    with server.records() as connection:
        missing = missing_steps(_applied(connection), RECORD_STEPS, place)
    for step in missing:
        with server.records() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_LOCK)))
            apply(connection, step)


def _applied(connection: sqlalchemy.Connection) -> set[str]:
    if not sqlalchemy.inspect(connection).has_table(Migration.__tablename__):
        return set()
    return set(connection.scalars(sqlalchemy.select(Migration.name)))


def _place(url: sqlalchemy.URL) -> str:
    return f"{url.host or 'the server'}/{url.database or ''}"  # never the user's password


def _explain(url: sqlalchemy.URL, error: sqlalchemy.exc.DBAPIError) -> str:
    return f"PostgreSQL at {_place(url)} cannot be used ({_first_line(error)}): check the server and the URL"


def _first_line(error: sqlalchemy.exc.DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
