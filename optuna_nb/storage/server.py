"""A PostgreSQL server: what its URL means, what to call it, and the records on it.

A password in a URL is for the server alone: whatever is shown names the server
by host and database.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy

from optuna_nb.errors import StorageError, StorageTroubleError
from optuna_nb.storage.column_types import from_json, to_json
from optuna_nb.storage.paths import sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator

MIGRATION_LOCK = 0x6F70746E  # advisory lock of the server, held while it is migrated
# A dead host is noticed within half a minute, and nobody waits for a kernel that sleeps in mid-transaction.
CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "optuna_nb",
}
PATIENCE = (
    "SET idle_in_transaction_session_timeout = '60s'; SET lock_timeout = '20s'; SET tcp_keepalives_idle = 10;"
    " SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)


def is_server(url: str) -> bool:
    """Tell whether a URL names a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgresql+", "postgres://"))


@dataclass(frozen=True)
class Place:
    """A database on a server, as a path is a place for a file."""

    url: sqlalchemy.URL = field(repr=False)

    def __str__(self) -> str:
        """Name it, never with the user's password."""
        return f"{self.url.host or 'the server'}/{self.url.database or ''}"

    def exists(self) -> bool:
        """Say yes, as asking would take a connection."""
        return True


def place(url: str) -> Path | Place:
    """Return the file or the server that a storage URL names, to call it.

    Raises:
        StorageError: If the URL is of a database that is not supported.
    """
    return Place(server_url(url)) if is_server(url) else sqlite_path(url)


def identity(url: str) -> Path | Place:
    """Return what to look a database up by: a file under two spellings is one.

    Raises:
        StorageError: If the URL is of a database that is not supported.
    """
    where = place(url)
    return where if isinstance(where, Place) else Path(os.path.realpath(where))


def absolute(url: str) -> str:
    """Return the URL that means the same wherever the program goes meanwhile.

    Raises:
        StorageError: If the URL is of a database that is not supported.
    """
    return url if is_server(url) else f"sqlite:///{sqlite_path(url)}"


def shown(url: str) -> str:
    """Return a URL, path or name as it may be shown: without a password."""
    if "://" not in url or url.startswith("sqlite:///"):
        return url
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return f"{url.partition('://')[0]}://..."


def server_url(url: str) -> sqlalchemy.URL:
    """Read the URL of a server; where it names no driver, psycopg is meant.

    Raises:
        StorageError: If it cannot be read.
    """
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        msg = "the storage URL cannot be read: write postgresql+psycopg://USER@HOST/DATABASE"
        raise StorageError(msg, code="NB501") from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


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
            raise StorageTroubleError(
                explain(Place(self.engine.url), first_line(error.orig)), code="NB507"
            ) from error

    def close(self) -> None:
        """Close the connections of the pool."""
        self.engine.dispose()


def server_records(url: str) -> ServerRecords:
    """Reach the records of a server; nothing is asked of it yet.

    Raises:
        StorageError: If the URL cannot be read, or its driver is missing.
    """
    parsed = server_url(url)
    own = CLIENT if parsed.drivername in ("postgresql+psycopg", "postgresql+psycopg2") else {}
    try:
        engine = sqlalchemy.create_engine(
            parsed,
            json_serializer=to_json,
            json_deserializer=from_json,
            pool_pre_ping=True,
            connect_args={key: value for key, value in own.items() if key not in parsed.query},
        )
    except ModuleNotFoundError as error:
        msg = 'PostgreSQL needs a driver: pip install "optuna-nb[postgres]"'
        raise StorageError(msg, code="NB507") from error
    except sqlalchemy.exc.ArgumentError as error:
        msg = "the storage URL cannot be read: write postgresql+psycopg://USER@HOST/DATABASE"
        raise StorageError(msg, code="NB501") from error
    if own:
        sqlalchemy.event.listen(engine, "connect", _be_patient)
    return ServerRecords(engine)


def _be_patient(raw: Any, _: object) -> None:
    cursor = raw.cursor()
    cursor.execute(PATIENCE)
    cursor.close()
    raw.commit()  # else the pool would take it back


def explain(where: Path | Place, reason: str) -> str:
    """Say that a server cannot be used, and what to do."""
    return f"PostgreSQL at {where} cannot be used ({reason}): check the server and the URL"


def first_line(error: BaseException | None) -> str:
    """Return the first line of an error's text."""
    return str(error).strip().partition("\n")[0]
