"""Our tables, made in steps, and an older database brought up to date.

They come from named steps, each with its own commit, in which it also records itself; a new file
goes through all of them, an older one through those that it has not seen. A
step that has been released is never edited: the next change is the next step.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import sqlalchemy

from optuna_nb.errors import StorageError
from optuna_nb.storage.column_types import now
from optuna_nb.storage.dialect import has_table, is_file
from optuna_nb.storage.optuna_tables import make_tables_of_server
from optuna_nb.storage.paths import make_private
from optuna_nb.storage.record_rules import create_rules, keep_owners_apart, share_studies
from optuna_nb.storage.record_tables import RecordBase
from optuna_nb.storage.schema import FOLLOW_DELETES, STUDY_TABLES, Base, Migration
from optuna_nb.storage.server import (
    MIGRATION_LOCK,
    Place,
    ServerRecords,
    first_line,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.storage.database import Database
    from optuna_nb.storage.dialect import Connection


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

STEPS: tuple[Step, ...] = (create_study_tables, *RECORD_STEPS, add_workers_to_study_status)
SERVER_STEPS: tuple[Step, ...] = (*STEPS, share_studies_on_a_server)


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
                make_tables_of_server(server.engine.url)
        for step in missing:
            with server.records() as connection:
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                apply(connection, step)
    except sqlalchemy.exc.ProgrammingError as error:
        msg = f"{where}: {first_line(error.orig)}; ask its owner to open it once, or for the role"
        raise StorageError(msg, code="NB507") from error


def _applied(connection: sqlalchemy.Connection) -> set[str]:
    if not sqlalchemy.inspect(connection).has_table(Migration.__tablename__):
        return set()
    return set(connection.scalars(sqlalchemy.select(Migration.name)))


def take_all_steps(engine: sqlalchemy.Engine) -> None:
    """Make our tables in a new file, beside Optuna's."""
    for step in STEPS:
        with engine.begin() as connection:
            apply(connection, step)


def migrate_file(database: Database) -> None:
    """Take a file through the steps that it has not seen; a copy of an older one is kept beside it."""
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
    steps = all_steps(connection)
    return steps if is_file(connection) or create_study_tables.__name__ in steps else set()


def all_steps(connection: Connection) -> set[str]:
    """Return the names of all steps that a database has been through, also where it holds records alone."""
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
