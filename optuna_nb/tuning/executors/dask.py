"""The way to a Dask cluster; ``dask_worker.py`` is the other end of it.

A trial runs in a Dask task (``dask_tasks.py``), bound to the worker that the coordinator
has chosen. What it sends goes as events of a topic of this run (worker, scheduler, client:
in order, one way); answers go by ``Client.run``, which leaves nothing behind on the
scheduler. All of it hangs on our client: when that is gone, with the kernel or without it,
Dask forgets the tasks, and the workers drop what still runs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import psutil
from distributed import Client, LocalCluster

from optuna_nb.errors import ClusterError
from optuna_nb.tuning.executors.cores import in_words, share
from optuna_nb.tuning.executors.dask_tasks import Tasks
from optuna_nb.tuning.executors.dask_worker import forget_topic
from optuna_nb.tuning.executors.link import Worker
from optuna_nb.tuning.executors.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Security

    from optuna_nb.tuning.executors.link import Listener
    from optuna_nb.tuning.executors.packing import Parcel

CONNECT_SECONDS = 10.0
RECONNECT_SECONDS = 3.0
LOOK_SECONDS = 0.5
COUNT_SECONDS = 2.0
CLOSE_SECONDS = 2.0
START_SECONDS = 60.0
_SEND_SECONDS = 0.001
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class DaskLink:
    """A cluster, our own or an existing one.

    Args:
        parcel: the objective.
        jobs: trials at the same time; None for all that the cluster has room for.
        address: of an existing scheduler; None starts processes on this machine.
        security: of that scheduler.

    Raises:
        ClusterError: If an existing cluster cannot be reached or used.
    """

    def __init__(
        self,
        parcel: Parcel,
        jobs: int | None,
        address: str | None = None,
        security: Security | None = None,
    ) -> None:
        self.slots = jobs or 1
        self.about = "" if address else in_words(self.slots)
        self.dashboard = ""
        self._parcel = parcel
        self._jobs = jobs
        self._address = address
        self._security = security
        self._cluster: LocalCluster | None = None
        self._processes: Processes | None = None
        self._client: Client | None = None
        self._tasks: Tasks | None = None
        self._topic = f"optuna_nb-{uuid.uuid4().hex[:12]}"
        self._listener: Listener | None = None
        self._look_soon = threading.Event()
        self._removed: set[str] = set()  # workers that the scheduler has dropped since we looked
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        if address is not None:
            self._client = self._connect(CONNECT_SECONDS)
            try:
                self._check_workers()
            except BaseException:
                self.close()
                raise

    # Coming and going

    def open(self, listener: Listener) -> None:
        """Start a cluster of processes, or use the one that is there."""
        self._listener = listener
        if self._address is None:
            self._start_local()
        self._join(listener)
        self._watcher = threading.Thread(
            target=self._watch, args=(listener,), name="optuna_nb cluster", daemon=True
        )
        self._watcher.start()

    def _start_local(self) -> None:
        # It tells of connections that end with their cluster, and with a traceback each.
        logging.getLogger("distributed.batched").setLevel(logging.WARNING)
        self._cluster = LocalCluster(  # only the scheduler
            n_workers=0,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        self._cluster.shutdown_on_close = False  # by Dask at the end of this process: it takes too long
        self._address = str(self._cluster.scheduler_address)
        threads = dict.fromkeys(_THREADS, str(share(self.slots)))
        memory = psutil.virtual_memory().total // self.slots
        self._processes = Processes(self._address, self.slots, threads, memory)
        self._client = self._connect(CONNECT_SECONDS)
        end = time.monotonic() + START_SECONDS
        while not self._client.scheduler_info(n_workers=-1)["workers"]:
            self._processes.renew()
            if time.monotonic() > end or self._closing.wait(0.05):
                raise ClusterError("no worker process has started: run the cell again", code="NB801")

    def _connect(self, seconds: float) -> Client:
        try:
            return Client(
                self._address,
                security=self._security,
                timeout=seconds,
                set_as_default=False,
                asynchronous=False,
                name="optuna_nb",
            )
        except (OSError, TimeoutError, ValueError) as error:
            msg = f"no Dask scheduler answers at {self._address}: start it, or check the address"
            raise ClusterError(msg, code="NB801") from error

    def _check_workers(self) -> None:
        """Refuse a cluster whose workers cannot run our part of a trial."""
        client = self._present()
        workers = client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            msg = f"the cluster at {self._address} has no worker: start one, as `dask worker {self._address}`"
            raise ClusterError(msg, code="NB801")
        found = client.run(find_spec, "optuna_nb", on_error="return")
        lacking = [address for address, it in found.items() if it is None or isinstance(it, BaseException)]
        if lacking:
            msg = f"worker {lacking[0]} has no optuna_nb: install `optuna-nb[dask]` there, and restart it"
            raise ClusterError(msg, code="NB801")
        if self._jobs is None:
            self.slots = sum(worker["nthreads"] for worker in workers.values())

    def _join(self, listener: Listener) -> None:
        """Hear of what happens on the cluster, and bring the objective there."""
        client = self._present()
        _send_at_once(client)
        client.subscribe_topic(self._topic, self._on_message)
        client.subscribe_topic("all", self._on_event)
        self._tasks = Tasks(
            client,
            self._parcel,
            self._topic,
            listener,
            count_workers=self._count_workers,
            look_soon=self._look_soon,
        )
        self.dashboard = client.dashboard_link or ""
        self._count_workers()

    def close(self) -> None:
        """Release all tasks, and end the cluster that we started."""
        self._closing.set()
        self._look_soon.set()
        client, self._client = self._client, None
        cluster, self._cluster = self._cluster, None
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.end()
        if client is not None:
            self._tasks = None
            with contextlib.suppress(Exception):  # whatever a dying cluster makes of it
                client.unsubscribe_topic("all")  # or the scheduler would tell us that we are gone
                client.unsubscribe_topic(self._topic)
                if cluster is None and client.status == "running":
                    client.run_on_scheduler(forget_topic, self._topic)
            with contextlib.suppress(Exception):  # also where it never joined, and has no topic
                client.close(timeout=CLOSE_SECONDS)
        if cluster is not None:
            with contextlib.suppress(Exception):
                cluster.close(timeout=CLOSE_SECONDS)

    def abandon(self) -> None:
        """Kill the workers that we started; another cluster notices that our client is gone."""
        self._closing.set()
        if self._processes is not None:
            self._processes.kill()

    # Trials

    def start(self, worker: str, key: str, assignment: bytes) -> None:
        """Run a trial in a task of one worker.

        Raises:
            ClusterError: If the cluster is away.
        """
        tasks = self._tasks
        if tasks is None or not self._is_connected():
            raise ClusterError(self._note(), code="NB801")
        try:
            tasks.start(worker, key, assignment)
        except Exception as error:
            raise ClusterError(self._note(), code="NB801") from error

    def answer(self, worker: str, key: str, blob: bytes) -> None:
        """Send bytes to a trial. One that is lost on the way is asked for again."""
        tasks = self._tasks  # it goes with the cluster, at any time
        if tasks is not None:
            tasks.answer(worker, key, blob)

    def rest(self, key: str) -> None:
        """Keep the task of a trial that has ended for the next one."""
        tasks = self._tasks
        if tasks is not None:
            tasks.rest(key)

    def forget(self, key: str) -> None:
        """Let go of a trial; where it still runs, its worker notices and drops it."""
        tasks = self._tasks
        if tasks is not None:
            tasks.release(key)

    # What happens on the cluster

    def _on_message(self, event: tuple[float, dict[str, Any]]) -> None:
        if self._listener is not None:
            self._listener.message(event[1]["key"], event[1]["blob"])

    def _on_event(self, event: tuple[float, Any]) -> None:
        if isinstance(event[1], dict) and event[1].get("action") in ("add-worker", "remove-worker"):
            if event[1]["action"] == "remove-worker":
                self._removed.add(str(event[1].get("worker")))
            self._look_soon.set()

    def _watch(self, listener: Listener) -> None:
        """Look after the cluster: who is there, and whether the scheduler is."""
        counted = 0.0
        while not self._closing.is_set():
            hurry = self._look_soon.wait(LOOK_SECONDS)
            self._look_soon.clear()
            if self._closing.is_set():
                return
            try:
                if self._processes is not None:
                    self._processes.renew()
                if not self._is_connected():
                    self._reconnect(listener)
                elif hurry or time.monotonic() - counted > COUNT_SECONDS:
                    self._count_workers()
                    counted = time.monotonic()
            except ClusterError as error:
                listener.cluster_gone(str(error))
            except Exception:  # noqa: BLE001, S112 - it is gone in the midst of it: the next look finds out
                continue

    def _is_connected(self) -> bool:
        client, tasks = self._client, self._tasks
        return client is not None and client.status == "running" and tasks is not None and tasks.are_known

    def _reconnect(self, listener: Listener) -> None:
        """Wait for the scheduler, with a client of a new life; Dask's own gives up after a while."""
        old, self._client = self._client, None
        self._tasks = None
        listener.cluster_gone(self._note())
        if old is not None:
            with contextlib.suppress(Exception):
                old.close(timeout=CLOSE_SECONDS)
        while not self._closing.is_set():
            try:
                client = self._connect(RECONNECT_SECONDS)
            except ClusterError:
                self._closing.wait(LOOK_SECONDS)
                continue
            self._client = client
            if self._closing.is_set():
                client.close(timeout=CLOSE_SECONDS)
                return
            try:
                self._join(listener)
            except Exception:  # noqa: BLE001 - it is gone once more
                self._client = None
                with contextlib.suppress(Exception):
                    client.close(timeout=CLOSE_SECONDS)
                self._closing.wait(LOOK_SECONDS)
                continue
            listener.cluster_back()
            return

    def _count_workers(self) -> None:
        workers = {}
        for address, it in self._present().scheduler_info(n_workers=-1)["workers"].items():
            name = str(it.get("name", address)).rpartition("://")[2]
            name = f"worker {name}" if name.isdigit() else name
            slots = it["nthreads"] if it.get("status") == "running" else 0
            memory = it.get("metrics", {}).get("memory")
            workers[address] = Worker(address, name, it.get("host", ""), slots, memory)
        if workers and self._processes is not None:
            self._processes.are_there()
        removed, self._removed = self._removed, set()
        if not removed.isdisjoint(workers):  # gone, and back at the same address: what ran there is lost
            self._tell({address: it for address, it in workers.items() if address not in removed})
        self._tell(workers)

    def _tell(self, workers: Mapping[str, Worker]) -> None:
        tasks = self._tasks
        if tasks is not None:
            tasks.keep_only(workers)
        if self._listener is not None:
            self._listener.workers_are(workers)

    def _present(self) -> Client:
        if self._client is None:
            raise ClusterError(self._note(), code="NB801")
        return self._client

    def _note(self) -> str:
        return f"the Dask scheduler at {self._address} is gone: the study waits, and goes on when it is back"


def _send_at_once(client: Client) -> None:
    """Let the next trial not wait for the release of the one before: by itself a client sends each 10 ms."""
    stream: Any = getattr(client, "scheduler_comm", None)  # there is no public way
    if hasattr(stream, "interval"):
        stream.interval = _SEND_SECONDS
