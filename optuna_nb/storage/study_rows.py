"""A study's own rows: making them, and deleting them with all that belongs to the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.exceptions import DuplicatedStudyError

from optuna_nb.storage.rows import plain_text
from optuna_nb.storage.writer import delete_children

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from optuna.study import StudyDirection

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
    connection: sqlite3.Connection, name: str, directions: Sequence[StudyDirection], *, above: int = 0
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
    (study_id,) = connection.execute(
        "INSERT INTO studies (study_id, study_name)"
        " SELECT 1 + max(coalesce((SELECT max(study_id) FROM studies), 0), ?), ? RETURNING study_id",
        (above, name),
    ).fetchone()
    connection.executemany(
        "INSERT INTO study_directions (direction, study_id, objective) VALUES (?, ?, ?)",
        [(direction.name, study_id, i) for i, direction in enumerate(directions)],
    )
    return int(study_id)


def delete_study(connection: sqlite3.Connection, study_id: int) -> None:
    """Delete a study, in the caller's transaction."""
    ids = connection.execute("SELECT trial_id FROM trials WHERE study_id = ?", (study_id,))
    for (trial_id,) in ids.fetchall():
        delete_children(connection, trial_id)
    for table in _TABLES:
        connection.execute(f"DELETE FROM {table} WHERE study_id = ?", (study_id,))  # noqa: S608
