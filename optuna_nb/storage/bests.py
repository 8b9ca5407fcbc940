"""The best value of every study of a database at once: for a list, which loads none of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from optuna_nb.storage.dialect import has_column
from optuna_nb.storage.rows import decode_number
from optuna_nb.storage.views import broken_trials

if TYPE_CHECKING:
    from optuna_nb.storage.dialect import Connection

# The direction of each study that has one only.
_DIRECTIONS = "SELECT study_id, min(direction) FROM study_directions GROUP BY study_id HAVING count(*) = 1"
_VALUES = (
    "SELECT study_id, trial_id, value, value_type FROM trials JOIN trial_values USING (trial_id)"
    " WHERE state = 'COMPLETE' AND objective = 0"
)


def best_values(connection: Connection) -> dict[int, float]:
    """Return the best value of each study that has one, by study id.

    A study of several directions has none, nor has one without a complete trial that keeps its
    constraints. NaN is no value.
    """
    if not has_column(connection, "trial_values", "value_type"):  # made by Optuna 2
        return {}
    directions = dict(connection.execute(_DIRECTIONS))
    broken = broken_trials(connection, "state = 'COMPLETE'", ())
    best: dict[int, float] = {}
    for study_id, trial_id, stored, kind in connection.execute(_VALUES):
        value = decode_number(stored, kind)
        if study_id not in directions or trial_id in broken or math.isnan(value):
            continue
        better = max if directions[study_id] == "MAXIMIZE" else min
        best[study_id] = better(value, best.get(study_id, value))
    return best
