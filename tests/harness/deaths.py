"""Jobs of children that own a study and wait to be killed at a known place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lives import open_study
from optuna_nb.storage.writer import Progress

if TYPE_CHECKING:
    from harness.nursery import Line


def draw_and_wait(parent: Line, *, path: str, ticks: bool) -> None:
    """Ask for a trial, say its number and what it draws, and stay in it."""
    study, storage = open_study(path, "random")
    storage.acquire(study._study_id)
    storage.show_progress(study._study_id, Progress("running", 5))
    trial = study.ask()
    x = trial.suggest_float("x", -3, 3)
    if ticks:
        storage.tick(study._study_id)
    parent.say([trial.number, x.hex()])
    parent.hear()


def own_and_wait(parent: Line, *, path: str) -> None:
    """Take the lease, and do nothing with it."""
    study, storage = open_study(path, "random")
    storage.acquire(study._study_id)
    parent.say("owned")
    parent.hear()
