"""What Dask runs for us elsewhere: a trial on a worker, and the end of a topic on the scheduler."""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from optuna_nb.tuning.executors import remote
from optuna_nb.tuning.executors.messages import loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna_nb.tuning.executors.packing import Parcel

REST_SECONDS = 0.25  # that a task waits for another trial before it ends
_WANTED = frozenset({"executing", "long-running"})

_channels: dict[str, remote.Channel] = {}  # of the trials that run in this worker process
_coming: dict[str, queue.SimpleQueue[tuple[str, bytes]]] = {}  # trials that are handed to a task, by its name
_taking = threading.Lock()


def keep(parcel: Parcel) -> Parcel:
    """Hold the objective on a worker."""
    return parcel


async def deliver(key: str, blob: bytes) -> None:
    """Hand an answer of the kernel to the trial that waits for it."""
    channel = _channels.get(key)
    if channel is not None:
        channel.answers.put(pickle.loads(blob))  # noqa: S301 - from the kernel that sent the objective


def run_trials(parcel: Parcel, assignment: bytes, task: str, topic: str) -> None:
    """Evaluate a trial, whose key is that of the task, then those that are handed over in time.

    All that a trial says goes as events of the topic.
    """
    worker: Any = get_worker()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(task)
        return state is not None and state.state in _WANTED

    def may_rest() -> bool:
        waiting = worker.state.ready or worker.state.constrained  # other studies and users take turns with us
        return is_wanted() and not waiting

    coming = _coming[task] = queue.SimpleQueue()
    following: tuple[str, bytes] | None = (task, assignment)
    while following is not None:
        key, assignment = following
        channel = _channels[key] = remote.Channel(partial(_send, worker, topic, key), is_wanted)
        try:
            _, _, assigned = loads(assignment)
            if key == task:  # it may have waited for long, and what comes with it is old
                assigned = assigned._replace(reported=None)
            channel.end(remote.run(parcel.open, assigned, channel))
        except BaseException:
            _no_more(task)
            raise
        finally:
            del _channels[key]
        following = _rest(task, coming, may_rest)


def _send(worker: Any, topic: str, key: str, blob: bytes) -> None:
    worker.log_event(topic, {"key": key, "blob": blob})


def _rest(
    task: str, coming: queue.SimpleQueue[tuple[str, bytes]], may_rest: Callable[[], bool]
) -> tuple[str, bytes] | None:
    """Wait a moment for the next trial."""
    end = time.monotonic() + REST_SECONDS
    while may_rest() and time.monotonic() < end:
        with contextlib.suppress(queue.Empty):
            return coming.get(timeout=REST_SECONDS / 5)
    _no_more(task)
    with contextlib.suppress(queue.Empty):
        return coming.get_nowait()
    return None


def _no_more(task: str) -> None:
    with _taking:
        _coming.pop(task, None)


async def take_next(task: str, key: str, assignment: bytes) -> bool:
    """Hand a trial to a task that has ended one; tell whether the task was still there."""
    with _taking:
        coming = _coming.get(task)
        if coming is not None:
            coming.put((key, assignment))
    return coming is not None


def forget_topic(topic: str, dask_scheduler: Any) -> None:
    """Drop the last events of a topic, which a scheduler would keep for ever; on the scheduler."""
    with contextlib.suppress(AttributeError):  # it has no public way
        dask_scheduler._broker._topics.pop(topic, None)  # noqa: SLF001
