"""Waiting for the end of a run, of this kernel or of another one, and saying how it ended."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from optuna_nb.errors import ObjectiveError, StorageError, StorageTroubleError
from optuna_nb.records import StudySnapshot, StudyState
from optuna_nb.storage import versions
from optuna_nb.storage.lease import this_process
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.server import place
from optuna_nb.tuning.failure import objective_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna_nb.storage.reader import Reader
    from optuna_nb.tuning.background import Background

POLL_SECONDS = 0.2
HEARD_SECONDS = 2.0  # an owner looks four times a second


def runs_elsewhere(storage: str, study_name: str) -> bool:
    """Tell whether another process is at work on a study, by the name that Optuna has for it."""
    with (
        contextlib.suppress(StorageError),  # of a file that is gone nobody says so
        contextlib.closing(open_read_only(storage)) as connection,
        translated(place(storage)),
    ):
        found = versions.find_exactly(connection, study_name)
        return found is not None and versions.owner_of(connection, found) not in (None, this_process())
    return False


def state_of(storage: str, name: str) -> StudyState:
    """Return what a study is doing.

    Raises:
        StudyNotFoundError: If there is no such study.
    """
    with contextlib.closing(open_read_only(storage)) as connection, translated(place(storage)):
        return versions.state_of(connection, versions.resolve(connection, name))


def until_heard(state: Callable[[], StudyState]) -> None:
    """Wait for a moment until whoever runs a study is stopping it, as was asked; what is asked is stored."""
    end = time.monotonic() + HEARD_SECONDS
    with contextlib.suppress(StorageError):  # as of a study that is deleted meanwhile
        while state() in (StudyState.RUNNING, StudyState.PAUSED) and time.monotonic() < end:
            time.sleep(POLL_SECONDS / 4)


def wait_for_end(
    name: str,
    reader: Reader,
    own: Background | None,
    timeout: float | None,
    progress: Callable[[StudySnapshot], None] | None,
) -> None:
    """Block until nobody is at work on a study.

    Args:
        name: The study, for messages.
        reader: Of its database.
        own: The run of this process, or None for one of another.
        timeout: Seconds to wait at most; None waits for the end.
        progress: Called with a snapshot whenever something has changed.

    Raises:
        ObjectiveError: If the run failed; its cause is the error of the objective.
        TimeoutError: If the study still runs after ``timeout``.
    """
    end = None if timeout is None else time.monotonic() + timeout
    last: StudySnapshot | None = None
    while True:
        over = own is not None and own.wait(0)  # before the look, so that it shows the end
        seen = last
        try:
            last = reader.snapshot()
        except StorageTroubleError:  # a file that is gone, a server that is away
            if own is None:
                raise  # else the run goes on without it, and its end says what came of that
        if last is not None and last is not seen and progress is not None:
            progress(last)
        if over or (own is None and last is not None and not last.state.is_active):
            break
        if end is not None and time.monotonic() >= end:
            msg = f"{name} still runs after {timeout:g} s"
            raise TimeoutError(msg)
        time.sleep(POLL_SECONDS) if own is None else own.wait(POLL_SECONDS)
    raise_failure(own, last if own is None else None)


def raise_failure(own: Background | None, last: StudySnapshot | None) -> None:
    """Raise what ended a run, of this process or by what its database says."""
    if own is not None and own.failure is not None:
        raise own.failure
    if own is not None and own.end is not None:
        error = objective_error(own.end)
        if error is not None:
            raise error
    elif last is not None and last.state is StudyState.FAILED:
        raise ObjectiveError(last.note, code="NB301")
