"""A study with all that belongs to it goes to another database, or comes from one.

What ``%tune push`` and ``%tune pull`` do: all versions of the study, their trials
with values, steps, attributes and logs, what the samplers remember, and the
records. The study there goes on exactly where this one stands.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from optuna_nb.errors import InvalidOptionError, LockedStudyError, StudyNotFoundError
from optuna_nb.storage import versions
from optuna_nb.storage.copying import read_study, write_versions
from optuna_nb.storage.migrations import applied_steps
from optuna_nb.storage.opening import open_database, open_read_only
from optuna_nb.storage.record_copying import copy_records
from optuna_nb.storage.record_database import read_records
from optuna_nb.storage.server import identity, place, shown
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning.naming import check_kept, check_name

if TYPE_CHECKING:
    from collections.abc import Iterator


def transfer(name: str, source: str, target: str, *, new_name: str | None = None) -> str:
    """Copy a study from one database to another; nothing changes in the first.

    Trials that are running are left out: they belong to the process that runs them.

    Args:
        name: ``churn`` for all its versions, or ``churn@1``.
        source: URL of the database that has it.
        target: URL of the database that gets it; its tables are made if there are none.
        new_name: What it is called there; None for the name that it has.

    Returns:
        One line that says what was copied.

    Raises:
        StudyNotFoundError: If there is no such study.
        InvalidOptionError: If there is one of that name in the target, or both are the same.
        StorageError: If a database cannot be used.
    """
    if new_name is not None:
        check_name(new_name)
    if identity(source) == identity(target) and new_name is None:
        msg = f"{place(target)} is where {name} is already: give it another name there with --name"
        raise InvalidOptionError(msg, code="NB412")
    with contextlib.closing(open_read_only(source)) as connection:
        found = versions.resolve(connection, name)
        if new_name is None:
            check_kept(found.base_name)
        several = versions.all_of(connection, name) or ([found] if found.version else [])
        names = [versions.study_name(it.base_name, it.version) for it in several] or [found.study_name]
        copies = [read_study(connection, one) for one in names]
        has_records = bool(applied_steps(connection))
    database = open_database(target)
    try:
        written = write_versions(database, copies, new_name)
        names_there = dict(zip((copy.name for copy in copies), written, strict=True))
        runs = 0
        if has_records:
            with _undoing(target, written), contextlib.closing(read_records(source)) as records:
                runs = copy_records(records, database, names_there)
    finally:
        database.close()
    count, left_out = sum(len(copy.trials) for copy in copies), sum(copy.left_out for copy in copies)
    running = f"; {left_out} that ran are left out" if left_out else ""
    what = f"{_many(count, 'trial')}, {_many(runs, 'run')}{running}"
    return f"copied {', '.join(written)} to {shown(target)}: {what}"


@contextlib.contextmanager
def _undoing(target: str, written: list[str]) -> Iterator[None]:
    """Delete what was written when the rest of it fails, so that it can be copied again."""
    try:
        yield
    except BaseException:
        with (
            contextlib.suppress(StudyNotFoundError, LockedStudyError),
            contextlib.closing(StudyStorage(target)) as storage,
        ):
            for name in written:
                storage.delete_study(storage.get_study_id_from_name(name))
        raise


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
