"""What SQLite and PostgreSQL say differently, in one place; all other SQL of a study is the same on both.

Both are spoken to through as much of ``sqlite3.Connection`` as the studies use:
``?`` stands for a value, and transactions are begun explicitly. For PostgreSQL
:mod:`.postgres` gives such a connection.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import sqlalchemy

    from optuna_nb.storage.server import Place


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return so many of the rows that are left, or fewer at the end."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Go through them."""


class Connection(Protocol):
    """A connection to either database."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Execute one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Execute one statement for each row of values."""

    def close(self) -> None:
        """Let go of it."""


class StudyDatabase(Protocol):
    """A database that holds studies, opened for writing. Any thread may call it."""

    url: str
    lock: Any  # held around whatever uses the connection

    @property
    def path(self) -> Path | Place:
        """What to call it; never shows a password."""

    @property
    def largest_step(self) -> int:
        """What a column for steps takes."""

    @property
    def longest_name(self) -> int | None:
        """How many letters a column for names takes; None for any."""

    @property
    def without_log(self) -> str:
        """Why each commit is slow and other programs wait for it; empty where it is as it should be."""

    @property
    def connection(self) -> Connection:
        """The connection, for reading."""

    def transaction(self) -> contextlib.AbstractContextManager[Connection]:
        """Hold the lock and one write transaction beside which there is no other; an error rolls it back."""

    def owners_transaction(self) -> contextlib.AbstractContextManager[Connection]:
        """Hold a transaction that begins with proof of a lease, so that others may write other studies."""

    def records(self) -> contextlib.AbstractContextManager[sqlalchemy.Connection]:
        """Hold one SQLAlchemy transaction on the same database."""

    def check_file(self) -> None:
        """Notice that the file is gone."""

    def sync_fully(self, full: bool) -> None:  # noqa: FBT001 - on or off
        """Choose what a commit survives, where that can be chosen."""

    def was_committed(self, ticket: str) -> bool:
        """Tell how a transaction ended whose COMMIT was not answered."""

    def hold(self, study_id: int, token: int) -> None:
        """Let others see that the owner of a study is connected."""

    def let_go(self, study_id: int, token: int) -> None:
        """Undo ``hold``."""

    def close(self) -> None:
        """Close the connection."""


class RowRefusedError(Exception):
    """PostgreSQL refused a row: its key is taken, or what it points at is gone."""

    def __init__(self, message: str, *, parent_is_gone: bool) -> None:
        """Say why."""
        super().__init__(message)
        self.parent_is_gone = parent_is_gone


REFUSALS = (sqlite3.IntegrityError, RowRefusedError)


def parent_is_gone(error: Exception) -> bool:
    """Tell whether a row was refused for want of what it points at, and not for its own key."""
    if isinstance(error, RowRefusedError):
        return error.parent_is_gone
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def is_file(connection: Connection) -> bool:
    """Tell whether a connection is to an SQLite file."""
    return isinstance(connection, sqlite3.Connection)


def has_table(connection: Connection, name: str) -> bool:
    """Tell whether there is such a table."""
    if is_file(connection):
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(sql, (name,)).fetchone() is not None
    found = connection.execute("SELECT to_regclass(?) IS NOT NULL", (name,)).fetchone()
    return bool(found[0])


def has_column(connection: Connection, table: str, name: str) -> bool:
    """Tell whether a table has such a column."""
    if is_file(connection):
        return name in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    sql = "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(?) AND attname = ? AND NOT attisdropped"
    return connection.execute(sql, (table, name)).fetchone() is not None


def pipelined(connection: Connection) -> contextlib.AbstractContextManager[object]:
    """Write many rows without waiting for the answer to each: a server may be far away.

    What is refused is told at the end of the block.
    """
    return connection.pipelined() if hasattr(connection, "pipelined") else contextlib.nullcontext()


def data_version(connection: Connection) -> int | str:
    """Return what is another value once anybody else has committed anything.

    On SQLite that takes 3 us. PostgreSQL is asked for the transactions that a
    query would see: one short answer, without a look at any table. There our own
    commits change it too.
    """
    if is_file(connection):
        return int(connection.execute("PRAGMA data_version").fetchone()[0])
    return str(connection.execute("SELECT CAST(txid_current_snapshot() AS text)").fetchone()[0])


def take_trial_ids(connection: Connection, count: int, least: int = 1) -> int:
    """Set ids aside, in the caller's transaction, and return the first.

    On PostgreSQL they come from the sequence that plain Optuna takes its own from.

    Args:
        connection: Inside ``transaction()``.
        count: How many.
        least: The first is at least this.
    """
    if is_file(connection):
        return max(_highest_id(connection) + 1, least)
    sequence = "pg_get_serial_sequence('trials', 'trial_id')"
    (last,) = connection.execute(
        f"SELECT setval({sequence}, greatest(nextval({sequence}), ?) + ?)",
        (least, count - 1),
    ).fetchone()
    return int(last) - count + 1


def _highest_id(connection: Connection) -> int:
    """Return the highest trial id of a file that is used or set aside; 0 in an empty one."""
    (top,) = connection.execute(
        "SELECT max(coalesce((SELECT max(trial_id) FROM trials), 0),"
        " coalesce((SELECT max(last_trial_id) FROM study_status), 0))"
    ).fetchone()
    return int(top)


def insert_study_row(connection: Connection, name: str, above: int = 0) -> int:
    """Insert the row of a study, and return its id, which no study has had.

    Args:
        connection: Inside a transaction.
        name: Not that of another study.
        above: The id is higher than this one; a sequence of PostgreSQL sees to that by itself.
    """
    if is_file(connection):
        row = connection.execute(
            "INSERT INTO studies (study_id, study_name)"
            " SELECT 1 + max(coalesce((SELECT max(study_id) FROM studies), 0), ?), ? RETURNING study_id",
            (above, name),
        ).fetchone()
    else:
        sql = "INSERT INTO studies (study_name) VALUES (?) RETURNING study_id"
        row = connection.execute(sql, (name,)).fetchone()
    return int(row[0])


def is_connected(connection: Connection, study_id: int) -> bool:
    """Tell whether the owner of a study on a server is connected to it; see ``StudyDatabase.hold``."""
    sql = (
        "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND datname = current_database()"
        " AND classid = CAST(? AS oid)"
        " AND objid = (SELECT CAST(token AS oid) FROM study_status WHERE study_id = ?)"
    )
    return connection.execute(sql, (study_id, study_id)).fetchone() is not None
