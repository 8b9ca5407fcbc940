"""Changing a trial in flight, of which nothing has been written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.storage.memory import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import FrozenTrial

    from optuna_nb.storage.studies import StudyStorage


def change_trial(storage: StudyStorage, trial_id: int, change: Callable[[FrozenTrial], object]) -> None:
    """Let ``change`` replace attributes of a trial in flight; it may take parameters back.

    Args:
        storage: Owns the trial's study.
        trial_id: Of the trial.
        change: Gets a copy, whose dicts it replaces and does not write to.

    Raises:
        UpdateFinishedTrialError: If the trial has ended.
    """
    with storage._lock:  # noqa: SLF001 - of this folder
        memory = storage._open_trial(trial_id)  # noqa: SLF001
        trial = changed(memory.get(trial_id))
        change(trial)
        memory.replace(trial)
        internals = memory.internals.get(trial_id, {})
        for name in internals.keys() - trial.params.keys():
            del internals[name]
