"""The tasks that trials run in, on one life of a Dask cluster.

A task costs Dask several messages and much bookkeeping, so one that has ended a trial
waits ``dask_worker.REST_SECONDS`` for the next one of its worker, which takes one message.

The objective is one more task, whose result Dask brings to each worker once, and makes
anew where the last copy of it is lost.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import TYPE_CHECKING, Any

import dask
from distributed import KilledWorker

from optuna_nb.tuning.executors.dask_worker import deliver, keep, run_trials, take_next

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from distributed import Client, Future

    from optuna_nb.tuning.executors.link import Listener
    from optuna_nb.tuning.executors.packing import Parcel


class _Task:
    """A task of one worker."""

    def __init__(self, name: str, worker: str) -> None:
        self.name = name
        self.worker = worker
        self.future: Future[Any]
        self.trial: str | None = name  # key of the trial that it has; None while it rests
        self.is_taken = True  # whether the task is known to have got that trial


class Tasks:
    """What we have on the cluster; all of it goes with the client. Methods may be called from any thread.

    Args:
        client: to the cluster.
        parcel: the objective.
        topic: of the events that trials send.
        listener: hears of trials that cannot end.
        count_workers: looks who is there, at once.
        look_soon: set when something has gone wrong with a task.
    """

    def __init__(
        self,
        client: Client,
        parcel: Parcel,
        topic: str,
        listener: Listener,
        *,
        count_workers: Callable[[], None],
        look_soon: threading.Event,
    ) -> None:
        self._client = client
        self._parcel = parcel
        self._topic = topic
        self._listener = listener
        self._count_workers = count_workers
        self._look_soon = look_soon
        self._lock = threading.Lock()  # around what follows
        self._by_trial: dict[str, _Task] = {}
        self._resting: dict[str, list[_Task]] = {}  # by worker
        self._copying = threading.Lock()  # around what follows
        self._copies: dict[str, Future[Any]] = {}  # of the objective, by worker
        self._sent = self._send()  # each copy is made of it

    @property
    def are_known(self) -> bool:
        """Whether the scheduler still knows of them: a client that Dask has connected anew has cancelled all.

        What is merely "lost", with the worker that held it, the scheduler makes anew.
        """
        return bool(self._sent.status != "cancelled")

    def keep_only(self, workers: Container[str]) -> None:
        """Forget what was on workers that are gone; Dask would make it anew if one came back."""
        with self._copying:
            self._copies = {address: copy for address, copy in self._copies.items() if address in workers}
        with self._lock:
            gone = {worker for worker in self._resting if worker not in workers}
        self._drop_resting(gone)

    def _drop_resting(self, workers: Iterable[str]) -> None:
        with self._lock:
            gone = [task for worker in workers for task in self._resting.pop(worker, ())]
        for task in gone:
            task.future.release()

    # The objective

    def _send(self) -> Future[Any]:
        key = f"{self._topic}-objective-{uuid.uuid4().hex[:8]}"
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            return self._client.submit(keep, self._parcel, key=key, pure=False)

    def _copy_on(self, worker: str) -> Future[Any]:
        """Return the objective as a task of one worker.

        Dask takes it there once. Of a task that several workers hold it would drop all
        copies but one as soon as they idle, and bring them again for the next trial.
        """
        with self._copying:
            if self._sent.status == "error":
                self._sent = self._send()  # Dask gave it up, as several workers have died while they took it
            copy = self._copies.get(worker)
            if copy is None or copy.status in ("cancelled", "lost", "error"):
                key = f"{self._topic}-objective-{uuid.uuid4().hex[:8]}"
                copy = self._client.submit(keep, self._sent, key=key, workers=[worker], pure=False)
                self._copies[worker] = copy
        return copy

    # Trials

    def start(self, worker: str, key: str, assignment: bytes) -> None:
        """Run a trial on a worker, in a task that rests there or in a new one.

        Raises:
            Exception: Whatever Dask makes of a cluster that is away.
        """
        with self._lock:
            resting = self._resting.get(worker)
            task = resting.pop() if resting else None
            if task is not None:
                task.trial, task.is_taken = key, False
                self._by_trial[key] = task
        if task is None:
            self._submit(worker, key, assignment)
        else:
            self._on_loop(self._hand_over, task, key, assignment)

    def _submit(self, worker: str, key: str, assignment: bytes, former: _Task | None = None) -> None:
        """Run a trial in a new task; in the place of one that has ended, unless the trial was released."""
        task = _Task(key, worker)
        task.future = self._client.submit(
            run_trials,
            self._copy_on(worker),
            assignment,
            key,
            self._topic,
            key=key,
            workers=[worker],
            allow_other_workers=False,
            retries=0,
            pure=False,
        )
        with self._lock:
            is_wanted = self._by_trial.get(key) is former
            if is_wanted:
                self._by_trial[key] = task
        if is_wanted:
            task.future.add_done_callback(lambda _: self._on_done(task))
        else:
            task.future.release()

    async def _hand_over(self, task: _Task, key: str, assignment: bytes) -> None:
        try:
            answers = await self._client.run(
                take_next, task.name, key, assignment, workers=[task.worker], on_error="return"
            )
            taken = answers.get(task.worker)
        except Exception:  # noqa: BLE001 - the way there is broken
            taken = None
        if taken is True:
            task.is_taken = True
            return
        if taken is False:  # it had waited long enough
            with contextlib.suppress(Exception):
                self._submit(task.worker, key, assignment, task)
                return
        self._drop_resting({task.worker})
        self._listener.task_lost(key)
        self._look_soon.set()

    def answer(self, worker: str, key: str, blob: bytes) -> None:
        """Send bytes to a trial."""
        self._on_loop(self._answer, worker, key, blob)

    async def _answer(self, worker: str, key: str, blob: bytes) -> None:
        with contextlib.suppress(Exception):  # the worker is gone, and we hear of that elsewhere
            await self._client.run(deliver, key, blob, workers=[worker], wait=False, on_error="ignore")

    def _on_loop(self, coroutine: Callable[..., Any], *arguments: Any) -> None:
        if self._client.loop is not None:  # it is closed, and all tasks with it
            self._client.loop.add_callback(coroutine, *arguments)

    def rest(self, key: str) -> None:
        """Keep the task of a trial that has ended for the next one."""
        with self._lock:
            task = self._by_trial.pop(key, None)
            if task is not None and not task.future.done():
                task.trial = None
                self._resting.setdefault(task.worker, []).append(task)

    def release(self, key: str) -> None:
        """Release the task of a trial; if that still runs, its worker notices and drops it."""
        with self._lock:
            task = self._by_trial.pop(key, None)
        if task is not None:
            task.future.release()  # by name: its callback holds it, too

    def _on_done(self, task: _Task) -> None:
        with self._lock:
            key, resting = task.trial, self._resting.get(task.worker, [])
            if task in resting:
                resting.remove(task)
            is_ours = key is not None and self._by_trial.get(key) is task
        future = task.future
        if key is None or not is_ours:
            return
        if future.status == "finished":
            # What a trial has said of its end is heard before this. Where Dask ran the task anew, as its
            # worker died and came back at once, the trial that it had taken meanwhile was not in it.
            if task.is_taken:
                self._listener.task_lost(key)
            return
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):  # of this trial or of the objective, at once or after some
            with contextlib.suppress(Exception):
                self._count_workers()  # or it would begin again on the one that has died
            self._listener.task_lost(key)
        elif future.status == "error":
            self._listener.failed(key, error or RuntimeError(f"Dask could not run {key}"))
        elif future.client.status == "running":  # somebody else cancelled it
            self._listener.task_lost(key)
        self._look_soon.set()
