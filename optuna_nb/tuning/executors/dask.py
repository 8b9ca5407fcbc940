"""The way to a Dask cluster; ``dask_worker.py`` is the other end of it.

A trial is one Dask task, bound to the worker that the coordinator has chosen. What it
sends goes as events of a topic of this run (worker, scheduler, client: in order, one
way); answers go by ``Client.run``, which leaves nothing behind on the scheduler. The
objective is one more task, whose result Dask brings to each worker once, and makes anew
where the last copy of it is lost. All of it hangs on our client: when that is gone, with
the kernel or without it, Dask forgets the tasks, and the workers drop what still runs.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import dask
import psutil
from distributed import Client, KilledWorker, LocalCluster

from optuna_nb.errors import ClusterError
from optuna_nb.tuning.executors.cores import in_words, share
from optuna_nb.tuning.executors.dask_worker import deliver, forget_topic, keep, run_trial
from optuna_nb.tuning.executors.link import Worker
from optuna_nb.tuning.executors.processes import Processes

if TYPE_CHECKING:
    from distributed import Future, Security

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
        self._sent: Future[Any] | None = None  # the parcel, on the cluster
        self._copies: dict[str, Future[Any]] = {}  # of it, by worker; each is made of the one above
        self._futures: dict[str, Future[Any]] = {}
        self._topic = f"optuna_nb-{uuid.uuid4().hex[:12]}"
        self._listener: Listener | None = None
        self._copying = threading.Lock()
        self._look_soon = threading.Event()
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
        self._join()
        self._watcher = threading.Thread(target=self._watch, name="optuna_nb cluster", daemon=True)
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

    def _join(self) -> None:
        """Hear of what happens on the cluster, and bring the objective there."""
        client = self._present()
        _send_at_once(client)
        client.subscribe_topic(self._topic, self._on_message)
        client.subscribe_topic("all", self._on_event)
        with self._copying:
            self._send(client)
        self.dashboard = client.dashboard_link or ""
        self._count_workers()

    def _send(self, client: Client) -> None:
        key = f"{self._topic}-objective-{uuid.uuid4().hex[:8]}"
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
            self._sent = client.submit(keep, self._parcel, key=key, pure=False)

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
            self._futures.clear()
            self._copies = {}
            self._sent = None
            with contextlib.suppress(Exception):  # whatever a dying cluster makes of it
                client.unsubscribe_topic("all")  # or the scheduler would tell us that we are gone
                client.unsubscribe_topic(self._topic)
                if cluster is None and client.status == "running":
                    client.run_on_scheduler(forget_topic, self._topic)
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
        """Submit a trial as a task of one worker.

        Raises:
            ClusterError: If the cluster is away.
        """
        client = self._client
        if client is None or not self._is_connected():
            raise ClusterError(self._note(), code="NB801")
        try:
            future = client.submit(
                run_trial,
                self._copy_on(client, worker),
                assignment,
                key,
                self._topic,
                key=key,
                workers=[worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
        except Exception as error:
            raise ClusterError(self._note(), code="NB801") from error
        self._futures[key] = future
        future.add_done_callback(self._on_done)

    def _copy_on(self, client: Client, worker: str) -> Future[Any]:
        """Return the objective as a task of one worker.

        Dask takes it there once. Of a task that several workers hold it would drop all
        copies but one as soon as they idle, and bring them again for the next trial.
        """
        with self._copying:
            if self._sent is not None and self._sent.status == "error":
                self._send(client)  # Dask gave it up, as several workers have died while they took it
            copy = self._copies.get(worker)
            if copy is None or copy.status in ("cancelled", "lost", "error"):
                key = f"{self._topic}-objective-{uuid.uuid4().hex[:8]}"
                copy = client.submit(keep, self._sent, key=key, workers=[worker], pure=False)
                self._copies[worker] = copy
        return copy

    def answer(self, worker: str, key: str, blob: bytes) -> None:
        """Send bytes to a trial. One that is lost on the way is asked for again."""
        client = self._client
        if client is not None and client.loop is not None:
            client.loop.add_callback(self._answer, client, worker, key, blob)

    @staticmethod
    async def _answer(client: Client, worker: str, key: str, blob: bytes) -> None:
        with contextlib.suppress(Exception):  # the worker is gone, and we hear of that elsewhere
            await client.run(deliver, key, blob, workers=[worker], wait=False, on_error="ignore")

    def forget(self, key: str) -> None:
        """Release a task; if it still runs, its worker notices and drops it."""
        future = self._futures.pop(key, None)
        if future is not None and self._client is not None:
            future.release()  # by name: its callback holds it, too

    # What happens on the cluster

    def _on_message(self, event: tuple[float, dict[str, Any]]) -> None:
        if self._listener is not None:
            self._listener.message(event[1]["key"], event[1]["blob"])

    def _on_event(self, event: tuple[float, Any]) -> None:
        if isinstance(event[1], dict) and event[1].get("action") in ("add-worker", "remove-worker"):
            self._look_soon.set()

    def _on_done(self, future: Future[Any]) -> None:
        key = str(future.key)
        if self._futures.get(key) is not future or self._listener is None:
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

    def _watch(self) -> None:
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
                    self._reconnect()
                elif hurry or time.monotonic() - counted > COUNT_SECONDS:
                    self._count_workers()
                    counted = time.monotonic()
            except ClusterError as error:
                if self._listener is not None:
                    self._listener.cluster_gone(str(error))
            except Exception:  # noqa: BLE001, S112 - it is gone in the midst of it: the next look finds out
                continue

    def _is_connected(self) -> bool:
        client, sent = self._client, self._sent
        # A client that Dask has connected anew has cancelled what it had there. What is merely "lost", with
        # the worker that held it, the scheduler makes anew.
        return (
            client is not None
            and client.status == "running"
            and sent is not None
            and sent.status != "cancelled"
        )

    def _reconnect(self) -> None:
        """Wait for the scheduler, with a client of a new life; Dask's own gives up after a while."""
        listener = self._listener
        old, self._client = self._client, None
        self._futures.clear()
        with self._copying:
            self._copies = {}
        if listener is not None:
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
                self._join()
            except Exception:  # noqa: BLE001 - it is gone once more
                self._client = None
                with contextlib.suppress(Exception):
                    client.close(timeout=CLOSE_SECONDS)
                self._closing.wait(LOOK_SECONDS)
                continue
            if listener is not None:
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
        with self._copying:
            self._copies = {address: copy for address, copy in self._copies.items() if address in workers}
        if workers and self._processes is not None:
            self._processes.are_there()
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
