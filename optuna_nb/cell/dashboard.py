"""``%tune dashboard``: optuna-dashboard on the same file, in a process of its own.

It opens the file read-only, so nothing that is clicked there can disturb a study
that is running, and it reads on while the study goes on. The process listens on
the loopback address and ends with the kernel, however the kernel ends: it reads
from a pipe whose other end only the kernel holds.
"""

from __future__ import annotations

import atexit
import importlib.util
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from optuna_nb.errors import InvalidOptionError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 20.0

_running: dict[Path, tuple[subprocess.Popen[bytes], int]] = {}


def address(path: Path, study_id: int | None = None) -> str:
    """Start the dashboard of a file, or find the one that this kernel has started.

    Args:
        path: the database.
        study_id: the study to open; None for the list of studies.

    Returns:
        The address to open in a browser on this machine.

    Raises:
        InvalidOptionError: optuna-dashboard is not installed.
        StorageError: it does not start.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        msg = "%tune dashboard needs optuna-dashboard: run `%pip install optuna-dashboard`"
        raise InvalidOptionError(msg, code="NB118")
    known = _running.get(path)
    if known is None or known[0].poll() is not None:
        _running[path] = known = _start(path)
        atexit.register(stop_all)
    page = "dashboard" if study_id is None else f"dashboard/studies/{study_id}"
    return f"http://127.0.0.1:{known[1]}/{page}"


def stop_all() -> None:
    """End the dashboards of this kernel."""
    while _running:
        process, _ = _running.popitem()[1]
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(path: Path) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    url = f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true"
    command = [sys.executable, "-m", "optuna_nb.cell.dashboard_server", url, str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return process, port
        except OSError:
            time.sleep(0.1)
    process.kill()
    process.wait()
    msg = f"optuna-dashboard did not start: try `optuna-dashboard sqlite:///{path}` in a terminal"
    raise StorageError(msg, code="NB702")
