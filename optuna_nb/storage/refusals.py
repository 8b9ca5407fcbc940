"""What SQLite refuses, said in one line that names the file and the fix."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from optuna_nb.errors import FileGoneError, StorageError, StorageTroubleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna_nb.storage.dialect import Connection, StudyDatabase
    from optuna_nb.storage.server import Place

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
            translate(self._path, error)


@contextlib.contextmanager
def reading(database: StudyDatabase) -> Iterator[Connection]:
    """Hold the lock for a read; what SQLite refuses is said in one line, and a lock can be waited for."""
    with database.lock, translated(database.path):
        yield database.connection


def translate(path: Path | Place, error: BaseException) -> None:
    """Raise what an error of SQLite means; any other is left to the caller."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED:  # where there is no log
        raise gone(Path(str(path))) from error
    if isinstance(error, sqlite3.Error):
        raise explain(Path(str(path)), error) from error
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes a damaged schema in its message
        msg = f"{path} is damaged: put a copy of it in its place"
        raise StorageError(msg, code="NB502") from error


def gone(path: Path) -> FileGoneError:
    """Say that the file is not where it was, or is another one."""
    found = f"another file is at {path} now: put the one back that was there"
    return FileGoneError(found if path.exists() else f"{path} is gone: put it back", code="NB503")


def explain(path: Path, error: sqlite3.Error) -> StorageError:
    """Say in one line what is wrong with the file, and what to do."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    journal = find_journal(path) if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB) else None
    index = "NB509"
    if not path.parent.is_dir():
        text, index = f"the folder {path.parent} does not exist: create it, or name another file", "NB504"
    elif journal is not None:
        text = f"{journal} is an Optuna journal, not a database: `%tune import {journal}` makes studies of it"
    elif path.is_dir():
        text = f"{path} is a folder: name a file in it, such as {path / 'tuning.db'}"
    elif code == sqlite3.SQLITE_NOTADB:
        text, index = f"{path} is not an SQLite database: name another file, or move this one away", "NB504"
    elif code == sqlite3.SQLITE_CORRUPT or "Could not decode to UTF-8" in str(error):
        text, index = f"{path} is damaged: put a copy of it in its place", "NB502"
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        text = f"{path} cannot be written: allow writing to it and its folder, or name another file"
        index = "NB504"
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        text = f"{path} is locked by another program: close that program, then run the cell again"
    elif code == sqlite3.SQLITE_FULL:
        text = f"the disk of {path} is full: free some space"
    elif code == sqlite3.SQLITE_IOERR:
        text = f"{path} cannot be read or written (I/O error): check the disk and its free space"
    else:
        reason = " ".join(str(error).split())[:200]
        text, index = f"{path} cannot be used ({reason}): name another file", "NB504"
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
