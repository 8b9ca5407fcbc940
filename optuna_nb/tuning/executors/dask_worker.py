"""What Dask runs for us elsewhere: a trial on a worker, and the end of a topic on the scheduler."""

from __future__ import annotations

import contextlib
import pickle
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from optuna_nb.tuning.executors import remote

if TYPE_CHECKING:
    from optuna_nb.tuning.executors.packing import Parcel

_WANTED = frozenset({"executing", "long-running"})

_channels: dict[str, remote.Channel] = {}  # of the trials that run in this worker process


def keep(parcel: Parcel) -> Parcel:
    """Hold the objective on a worker."""
    return parcel


async def deliver(key: str, blob: bytes) -> None:
    """Hand an answer of the kernel to the trial that waits for it."""
    channel = _channels.get(key)
    if channel is not None:
        channel.answers.put(pickle.loads(blob))  # noqa: S301 - from the kernel that sent the objective


def run_trial(parcel: Parcel, assignment: bytes, key: str, topic: str) -> None:
    """Evaluate a trial; all that it says goes as events of the topic."""
    worker: Any = get_worker()

    def send(blob: bytes) -> None:
        worker.log_event(topic, {"key": key, "blob": blob})

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state in _WANTED

    channel = _channels[key] = remote.Channel(send, is_wanted)
    try:
        _, _, assigned = remote.loads(assignment)
        channel.end(remote.run(parcel.open, assigned, channel))
    finally:
        del _channels[key]


def forget_topic(topic: str, dask_scheduler: Any) -> None:
    """Drop the last events of a topic, which a scheduler would keep for ever; on the scheduler."""
    with contextlib.suppress(AttributeError):  # it has no public way
        dask_scheduler._broker._topics.pop(topic, None)  # noqa: SLF001
