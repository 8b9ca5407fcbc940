"""Studies from elsewhere: an Optuna journal, another SQLite file, any database that Optuna reads.

Only read from. An SQLite file or a PostgreSQL server is opened read-only by our own
reader, a journal and other databases by Optuna's storages, which know their formats.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from optuna_nb.errors import StorageError
from optuna_nb.storage import server
from optuna_nb.storage.copying import StudyCopy, is_movable, read_study
from optuna_nb.storage.dialect import has_column, has_table
from optuna_nb.storage.opening import open_file_read_only, open_read_only
from optuna_nb.storage.paths import sqlite_path
from optuna_nb.storage.refusals import find_journal, translated

if TYPE_CHECKING:
    from pathlib import Path

    from optuna_nb.storage.dialect import Connection


def read_studies(source: str) -> list[StudyCopy]:
    """Read all studies of a source.

    Args:
        source: Path of a journal file, of a folder with one, or of an SQLite file; or a
            database URL (``postgresql://...`` needs its driver).

    Raises:
        StorageError: If it cannot be read.
    """
    if "://" in source and not source.startswith("sqlite:///"):
        return _of_url(source)
    path = sqlite_path(source)
    if not path.exists():
        msg = f"there is no {path}: name an Optuna journal, an SQLite file or a database URL"
        raise StorageError(msg, code="NB508")
    journal = find_journal(path)
    return _of_sqlite(path) if journal is None else _of_journal(journal)


def _of_journal(path: Path) -> list[StudyCopy]:
    try:
        return _of_storage(JournalStorage(JournalFileBackend(str(path))))
    except (ValueError, LookupError, TypeError, AssertionError) as error:
        msg = f"{path} is damaged and cannot be read as an Optuna journal: use a copy of it"
        raise StorageError(msg, code="NB508") from error


def _of_sqlite(path: Path) -> list[StudyCopy]:
    with contextlib.closing(open_file_read_only(str(path))) as connection, translated(path):
        return _of_connection(connection, path)


def _of_connection(connection: Connection, where: Path | server.Place) -> list[StudyCopy]:
    if not has_table(connection, "studies"):
        msg = f"{where} holds no Optuna study: name another file"
        raise StorageError(msg, code="NB508")
    if not has_column(connection, "trial_values", "value_type"):  # of Optuna 3 and later
        msg = f"{where} was made by an old Optuna: run `optuna storage upgrade` on a copy of it first"
        raise StorageError(msg, code="NB508")
    names = connection.execute("SELECT study_name FROM studies ORDER BY study_id").fetchall()
    return [read_study(connection, name, exactly=True) for (name,) in names]


def _of_url(url: str) -> list[StudyCopy]:
    if server.is_server(url):
        with contextlib.closing(open_read_only(url)) as connection:
            return _of_connection(connection, server.place(url))
    shown = server.shown(url)
    try:
        return _of_storage(RDBStorage(url, skip_table_creation=True))
    except (ImportError, sqlalchemy.exc.SQLAlchemyError) as error:
        cause = str(error.__cause__ or error).strip().split("\n", 1)[0]
        msg = f"{shown} cannot be read ({cause}): check the URL and that its driver is installed"
        raise StorageError(msg, code="NB508") from error
    except (RuntimeError, ValueError, optuna.exceptions.StorageInternalError) as error:
        cause = str(error.__cause__ or error).strip().split("\n", 1)[0]
        msg = f"{shown} cannot be read by Optuna {optuna.__version__} ({cause}): check the URL"
        raise StorageError(msg, code="NB508") from error


def _of_storage(storage: BaseStorage) -> list[StudyCopy]:
    copies = []
    for study in storage.get_all_studies():
        trials = storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001 - Optuna speaks in ids
        movable = [trial for trial in trials if is_movable(trial)]
        copies.append(
            StudyCopy(
                study.study_name,
                study.directions,
                study.user_attrs,
                study.system_attrs,
                movable,
                len(trials) - len(movable),
            )
        )
    return copies
