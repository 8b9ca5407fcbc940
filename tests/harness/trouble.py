"""Jobs of children whose disk fails them for a while."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING

from harness.lives import one_trial, open_study
from optuna_nb.storage import ledger

if TYPE_CHECKING:
    from harness.nursery import Line
    from optuna_nb.errors import StorageTroubleError


def tune_through_trouble(parent: Line, *, path: str, trials: int, full: bool) -> None:
    """Tune, and say each trial, each trouble, and that it is over."""
    ledger.RETRY_SECONDS = 0.01
    study, storage = open_study(path, "random")
    storage.database.sync_fully(full)
    held = storage.acquire(study._study_id)
    held.on_trouble = lambda error: parent.say({"trouble": None if error is None else str(error)})
    for _ in range(trials):
        told = one_trial(study, storage, "random", lambda _: None)
        parent.say({"number": told.number})
    storage.close()


def outgrow_the_file_size_limit(parent: Line, *, path: str, trials: int) -> None:
    """Tune under a file size limit that the log soon reaches; it is lifted at the third failed write."""
    ledger.RETRY_SECONDS = 0.02
    study, storage = open_study(path, "random")
    held = storage.acquire(study._study_id)
    one_trial(study, storage, "random", lambda _: None)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = max(Path(path).stat().st_size, Path(f"{path}-wal").stat().st_size) + 30_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    failed = 0

    def wait(_: float) -> bool:
        nonlocal failed
        failed += 1
        if failed == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        return False

    def on_trouble(error: StorageTroubleError | None) -> None:
        parent.say({"trouble": None if error is None else str(error)})

    held.give_up.wait = wait  # type: ignore[method-assign,assignment]
    held.on_trouble = on_trouble
    for _ in range(trials - 1):
        told = one_trial(study, storage, "random", lambda _: None)
        parent.say({"number": told.number})
    parent.say({"failed writes": failed})
    storage.close()
