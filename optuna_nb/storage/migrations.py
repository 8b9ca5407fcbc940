"""Making a database, and bringing an older one up to date.

Optuna's tables are made and checked by Optuna's own code. Ours come from named
steps, each with its own commit, in which it also records itself; a new file
goes through all of them, an older one through those that it has not seen. A
step that has been released is never edited: the next change is the next step.
"""

from __future__ import annotations

import contextlib
import importlib.util
import secrets
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.pool import StaticPool

from optuna_nb.errors import StorageError, StudyNotFoundError
from optuna_nb.storage.column_types import now
from optuna_nb.storage.database import (
    Database,
    connect,
    explain,
    find_journal,
    make_private,
    sqlite_path,
    translated,
)
from optuna_nb.storage.dialect import has_table, is_file
from optuna_nb.storage.placing import put, set_aside_log_without_file
from optuna_nb.storage.record_rules import create_rules, keep_owners_apart, share_studies
from optuna_nb.storage.record_tables import RecordBase
from optuna_nb.storage.schema import FOLLOW_DELETES, STUDY_TABLES, Base, Migration
from optuna_nb.storage.server import (
    MIGRATION_LOCK,
    Place,
    ServerRecords,
    first_line,
    is_server,
    place,
    server_records,
    server_url,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from optuna_nb.storage.dialect import Connection, StudyDatabase


def create_study_tables(connection: sqlalchemy.Connection) -> None:
    """Add what a study needs beside Optuna's tables."""
    Base.metadata.create_all(connection, tables=STUDY_TABLES)
    if connection.dialect.name == "sqlite":  # elsewhere foreign keys are enforced, whoever deletes
        for trigger in FOLLOW_DELETES:
            connection.exec_driver_sql(trigger)


def create_record_tables(connection: sqlalchemy.Connection) -> None:
    """Add experiments, model runs, tuning runs and what these leave behind."""
    RecordBase.metadata.create_all(connection)


def create_record_rules(connection: sqlalchemy.Connection) -> None:
    """Let the database itself keep what the records promise."""
    create_rules(connection)


def keep_records_of_owners_apart(connection: sqlalchemy.Connection) -> None:
    """Show a user of a shared server only their own records."""
    keep_owners_apart(connection)


def share_studies_on_a_server(connection: sqlalchemy.Connection) -> None:
    """Let the roles of a shared server read and write studies."""
    share_studies(connection)


def add_workers_to_study_status(connection: sqlalchemy.Connection) -> None:
    """Let a study say which workers of a cluster are at work on it."""
    connection.exec_driver_sql("ALTER TABLE study_status ADD COLUMN workers TEXT")


Step = Callable[[sqlalchemy.Connection], None]
RECORD_STEPS: tuple[Step, ...] = (create_record_tables, create_record_rules, keep_records_of_owners_apart)
# A commit writes whole pages to the log: a quarter of SQLite's usual page makes a trial 10 % cheaper.
PAGE_BYTES = 1024

STEPS: tuple[Step, ...] = (create_study_tables, *RECORD_STEPS, add_workers_to_study_status)
SERVER_STEPS: tuple[Step, ...] = (*STEPS, share_studies_on_a_server)
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
            _check_optuna_tables(database)
            _migrate(database)
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
            _optuna_tables(memory)
            _fitting.add(_optuna_schema(memory))
            engine = sqlalchemy.create_engine("sqlite://", creator=lambda: memory, poolclass=StaticPool)
            for step in STEPS:
                with engine.begin() as connection:
                    apply(connection, step)
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


def _optuna_tables(connection: sqlite3.Connection) -> None:
    # The path never enters a URL, so no character of it has a meaning there.
    RDBStorage("sqlite://", engine_kwargs={"creator": lambda: connection, "poolclass": StaticPool})


def _server_database(url: str) -> StudyDatabase:
    _check_driver(server_url(url))
    from optuna_nb.storage.postgres import ServerDatabase  # the driver is an extra

    return ServerDatabase(url)


def _check_driver(url: sqlalchemy.URL) -> None:
    if url.drivername != "postgresql+psycopg":
        msg = f"studies on a server need psycopg, not {url.drivername}: write postgresql+psycopg://..."
        raise StorageError(msg, code="NB501")
    if importlib.util.find_spec("psycopg") is None:
        msg = "PostgreSQL needs a driver: pip install optuna-nb[postgres]"
        raise StorageError(msg, code="NB507")


def _open_server(url: str) -> StudyDatabase:
    database = _server_database(url)
    try:
        with database.lock:
            known = _optuna_schema(database.connection) in _fitting and not missing_steps(
                _all_steps(database.connection), SERVER_STEPS, str(database.path)
            )
        if not known:
            with contextlib.closing(server_records(url)) as server:
                migrate_server(server, SERVER_STEPS)
            with database.lock:
                _fitting.add(_optuna_schema(database.connection))
    except BaseException:
        database.close()
        raise
    return database


def migrate_server(server: ServerRecords, steps: Sequence[Step]) -> None:
    """Make or check the tables of a server; kernels that open it at the same time take turns.

    Args:
        server: The server.
        steps: ``RECORD_STEPS`` where it holds records alone, or ``SERVER_STEPS``, before
            which Optuna makes its own tables.

    Raises:
        StorageError: If its tables do not fit, or may not be made.
    """
    where = str(Place(server.engine.url))
    try:
        with server.records() as connection:
            missing = missing_steps(_applied(connection), steps, where)
        if create_study_tables in steps:
            with server.records() as turn:
                turn.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                _optuna_tables_of_server(server.engine.url)
        for step in missing:
            with server.records() as connection:
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                apply(connection, step)
    except sqlalchemy.exc.ProgrammingError as error:
        msg = f"{where}: {first_line(error.orig)}; ask its owner to open it once, or for the role"
        raise StorageError(msg, code="NB507") from error


def _optuna_tables_of_server(url: sqlalchemy.URL) -> None:
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


def _applied(connection: sqlalchemy.Connection) -> set[str]:
    if not sqlalchemy.inspect(connection).has_table(Migration.__tablename__):
        return set()
    return set(connection.scalars(sqlalchemy.select(Migration.name)))


_fitting: set[tuple[object, ...]] = set()  # schema versions that Optuna has said to be its own


def _optuna_schema(connection: Connection) -> tuple[object, ...]:
    if not (has_table(connection, "version_info") and has_table(connection, "alembic_version")):
        return ()
    versions = connection.execute("SELECT schema_version FROM version_info").fetchall()
    steps = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if len(versions) > 1 or len(steps) > 1:  # nobody writes a second row
        msg = "Optuna's version tables are damaged: put a copy of the file in its place"
        raise StorageError(msg, code="NB502")
    return (*versions, *steps)


def _check_optuna_tables(database: Database) -> None:
    """Make or check Optuna's tables; asking Optuna takes 60 ms, so a version is asked about once."""
    try:
        with database.lock:
            if _optuna_schema(database.connection) in _fitting:
                return
            _optuna_tables(database.connection)
            _fitting.add(_optuna_schema(database.connection))
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


def _migrate(database: Database) -> None:
    with database.lock:
        applied = applied_steps(database.connection)
    missing = missing_steps(applied, STEPS, str(database.path))
    if missing and applied:
        _keep_copy(database, missing[0])
    for step in missing:
        with database.records() as connection:
            apply(connection, step)


def missing_steps(applied: set[str], steps: Sequence[Step], place: str) -> list[Step]:
    """Return the steps that a database has not been through.

    Raises:
        StorageError: If it has been through one that this code does not know.
    """
    if unknown := applied - {step.__name__ for step in SERVER_STEPS}:
        msg = f"{place} was made by a newer optuna_nb ({min(unknown)}): update optuna_nb"
        raise StorageError(msg, code="NB506")
    return [step for step in steps if step.__name__ not in applied]


def applied_steps(connection: Connection) -> set[str]:
    """Return the names of the steps that a database has been through; none where we keep no studies."""
    steps = _all_steps(connection)
    return steps if is_file(connection) or create_study_tables.__name__ in steps else set()


def _all_steps(connection: Connection) -> set[str]:
    if not has_table(connection, Migration.__tablename__):
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM optuna_nb_migrations")}


def apply(connection: sqlalchemy.Connection, step: Step) -> None:
    """Take one step and record it, in the caller's transaction, unless another program just did."""
    Base.metadata.create_all(connection, tables=[Base.metadata.tables[Migration.__tablename__]])
    if connection.scalar(sqlalchemy.select(Migration.name).where(Migration.name == step.__name__)) is None:
        step(connection)
        connection.execute(sqlalchemy.insert(Migration).values(name=step.__name__, applied_at=now()))


def _keep_copy(database: Database, step: Step) -> None:
    """Keep the file as it is beside it, named after the first step that will change it."""
    copy = database.path.with_name(f"{database.path.name}.before-{step.__name__}")
    with database.lock, contextlib.closing(sqlite3.connect(copy)) as target:
        make_private(copy)
        database.connection.backup(target)


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
