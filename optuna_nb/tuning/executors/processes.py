"""Worker processes on this machine, which end when this process does, however it does.

They are programs of their own in a session of their own, not children by
``multiprocessing``: a script needs no ``if __name__ == "__main__"``, an interrupt of the
notebook does not reach them, and the end of a kernel does not wait for them. Each
watches its parent and its memory (``watchdog.py``), lets the kernel go first
(``courtesy.py``), and a dead one is replaced.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from optuna_nb.errors import ClusterError
from optuna_nb.tuning.executors import courtesy, watchdog

_QUICK_SECONDS = 10.0  # a worker that dies sooner did not begin well
_MOST_QUICK = 5  # of them, one after the other, before we give up
_WAIT_SECONDS = 2.0
_COMMAND = ("-m", "distributed.cli.dask_worker")


class Processes:
    """Some workers of one scheduler. Every method may be called from any thread.

    Args:
        address: of the scheduler.
        count: how many.
        environment: variables that they get beside ours.
        memory: bytes that each may use.
    """

    def __init__(self, address: str, count: int, environment: dict[str, str], memory: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="optuna_nb-workers-"))
        self._address = address
        self._memory = memory
        self._lock = threading.Lock()
        self._closed = False
        self._quick = 0
        here = os.getcwd()  # noqa: PTH109 - a string is all that is needed
        path = os.pathsep.join(dict.fromkeys(entry or here for entry in sys.path))
        parent = {watchdog.PARENT: str(os.getpid())}
        self._environment = os.environ | {"PYTHONPATH": path} | parent | environment
        self._running = {number: self._start(number) for number in range(count)}

    def renew(self) -> None:
        """Replace those that have died.

        Raises:
            ClusterError: If one after the other dies as soon as it has begun.
        """
        with self._lock:
            for number, (process, began) in self._running.items():
                if self._closed or process.poll() is None:
                    continue
                self._quick += time.monotonic() - began < _QUICK_SECONDS
                if self._quick > _MOST_QUICK:
                    msg = f"worker processes end as soon as they begin: {self._last_words()}"
                    raise ClusterError(msg, code="NB801")
                self._running[number] = self._start(number)

    def are_there(self) -> None:
        """Learn that some have begun: what kills one later is its trial."""
        self._quick = 0

    def kill(self) -> None:
        """Kill them all, whatever they are at, and wait for nothing."""
        with self._lock:
            self._closed = True
            for process, _ in self._running.values():
                process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def end(self) -> None:
        """Kill them all, and wait until they are gone."""
        self.kill()
        for process, _ in self._running.values():
            process.wait(_WAIT_SECONDS)

    def _start(self, number: int) -> tuple[subprocess.Popen[bytes], float]:
        command = [
            *(sys.executable, *_COMMAND, self._address, "--no-nanny", "--no-dashboard"),
            *("--nthreads", "1", "--name", f"worker {number}", "--host", "127.0.0.1"),
            *("--memory-limit", str(self._memory), "--death-timeout", "60"),
            *("--local-directory", str(self._folder)),
            *("--preload", watchdog.__name__, "--preload", courtesy.__name__),
        ]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        return process, time.monotonic()

    def _last_words(self) -> str:
        lines = (self._folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "they say nothing"
