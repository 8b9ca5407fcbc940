"""Parameter sets that are to be tried next: rows that whoever runs the study takes in.

They are trials in the state ``WAITING``, as plain Optuna enqueues them, so that
they survive everything and need no owner. An owner finds them before its next
trial (:mod:`.foreign`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState, create_trial

from optuna_nb.storage import versions, writer
from optuna_nb.storage.dialect import take_trial_ids
from optuna_nb.storage.rows import FIXED_PARAMS, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.storage.dialect import StudyDatabase


def enqueue(database: StudyDatabase, name: str, queue: Sequence[Mapping[str, Any]]) -> None:
    """Add parameter sets to a study, in one transaction. No lease is needed.

    The ids lie beyond those that an owner has set aside; a number that its trial
    in flight has is changed by the owner.

    Args:
        database: Where the study is.
        name: The study.
        queue: Plain values by name of the parameter; the others are drawn.

    Raises:
        StudyNotFoundError: If there is no such study.
    """
    with database.transaction() as connection:
        study_id = versions.resolve(connection, name).study_id
        first = take_trial_ids(connection, len(queue))
        (number,) = connection.execute(
            "SELECT coalesce(max(number), -1) FROM trials WHERE study_id = ?", (study_id,)
        ).fetchone()
        for place, params in enumerate(queue, start=1):
            trial = create_trial(state=TrialState.WAITING, system_attrs={FIXED_PARAMS: dict(params)})
            trial._trial_id = first + place - 1
            trial.number = number + place
            writer.insert(connection, encode(trial, study_id))
