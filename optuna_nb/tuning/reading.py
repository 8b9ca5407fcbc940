"""An Optuna study of what is in a database, for Optuna's own functions."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.storages import InMemoryStorage

from optuna_nb.errors import StorageTroubleError, StudyNotFoundError
from optuna_nb.storage import loader, versions
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.server import place
from optuna_nb.storage.studies import StudyStorage

if TYPE_CHECKING:
    from optuna_nb.tuning.handle import StudyHandle

_logger = logging.getLogger("optuna_nb")


def load_study(study_name: str, storage: str, *, shown: str) -> optuna.Study:
    """Load a study; where its database may not be written, a copy of it in memory.

    Args:
        study_name: As Optuna knows it.
        storage: URL of its database.
        shown: How the user knows it.

    Raises:
        StudyNotFoundError: If there is none of that name any more.
        StorageError: If the database cannot be read.
    """
    try:
        return optuna.load_study(study_name=study_name, storage=StudyStorage(storage))
    except KeyError:
        msg = f"there is no study {shown!r} any more: it was deleted or has another name"
        raise StudyNotFoundError(msg, code="NB401") from None
    except StorageTroubleError:
        path = place(storage)
        if not isinstance(path, Path) or os.access(path, os.W_OK):
            raise
        _say_once(shown, path)
        return _copy_in_memory(study_name, storage)


def load_to_look(handle: StudyHandle) -> optuna.Study:
    """Load a study that is only looked at: a database of plain Optuna gets no tables of ours by that.

    Raises:
        StudyNotFoundError: If it was deleted, or has another name by now.
        StorageError: If the database cannot be read.
    """
    with contextlib.closing(open_read_only(handle.storage)) as connection:
        ours = loader.is_ours(connection)
    return handle.study if ours else _copy_in_memory(handle.study_name, handle.storage)


@functools.cache
def _say_once(shown: str, path: Path) -> None:
    _logger.warning(
        "%s: %s may not be written, so .study is a copy; what is changed in it is not kept", shown, path
    )


def _copy_in_memory(study_name: str, storage: str) -> optuna.Study:
    """Copy a study with all of its trials under their numbers, also those that a process elsewhere runs."""
    with contextlib.closing(open_read_only(storage)) as connection:
        version = versions.find_exactly(connection, study_name) or versions.resolve(connection, study_name)
        found = loader.load_study(connection, version.study_id)
    memory = InMemoryStorage()
    study_id = memory.create_new_study(found.directions, study_name)
    for key, value in found.user_attrs.items():
        memory.set_study_user_attr(study_id, key, value)
    for key, value in found.system_attrs.items():
        memory.set_study_system_attr(study_id, key, value)
    study = optuna.load_study(study_name=study_name, storage=memory)
    study.add_trials(found.trials)
    for copy, trial in zip(study.get_trials(deepcopy=False), found.trials, strict=True):
        copy.number = trial.number  # Optuna counts anew, and a number may be free
    return study
