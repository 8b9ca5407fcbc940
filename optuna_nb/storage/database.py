"""Opening a database: the path or URL that a user gave becomes a connection.

SQLite is reached twice: through a plain ``sqlite3`` connection where every
microsecond of a trial counts, and through SQLAlchemy, on that very connection,
for the records. Both share one lock, so one process is one writer.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import FileGoneError, StorageError, StorageTroubleError
from optuna_nb.storage.column_types import from_json, to_json
from optuna_nb.storage.write_ahead import use_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna_nb.storage.dialect import Connection, StudyDatabase
    from optuna_nb.storage.server import Place

BUSY_SECONDS = 5.0  # how long to wait for another process's transaction
PAGES_BEFORE_CHECKPOINT = 1000
LOOK_SECONDS = 0.001  # between two looks at what others do to the file: a flood of tiny trials pays for few


def sqlite_path(url: str) -> Path:
    """Return the file that a storage URL names.

    Args:
        url: ``sqlite:///tuning.db``, or a bare path. The path is taken as it
            stands: ``?``, ``%20`` and ``{}`` in it are ordinary characters.

    Raises:
        StorageError: If the URL is of a database that is not supported.
    """
    if url.startswith("sqlite:///"):
        text = url.removeprefix("sqlite:///")
    elif "://" in url:
        scheme = url.split("://", 1)[0]
        msg = f"storage {scheme}:// is not supported: use sqlite:///FILE.db"
        if scheme.startswith("postgres"):
            msg = f"{scheme}:// is no file, which this needs: `%tune push NAME FILE.db` makes one of a study"
        raise StorageError(msg, code="NB501")
    else:
        text = url
    if not text or text == ":memory:":
        msg = "an in-memory database would lose the study: use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501")
    if "\0" in text:
        msg = "a file name cannot hold a NUL character: use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501")
    try:
        path = Path(text).expanduser().absolute()
        os.fsencode(path)
        path.exists()
    except (OSError, RuntimeError, UnicodeEncodeError) as error:  # too long, no such user, half a character
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{text[:60]!a} cannot be a file ({reason}): use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501") from error
    return path


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file in autocommit mode; transactions are begun explicitly.

    Raises:
        StorageError: If it cannot be opened, or is not an SQLite database.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode={'ro' if read_only else 'rw'}"
    with translated(path):
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


def _bare(path: Path) -> sqlite3.Connection:
    """Open the file without looking into it, in a tenth of the time."""
    uri = f"file:{quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


class translated:  # noqa: N801 - used like a function
    """Turn SQLite's errors into one line that names the file and the fix; a server's are so already.

    A class, as a generator would cost each trial a microsecond more.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path | Place) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            _translate(self._path, error)


@contextlib.contextmanager
def reading(database: StudyDatabase) -> Iterator[Connection]:
    """Hold the lock for a read; what SQLite refuses is said in one line, and a lock can be waited for."""
    with database.lock, translated(database.path):
        yield database.connection


def _translate(path: Path | Place, error: BaseException) -> None:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED:  # where there is no log
        raise _gone(Path(str(path))) from error
    if isinstance(error, sqlite3.Error):
        raise explain(Path(str(path)), error) from error
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes a damaged schema in its message
        msg = f"{path} is damaged: put a copy of it in its place"
        raise StorageError(msg, code="NB502") from error


def _gone(path: Path) -> FileGoneError:
    found = f"another file is at {path} now: put the one back that was there"
    return FileGoneError(found if path.exists() else f"{path} is gone: put it back", code="NB503")


def explain(path: Path, error: sqlite3.Error) -> StorageError:
    """Say in one line what is wrong with the file, and what to do."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    journal = find_journal(path) if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB) else None
    if not path.parent.is_dir():
        text = f"the folder {path.parent} does not exist: create it, or name another file"
    elif journal is not None:
        text = f"{journal} is an Optuna journal, not a database: `%tune import {journal}` makes studies of it"
    elif path.is_dir():
        text = f"{path} is a folder: name a file in it, such as {path / 'tuning.db'}"
    elif code == sqlite3.SQLITE_NOTADB:
        text = f"{path} is not an SQLite database: name another file, or move this one away"
    elif code == sqlite3.SQLITE_CORRUPT or "Could not decode to UTF-8" in str(error):
        text = f"{path} is damaged: put a copy of it in its place"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        text = f"{path} cannot be written: allow writing to it and its folder, or name another file"
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        text = f"{path} is locked by another program: close that program, then run the cell again"
    elif code == sqlite3.SQLITE_FULL:
        text = f"the disk of {path} is full: free some space"
    elif code == sqlite3.SQLITE_IOERR:
        text = f"{path} cannot be read or written (I/O error): check the disk and its free space"
    else:
        text = f"{path} cannot be used ({' '.join(str(error).split())[:200]}): name another file"
    index = "NB502" if "is damaged" in text else "NB504" if "another file" in text else "NB509"
    return (StorageTroubleError if code in _PASSING else StorageError)(text, code=index)


def find_journal(path: Path) -> Path | None:
    """Return the path if it is a journal of Optuna's ``JournalStorage``, or the first one in that folder.

    A database that is in use is never opened here: to close it again would take all locks of
    this process from it, and the next program that reads it would delete its log
    (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        if path.is_dir():
            found = (it for it in sorted(path.iterdir()) if it.is_file() and find_journal(it))
            return next(found, None)
        if _may_be_locked(path):
            return None
        with path.open("rb") as file:
            if file.peek(1)[:1] != b"{":  # the folder may be full of large files of other kinds
                return None
            first = json.loads(file.readline(_LONGEST_FIRST_LINE))
    except (OSError, ValueError):
        return None
    return path if isinstance(first, dict) and "op_code" in first else None


def _may_be_locked(path: Path) -> bool:
    """Tell whether a file belongs to an SQLite database that somebody has open, or had when it was killed."""
    real = path.resolve()  # SQLite's own files stand beside what a link leads to
    for end in ("-wal", "-shm", "-journal"):
        if real.name.endswith(end) and real.with_name(real.name.removesuffix(end)).exists():
            return True
        beside = real.with_name(real.name + end)
        if beside.exists() and (end != "-journal" or beside.read_bytes()[:8] == _MAGIC_OF_JOURNAL):
            return True
    return False


_MAGIC_OF_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # SQLite's; one of Optuna may have that name, too
_LONGEST_FIRST_LINE = 1 << 20
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)


class Database:
    """One open file: its connection, its lock, and SQLAlchemy on top of both.

    All methods may be called from any thread; ``transaction`` serialises them.
    """

    largest_step = 2**63 - 1
    longest_name: int | None = None

    def __init__(self, path: Path) -> None:
        """Open an existing file. Use :func:`.migrations.open_database` to make one."""
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
            raise _gone(self.path) from None
        if found.st_ino != self._identity:  # as SQLite itself tells a file that was moved
            raise _gone(self.path)
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
                _translate(database.path, error)
                return
            database.count_commit()
        finally:
            database.lock.release()


def _begin_immediate(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def make_private(path: Path) -> None:
    """Let only the owner of a new file read it."""
    os.chmod(path, 0o600)  # noqa: PTH101 - by descriptor or path alike
