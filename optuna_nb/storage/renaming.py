"""Another name for a study: for one version of it or for all, and for its records.

On a server the records of other users keep the old name, as each user's records are their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.errors import InvalidOptionError, LockedStudyError
from optuna_nb.storage import versions

if TYPE_CHECKING:
    from optuna_nb.records import VersionRecord
    from optuna_nb.storage.dialect import Connection


def rename(connection: Connection, name: str, new_name: str) -> dict[str, str]:
    """Rename a study, in the caller's transaction; its trials are not touched.

    Args:
        connection: Inside a transaction beside which there is no other.
        name: ``churn`` for all its versions, or ``churn@1``, which becomes the first version of its new name.
        new_name: No study has it.

    Returns:
        What the database called each version, and what it calls it now.

    Raises:
        InvalidOptionError: If there is a study of that name.
        LockedStudyError: If a kernel is running it.
        StudyNotFoundError: If there is none of that name.
    """
    studies = versions.all_of(connection, name) or [versions.resolve(connection, name)]
    _check_free(connection, new_name)
    names: dict[str, str] = {}
    for study in studies:
        check_idle(connection, study)
        new = versions.renamed(study, new_name, alone=len(studies) == 1)
        _check_free(connection, new.study_name)
        connection.execute(
            "UPDATE studies SET study_name = ? WHERE study_id = ?", (new.study_name, study.study_id)
        )
        connection.execute(
            "UPDATE study_versions SET base_name = ?, version = ? WHERE study_id = ?",
            (new.base_name, new.version, study.study_id),
        )
        connection.execute(  # on a server the user's own: nobody sees, or changes, those of others
            "UPDATE tuning_runs SET study_name = ? WHERE study_name = ?", (new.study_name, study.study_name)
        )
        names[study.study_name] = new.study_name
    return names


def _check_free(connection: Connection, name: str) -> None:
    if versions.find(connection, name) is not None:
        msg = f"there is a study {name!r} already: choose another name"
        raise InvalidOptionError(msg, code="NB412")


def check_idle(connection: Connection, study: VersionRecord) -> None:
    """Refuse what would pull the ground from under a run.

    Raises:
        LockedStudyError: If a kernel is running the study.
    """
    if versions.owner_of(connection, study) is not None:
        msg = f"{study.study_name} is running: %tune stop {study.study_name} first"
        raise LockedStudyError(msg, code="NB403")
