"""One SQLite file that is open: its connection, its lock and its transactions.

SQLite is reached twice: through a plain ``sqlite3`` connection where every
microsecond of a trial counts, and through SQLAlchemy, on that very connection,
for the records. Both share one lock, so one process is one writer.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError
from optuna_nb.storage.column_types import from_json, to_json
from optuna_nb.storage.refusals import explain, gone, translate, translated
from optuna_nb.storage.write_ahead import use_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


BUSY_SECONDS = 5.0  # how long to wait for another process's transaction
PAGES_BEFORE_CHECKPOINT = 1000
LOOK_SECONDS = 0.001  # between two looks at what others do to the file: a flood of tiny trials pays for few


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file in autocommit mode; transactions are begun explicitly.

    Raises:
        StorageError: If it cannot be opened, or is not an SQLite database.
    """
    with translated(path):
        if not read_only:
            return _connect(path, "mode=rw")
        try:
            return _connect(path, "mode=ro")
        except sqlite3.OperationalError:
            if not _is_archived(path):
                raise
            return _connect(path, "mode=ro&immutable=1")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path))}?{how}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_archived(path: Path) -> bool:
    """Whether a file is whole and lies where we cannot write, as SQLite wants to when it reads."""
    log = path.with_name(f"{path.name}-wal")
    is_whole = not log.exists() or log.stat().st_size == 0
    return is_whole and not os.access(path.parent, os.W_OK)


def _bare(path: Path) -> sqlite3.Connection:
    """Open the file without looking into it, in a tenth of the time."""
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


class Database:
    """One open file: its connection, its lock, and SQLAlchemy on top of both.

    All methods may be called from any thread; ``transaction`` serialises them.
    """

    largest_step = 2**63 - 1
    longest_name: int | None = None

    def __init__(self, path: Path) -> None:
        """Open an existing file. Use :func:`.opening.open_database` to make one."""
        self.path = path
        self.url = f"sqlite:///{path}"
        self.lock = threading.RLock()
        self.connection = connect(path)
        with contextlib.ExitStack() as failing, translated(path):
            failing.callback(self.connection.close)
            self.without_log = use_log(self.connection, path, BUSY_SECONDS)
            failing.pop_all()
        self._name = str(path)
        self._identity = path.stat().st_ino
        self.engine = sqlalchemy.create_engine(
            "sqlite://",
            creator=lambda: self.connection,
            poolclass=StaticPool,
            json_serializer=to_json,
            json_deserializer=from_json,
        )
        sqlalchemy.event.listen(self.engine, "begin", _begin_immediate)
        self._commits = 0
        self._checked = -LOOK_SECONDS  # that the file is where it was
        self._full_sync = False

    def transaction(self) -> _Transaction:
        """Hold the lock and one write transaction; roll back on any error."""
        return _Transaction(self)

    def count_commit(self) -> None:
        """Take a checkpoint now and then."""
        self._commits += 1
        if self._commits % (PAGES_BEFORE_CHECKPOINT // 4) == 0:
            self.checkpoint()

    owners_transaction = transaction  # a file has one writer at a time anyway

    def was_committed(self, ticket: str) -> bool:  # noqa: ARG002 - see StudyDatabase
        """Say no: a COMMIT here is answered."""
        return False

    def hold(self, study_id: int, token: int) -> None:
        """Do nothing: who owns a file's study is asked of the operating system."""

    def let_go(self, study_id: int, token: int) -> None:
        """Undo ``hold``."""

    def check_file(self) -> None:
        """Notice that the file was deleted or replaced: what is written into an open one would be lost.

        Raises:
            FileGoneError: If it is no longer where it was.
        """
        now = time.monotonic()
        if now - self._checked < LOOK_SECONDS:
            return
        try:
            found = os.stat(self._name)  # noqa: PTH116 - on the path of each trial
        except OSError:
            raise gone(self.path) from None
        if found.st_ino != self._identity:  # as SQLite itself tells a file that was moved
            raise gone(self.path)
        self._checked = now

    def sync_fully(self, full: bool) -> None:  # noqa: FBT001 - on or off
        """Choose what a commit survives: with FULL a power cut, with NORMAL a killed process."""
        if full is not self._full_sync and not self.without_log:
            with self.lock:
                self.connection.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
            self._full_sync = full

    @contextlib.contextmanager
    def records(self) -> Iterator[sqlalchemy.Connection]:
        """Hold the lock and one SQLAlchemy transaction on the same connection."""
        with self.lock:
            try:
                with self.engine.begin() as connection:
                    yield connection
            except sqlalchemy.exc.DBAPIError as error:
                if isinstance(error.orig, sqlite3.Error) and not isinstance(
                    error.orig, sqlite3.IntegrityError
                ):
                    raise explain(self.path, error.orig) from error
                raise

    def checkpoint(self) -> bool:
        """Move the log into the file while no other connection can write; tell if a reader was in the way.

        A second connection holds the write lock meanwhile, so no writer can
        restart the log under the checkpoint. A checkpoint that fails raises
        nothing, as what was committed stays committed: a caller that took it
        for a failed commit would write the same trial again.
        """
        logged = moved = 0
        with (
            self.lock,
            contextlib.suppress(sqlite3.Error, StorageError),  # the next one tries again
            contextlib.closing(_bare(self.path)) as guard,
        ):
            guard.execute("BEGIN IMMEDIATE")
            found = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            _, logged, moved = found[0]
            guard.execute("ROLLBACK")
        return bool(moved < logged)

    def close(self) -> None:
        """Close the connection, the log folded into the file.

        The last connection to close does that by itself. Here it is done for
        a reader's sake, too, that stays open: the one file is whole, to be copied.
        """
        with self.lock:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed already
                tries = 10 if self.connection.total_changes else 0
                while tries and self.checkpoint():  # a reader is in the way for some milliseconds
                    tries -= 1
                    time.sleep(0.02)
            self.engine.dispose()
            self.connection.close()


class _Transaction:
    """One write transaction under the lock. A class, as ``translated`` is."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> sqlite3.Connection:
        database = self._database
        database.lock.acquire()
        try:
            with translated(database.path):
                database.connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            database.lock.release()
            raise
        return database.connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        database = self._database
        connection = database.connection
        try:
            with translated(database.path):
                try:
                    if error is None:
                        connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            if error is not None:
                translate(database.path, error)
                return
            database.count_commit()
        finally:
            database.lock.release()


def _begin_immediate(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
