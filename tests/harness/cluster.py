"""A Dask cluster of processes of its own: a scheduler and workers that a test may kill.

Workers have a nanny each, as ``dask worker`` gives them: a killed one comes back
under another address. Everything listens on the loopback address alone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import psutil
from distributed import Client

from harness.kernel import ROOT

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path

# A worker that is not heard for so long is cut off. On a busy machine it may take some seconds for what
# its first trial imports, and is not heard then.
TTL_SECONDS = 10


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        """Choose a port; entering the context starts the processes."""
        self.folder = folder
        self._count = workers
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._numbers = itertools.count()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> Self:
        self.start_scheduler()
        self.start_workers()
        return self

    def __exit__(self, *exc: object) -> None:
        for process in (*self._workers, self._scheduler):
            if process is not None:
                _end(process)

    def start_scheduler(self) -> None:
        """Start a scheduler at the address of this cluster."""
        port = self.address.rpartition(":")[2]
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")

    def start_workers(self) -> None:
        """Start as many workers as are missing, and wait until all have joined.

        Those are missing whose program has ended: one that does not answer may be about to.
        """
        deadline = time.monotonic() + 90
        while len(self.pids()) < self._count:
            assert time.monotonic() < deadline, self.log()
            self._workers = [process for process in self._workers if process.poll() is None]
            self._add_workers(self._count - len(self._workers))
            time.sleep(0.2)

    def _add_workers(self, count: int) -> None:
        for _ in range(count):
            process = self._start(
                *("worker", self.address, "--name", f"w{next(self._numbers)}", "--host", "127.0.0.1"),
                *("--nthreads", "1", "--no-dashboard", "--memory-limit", "0"),
                *("--local-directory", str(self.folder)),
            )
            self._workers.append(process)

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL_SECONDS}s",
            "DASK_LOGGING__DISTRIBUTED": "warning",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        }
        command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments]
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill_scheduler(self) -> None:
        """Kill the scheduler as a crash would."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def end_workers(self) -> None:
        """End the workers with their nannies."""
        for process in self._workers:
            _end(process)
        self._workers = []

    def pids(self) -> dict[str, int]:
        """Return the process ids of the workers that the scheduler knows, by address; {} if it is away."""

        def answer(client: Client) -> dict[str, int]:
            return {key: pid for key, pid in client.run(os.getpid, on_error="ignore").items() if pid}

        pids: dict[str, int] = self._ask(answer, {})
        return pids

    def tasks(self) -> list[str]:
        """Return the keys of all tasks on the scheduler."""
        keys: list[str] = self._ask(
            lambda client: client.run_on_scheduler(_task_keys), ["the scheduler is away"]
        )
        return keys

    def holder(self) -> str:
        """Return the address of the only worker that holds the objective; "" while several do."""
        address: str = self._ask(lambda client: client.run_on_scheduler(_objective_holder), "")
        return address

    def _ask(self, question: Callable[[Client], Any], otherwise: Any) -> Any:
        try:
            with Client(self.address, timeout=10, set_as_default=False) as client:
                return question(client)
        except OSError:
            return otherwise

    def log(self) -> str:
        """Return what the processes wrote."""
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


def _task_keys(dask_scheduler: Any) -> list[str]:
    return [str(key) for key in dask_scheduler.tasks]


def _objective_holder(dask_scheduler: Any) -> str:
    """Return who holds what the copies for the workers are made of."""
    objectives = [task for task in dask_scheduler.tasks.values() if "-objective" in str(task.key)]
    holders = [worker for task in objectives if not task.dependencies for worker in task.who_has or ()]
    return str(holders[0].address) if len(holders) == 1 else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started, stopped ones too."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def signal_pid(pid: int, number: signal.Signals) -> None:
    """Send a signal; nothing happens where the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for(condition: Callable[[], object], seconds: float, say: Callable[[], object] = str) -> None:
    """Wait until something holds.

    Args:
        condition: what is to hold.
        seconds: how long to wait at most.
        say: what to show if it never does.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, say()
        time.sleep(0.1)
