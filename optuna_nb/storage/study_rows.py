"""A study's own rows: making them, and deleting them with all that belongs to the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.exceptions import DuplicatedStudyError

from optuna_nb.storage.dialect import REFUSALS, insert_study_row
from optuna_nb.storage.rows import plain_text
from optuna_nb.storage.writer import CHILD_TABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.study import StudyDirection

    from optuna_nb.storage.dialect import Connection

_TABLES = (
    "trials",
    "study_directions",
    "study_user_attributes",
    "study_system_attributes",
    "study_versions",
    "study_status",
    "trial_commits",
    "live_trials",
    "trial_deaths",
    "requests",
    "studies",
)


def insert_study(
    connection: Connection, name: str, directions: Sequence[StudyDirection], *, above: int = 0
) -> int:
    """Make a study, in the caller's transaction, and return its id.

    Args:
        connection: Inside a transaction.
        name: Not that of another study.
        directions: One per objective.
        above: The id is higher than this one: Optuna promises that the id of a
            deleted study is not used again.

    Raises:
        DuplicatedStudyError: If the name is taken.
    """
    name = plain_text(name, "study name")
    if connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (name,)).fetchone():
        raise DuplicatedStudyError
    try:
        study_id = insert_study_row(connection, name, above)
    except REFUSALS as error:  # plain Optuna was quicker
        raise DuplicatedStudyError from error
    connection.executemany(
        "INSERT INTO study_directions (direction, study_id, objective) VALUES (?, ?, ?)",
        [(direction.name, study_id, i) for i, direction in enumerate(directions)],
    )
    return study_id


def delete_study(connection: Connection, study_id: int) -> None:
    """Delete a study, in the caller's transaction."""
    for table in CHILD_TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)",  # noqa: S608
            (study_id,),
        )
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE study_id = ?", (study_id,))  # noqa: S608
