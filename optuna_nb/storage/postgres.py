"""Studies on a PostgreSQL server; the one file that imports psycopg.

The storage speaks to it as to a file, through :class:`ServerConnection`. What a
server adds: it may go away and come back, so a connection that was lost is made
anew, and a COMMIT that was not answered is asked about afterwards. Several
kernels write different studies at once; what concerns them all, such as who
owns a study, takes turns under an advisory lock.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumperUnknown

from optuna_nb.errors import CommitUnansweredError, StorageError, StorageTroubleError
from optuna_nb.storage.dialect import RowRefusedError
from optuna_nb.storage.server import CLIENT, PATIENCE, Place, explain, first_line, server_records, server_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import sqlalchemy
    from psycopg.abc import Buffer

    from optuna_nb.storage.dialect import Connection

_TURNS = 0x6F70746F  # advisory lock of the database: one at a time changes what is not one study's own
_NUL = "\U000f00000000"  # how column_types writes what PostgreSQL's text cannot hold
_MARK = "\U000f0000".encode()

_SESSION = f"SET TIME ZONE 'UTC'; SET client_encoding = 'UTF8'; {PATIENCE}"
_READ_ONLY = "; SET default_transaction_read_only = on"


class ServerConnection:
    """A connection to a server that is used as one of ``sqlite3`` is. Any thread may call it."""

    def __init__(self, place: Place, *, read_only: bool = False) -> None:
        """Connect.

        Raises:
            StorageTroubleError: If the server does not answer.
            StorageError: If it refuses.
        """
        self._place = place
        self._read_only = read_only
        self._has_begun = False
        self._is_closed = False
        self.lock = threading.RLock()
        self.when_connected: Callable[[], None] = lambda: None
        with self._explained():
            self._raw = self._connect()

    def _connect(self) -> psycopg.Connection[Any]:
        url = self._place.url
        _, given = url.get_dialect()().create_connect_args(url)
        raw: psycopg.Connection[Any] = psycopg.connect(autocommit=True, **{**CLIENT, **given})
        raw.adapters.register_dumper(str, _Text)
        for name in ("text", "varchar"):
            raw.adapters.register_loader(name, _AnyText)
        for name in ("timestamp", "timestamptz"):
            raw.adapters.register_loader(name, _Time)
        for name in ("json", "jsonb"):
            raw.adapters.register_loader(name, _Json)
        raw.execute(_SESSION + (_READ_ONLY if self._read_only else ""))
        return raw

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Execute one statement; outside a transaction over a new connection if the old one was lost.

        Raises:
            RowRefusedError: If a row is refused for its keys.
            StorageTroubleError: If the server cannot be reached.
            StorageError: If it refuses the statement.
        """
        with self.lock, self._explained():
            self._be_connected()
            self._has_begun = sql == "BEGIN" or (self._has_begun and sql not in ("COMMIT", "ROLLBACK"))
            return self._raw.execute(_translated(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> psycopg.Cursor[Any]:
        """Execute one statement for each row of values; see :meth:`execute`."""
        with self.lock, self._explained():
            self._be_connected()
            cursor = self._raw.cursor()
            cursor.executemany(_translated(sql), rows)
            return cursor

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and its connection stands."""
        status = self._raw.info.transaction_status
        return status in (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)

    def begin(self) -> str:
        """Begin to write, and return the transaction's id, by which its end can be asked about."""
        with self._explained():
            self._be_connected()
            cursor = self._raw.execute("BEGIN; SELECT CAST(txid_current() AS text)")
            cursor.nextset()
            self._has_begun = True
            return str(cursor.fetchall()[0][0])

    def commit(self, ticket: str) -> None:
        """Commit what ``begin`` began.

        Raises:
            CommitUnansweredError: If the connection was lost meanwhile.
        """
        try:
            with self._explained():
                self._has_begun = False
                self._raw.execute("COMMIT")
        except StorageTroubleError as error:
            if self._raw.closed:
                raise CommitUnansweredError(str(error), ticket) from error
            raise

    def rollback(self) -> None:
        """Undo what ``begin`` began; a lost connection has undone it by itself."""
        self._has_begun = False
        with contextlib.suppress(psycopg.Error):
            if self.in_transaction:
                self._raw.execute("ROLLBACK")

    @contextlib.contextmanager
    def pipelined(self) -> Iterator[None]:
        """Send statements without waiting for the answer to each; see :func:`.dialect.pipelined`."""
        with self.lock, self._explained(), self._raw.pipeline():
            yield

    def close(self) -> None:
        """Close it for good."""
        self._is_closed = True
        self._raw.close()

    def _be_connected(self) -> None:
        if not self._raw.closed:
            return
        if self._is_closed:
            msg = f"the connection to {self._place} is closed"
            raise StorageError(msg, code="NB507")
        if self._has_begun:
            self._has_begun = False
            raise StorageTroubleError(explain(self._place, "the connection was lost"), code="NB507")
        self._raw = self._connect()
        self.when_connected()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the driver's errors into one line that names the fix."""
        try:
            yield
        except psycopg.IntegrityError as error:
            gone = isinstance(error, psycopg.errors.ForeignKeyViolation)
            raise RowRefusedError(first_line(error), parent_is_gone=gone) from error
        except psycopg.Error as error:
            passing = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, _READS_ONLY))
            refused = (error.sqlstate or "")[:2] in ("28", "3D") or "authentication failed" in str(error)
            # What libpq says of a connection may take several lines; none holds the password.
            kind = StorageTroubleError if passing and not refused else StorageError
            raise kind(explain(self._place, first_line(error)), code="NB507") from error


_READS_ONLY = psycopg.errors.ReadOnlySqlTransaction  # a standby, until it is promoted


@functools.cache
def _translated(sql: str) -> Any:
    if sql == "BEGIN":  # readers alone begin so: all that follows is of one moment
        return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    return sql.replace("%", "%%").replace("?", "%s")


class _Text(StrDumperUnknown):
    """A text, or whatever type the column has; PostgreSQL takes no NUL in it."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", _NUL) if "\0" in obj else obj)


class _AnyText(Loader):
    def load(self, data: Buffer) -> str:
        raw = bytes(data)
        return raw.decode().replace(_NUL, "\0") if _MARK in raw else raw.decode()


class _Json(Loader):
    """The text of a JSON value, as SQLite gives it."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _Time(Loader):
    """UTC as text, with all six digits, as SQLAlchemy writes it into SQLite."""

    def load(self, data: Buffer) -> str:
        text = bytes(data).decode().removesuffix("+00")
        whole, _, part = text.partition(".")
        return f"{whole}.{part:0<6}"


class ServerDatabase:
    """One database of a server, opened for writing studies. Any thread may call it."""

    largest_step = 2**31 - 1  # Optuna's column for steps is narrower here than on SQLite
    longest_name = 512
    without_log = ""  # a server has one of its own

    def __init__(self, url: str) -> None:
        """Connect to a database that has the tables. See :func:`.opening.open_database`.

        Raises:
            StorageError: If it cannot be reached.
        """
        self.url = url
        self.path = Place(server_url(url))
        self._records = server_records(url)
        self._held: set[tuple[int, int]] = set()
        try:
            self.connection = ServerConnection(self.path)
        except BaseException:
            self._records.close()
            raise
        self.connection.when_connected = self._hold_again
        self.lock = self.connection.lock

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Hold the lock and one write transaction beside which there is no other of this kind."""
        with self.owners_transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(?)", (_TURNS,))
            yield connection

    @contextlib.contextmanager
    def owners_transaction(self) -> Iterator[Connection]:
        """Hold a write transaction; the row of the lease, updated first, keeps others from its study."""
        with self.lock:
            ticket = self.connection.begin()
            try:
                yield self.connection
            except BaseException:
                self.connection.rollback()
                raise
            self.connection.commit(ticket)

    def was_committed(self, ticket: str) -> bool:
        """Tell how a transaction ended whose COMMIT was not answered.

        Raises:
            StorageTroubleError: If that is not known yet, or the server does not answer.
        """
        found = self.connection.execute("SELECT txid_status(CAST(? AS bigint))", (ticket,)).fetchone()
        if found == ("in progress",):
            raise StorageTroubleError(explain(self.path, "the last commit is still under way"), code="NB507")
        return found == ("committed",)

    def records(self) -> contextlib.AbstractContextManager[sqlalchemy.Connection]:
        """Hold one SQLAlchemy transaction, over a connection of its own."""
        return self._records.records()

    def check_file(self) -> None:
        """Do nothing: a server keeps its files."""

    def sync_fully(self, full: bool) -> None:  # noqa: FBT001 - on or off
        """Do nothing: a commit here always survives a crash of the server.

        A kernel that outlives such a crash would else take trials for written that are not.
        """

    def hold(self, study_id: int, token: int) -> None:
        """Take a lock of the session that shows others that the owner of a study is connected."""
        self._held.add((study_id, token))
        self.connection.execute("SELECT pg_try_advisory_lock(?, ?)", (study_id, token))

    def let_go(self, study_id: int, token: int) -> None:
        """Undo ``hold``."""
        if (study_id, token) in self._held:
            self._held.discard((study_id, token))
            self.connection.execute("SELECT pg_advisory_unlock(?, ?)", (study_id, token))

    def _hold_again(self) -> None:
        for study_id, token in self._held:
            self.connection.execute("SELECT pg_try_advisory_lock(?, ?)", (study_id, token))

    def close(self) -> None:
        """Close all connections."""
        with self.lock:
            self._records.close()
            self.connection.close()
