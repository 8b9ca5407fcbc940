"""Views compare trials with their hashes, too: each trial once, when its reader first sees it.

A study of ten thousand trials takes a third of a second. Where millions of steps
were reported it would take many, so a look has a time limit, and the next ones go
on where it stopped: what is damaged is found out, if not at the first look.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from optuna_nb.errors import StorageError
from optuna_nb.storage.loader import COMMITTED_BETWEEN, REMEDY, check_trials

if TYPE_CHECKING:
    from optuna_nb.storage.dialect import Connection

_SLICE = 500  # trials that are in memory at a time
_NEXT_SLICE = (
    "SELECT max(seq) FROM (SELECT seq FROM trial_commits WHERE study_id = ? AND seq > ?"
    " ORDER BY seq LIMIT ?) AS slice"
)
_COUNT = "SELECT count(*) FROM trial_commits WHERE study_id = ?"


class Soundness:
    """How far one reader has compared the trials of a study with their hashes."""

    def __init__(self, study_id: int, study: str) -> None:
        """Start with no trial compared."""
        self._study_id = study_id
        self._study = study
        self._checked = -1  # the commit up to which all is sound

    def check(self, connection: Connection, seconds: float, seen: int) -> bool:
        """Compare what is new with its hashes; tell whether that is all.

        Args:
            connection: Where from; nothing is written.
            seconds: When to stop; at least one slice is compared.
            seen: How many finished trials the reader has found; a damaged index hides some.

        Raises:
            StorageError: If a trial is not what was once committed, or is not found.
        """
        end = time.monotonic() + seconds
        while True:
            key = (self._study_id, self._checked, _SLICE)
            (last,) = connection.execute(_NEXT_SLICE, key).fetchone()
            if last is None:
                (count,) = connection.execute(_COUNT, (self._study_id,)).fetchone()
                if count > seen:
                    msg = f"{count - seen} trials of {self._study} are missing in the file: {REMEDY}"
                    raise StorageError(msg, code="NB502")
                return True
            between = (self._study_id, self._study_id, self._checked, last)
            check_trials(connection, COMMITTED_BETWEEN, between, study=self._study)
            self._checked = last
            if time.monotonic() >= end:
                return False
