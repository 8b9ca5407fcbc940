"""Data that the trials themselves change, such as a model that each trial sets and fits.

It would make a study never match itself again. So the runner lets the objective be
fingerprinted a second time after the first trial: what differs then is volatile, is
stored as such with the version, and no longer counts.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna_nb.storage import versions
from optuna_nb.tuning.advice import advice_on_volatile
from optuna_nb.tuning.changes import VOLATILE, mark_volatile, matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna_nb.records import Objective, VersionRecord
    from optuna_nb.storage.studies import StudyStorage

_logger = logging.getLogger("optuna_nb")


def with_known(objective: Objective, stored: Mapping[str, str]) -> Objective:
    """Return the objective with what its version knows to be volatile."""
    return replace(objective, fingerprint=mark_volatile(objective.fingerprint, _volatile(stored)))


def _volatile(parts: Mapping[str, str]) -> dict[str, str]:
    return {part: digest for part, digest in parts.items() if digest == VOLATILE}


def look_again(objective: Objective) -> Objective:
    """Return the objective with what its trials have changed by now; the second look is used up."""
    if objective.refingerprint is None:
        return objective
    marked = mark_volatile(objective.fingerprint, objective.refingerprint())
    return replace(objective, fingerprint=marked, refingerprint=None)


def is_same(running: Objective, other: Objective) -> bool:
    """Whether an objective is that of a running study, whose trials may have changed data already."""
    if matches(running.fingerprint, other.fingerprint):
        return True
    any_data = mark_volatile(running.fingerprint, dict.fromkeys(running.fingerprint, VOLATILE))
    # A second look may take long, so only where nothing but data differs.
    return matches(any_data, other.fingerprint) and matches(
        look_again(running).fingerprint, other.fingerprint
    )


def record(storage: StudyStorage, version: VersionRecord, objective: Objective) -> None:
    """Store what is volatile with the version of the study, and tell the user once.

    Raises:
        StorageTroubleError: If the file cannot be written just now; the next run looks again.
    """
    marked = mark_volatile(version.fingerprint, _volatile(objective.fingerprint))
    if marked == dict(version.fingerprint):
        return
    _logger.warning("%s: %s", version.study_name, advice_on_volatile(marked))
    with storage.database.transaction() as connection:
        versions.set_fingerprint(connection, version.study_id, marked)
