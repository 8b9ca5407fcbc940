"""Optuna's own tables, made and checked by Optuna's own code."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from typing import TYPE_CHECKING

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError
from optuna_nb.storage.dialect import has_table
from optuna_nb.storage.refusals import explain
from optuna_nb.storage.server import Place, first_line

if TYPE_CHECKING:
    from optuna_nb.storage.database import Database
    from optuna_nb.storage.dialect import Connection

_fitting: set[tuple[object, ...]] = set()  # schema versions that Optuna has said to be its own


def fit(connection: Connection) -> bool:
    """Whether Optuna has said, in this process, that tables of this version are its own."""
    return _schema(connection) in _fitting


def note_that_they_fit(connection: Connection) -> None:
    """Note the version of tables that Optuna has just made or checked."""
    _fitting.add(_schema(connection))


def _schema(connection: Connection) -> tuple[object, ...]:
    if not (has_table(connection, "version_info") and has_table(connection, "alembic_version")):
        return ()
    versions = connection.execute("SELECT schema_version FROM version_info").fetchall()
    steps = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(versions) > 1 or len(steps) > 1:  # nobody writes a second row
        msg = "Optuna's version tables are damaged: put a copy of the file in its place"
        raise StorageError(msg, code="NB502")
    return (*versions, *steps)


def check_tables(database: Database) -> None:
    """Make or check Optuna's tables; asking Optuna takes 60 ms, so a version is asked about once."""
    try:
        with database.lock:
            if fit(database.connection):
                return
            make_tables(database.connection)
            note_that_they_fit(database.connection)
    except RuntimeError as error:
        fix = "update Optuna" if "try updating" in str(error) else "run `optuna storage upgrade` on it"
        msg = f"{database.path} does not fit Optuna {optuna.__version__}: {fix}"
        raise StorageError(msg, code="NB506") from error
    except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        cause = error if isinstance(error, sqlalchemy.exc.DBAPIError) else error.__cause__
        original = getattr(cause, "orig", None)
        if isinstance(original, sqlite3.Error):
            raise explain(database.path, original) from error
        msg = f"{database.path} is damaged: put a copy of it in its place"
        raise StorageError(msg, code="NB502") from error


@functools.cache
def script() -> str:
    """Return SQL that makes Optuna's tables in a new file; Optuna itself takes 60 ms, so it is asked once."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        make_tables(memory)
        note_that_they_fit(memory)
        return "\n".join(memory.iterdump())


def make_tables(connection: sqlite3.Connection) -> None:
    """Let Optuna make its tables, or check those that are there."""
    # The path never enters a URL, so no character of it has a meaning there.
    RDBStorage("sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool})


def make_tables_of_server(url: sqlalchemy.URL) -> None:
    """Let Optuna make its tables on a server, or check those that are there.

    Raises:
        StorageError: If they do not fit this Optuna, or the server refuses.
    """
    storage = None
    try:
        # The URL is handed over with its password; nothing of Optuna's shows it.
        storage = RDBStorage(
            url.render_as_string(hide_password=False), engine_kwargs={"poolclass": sqlalchemy.pool.NullPool}
        )
    except RuntimeError as error:
        fix = "update Optuna" if "try updating" in str(error) else "run `optuna storage upgrade` on it"
        msg = f"{Place(url)} does not fit Optuna {optuna.__version__}: {fix}"
        raise StorageError(msg, code="NB506") from error
    except optuna.exceptions.StorageInternalError as error:
        cause = first_line(error.__cause__ or error)
        msg = f"{Place(url)} cannot be used by Optuna ({cause}): check the server"
        raise StorageError(msg, code="NB507") from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()
