"""A real ipykernel in a folder of its own, which a test may kill and start again.

The kernel's HOME and every Jupyter and IPython directory lie inside the folder,
so nothing of the person who runs the tests is read or written. Files that the
cells make stay in the folder across ``kill()`` and ``start()``.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import KernelManager

from harness.lost_requests import CAN_LOSE_REQUESTS, Visitor

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

ROOT = Path(__file__).resolve().parents[2]


def isolated_environment(folder: Path) -> dict[str, str]:
    """Return an environment whose home and notebook settings lie in ``folder``."""
    home = folder / ".home"
    home.mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
    environment |= {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter-config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter-data"),
        "JUPYTER_RUNTIME_DIR": str(home / "jupyter-runtime"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return environment


@dataclass
class CellResult:
    """What one execution brought back."""

    status: str = "ok"
    stdout: str = ""
    stderr: str = ""
    text: str | None = None  # text/plain of the last expression
    displays: list[dict[str, Any]] = field(default_factory=list)  # mime bundles
    error: str = ""  # "NameError: ..."
    traceback: str = ""
    seconds: float = 0.0


class CellError(AssertionError):
    """A cell raised where the test did not expect it to."""


class Kernel:
    """One kernel process, its client, and its folder."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; ``start()`` starts the process."""
        self.folder = folder
        self._manager: KernelManager | None = None
        self._client: BlockingKernelClient | None = None
        self._visitor: Visitor | None = None
        self.late = CellResult()  # what arrived for cells that had already ended

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def client(self) -> BlockingKernelClient:
        """The channels of the running kernel."""
        assert self._client is not None, "the kernel is not running"
        return self._client

    @property
    def manager(self) -> KernelManager:
        """The owner of the running process."""
        assert self._manager is not None, "the kernel is not running"
        return self._manager

    @property
    def pid(self) -> int:
        """Process id of the kernel."""
        pid = getattr(self.manager.provisioner, "pid", None)
        assert isinstance(pid, int)
        return pid

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self._manager = KernelManager(kernel_name="python3", transport="tcp")
        # No kernelspec is read: the interpreter that runs the test runs the kernel.
        spec = self._manager.kernel_spec
        assert spec is not None
        spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        with (self.folder / ".kernel.log").open("ab") as log:
            self._manager.start_kernel(
                cwd=str(self.folder), env=isolated_environment(self.folder), stdout=log, stderr=log
            )
        try:
            self._client = self._manager.client()
            self._client.start_channels()
            if CAN_LOSE_REQUESTS:
                self._visitor = Visitor(f"tcp://{self._client.ip}:{self._client.shell_port}")
            self._client.wait_for_ready(timeout=60)
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """Kill the process as a crash would: SIGKILL, with no chance to tidy up."""
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.manager.is_alive():
            assert time.monotonic() < deadline, "the kernel survived SIGKILL"
            time.sleep(0.02)
        self._close_channels()

    def shutdown(self) -> float:
        """Ask the kernel to go, as *Restart* does; return the seconds until it was gone."""
        begin = time.monotonic()
        self.client.shutdown()
        while self.manager.is_alive():
            assert time.monotonic() - begin < 30, "the kernel ignores shutdown"
            time.sleep(0.01)
        seconds = time.monotonic() - begin
        self._close_channels()
        return seconds

    def interrupt(self) -> None:
        """Interrupt the running cell, as the stop button does."""
        self.manager.interrupt_kernel()

    def close(self) -> None:
        """End the process in whatever state it is."""
        if self._manager is not None and self._manager.is_alive():
            self._manager.shutdown_kernel(now=True)
        self._close_channels()

    def _close_channels(self) -> None:
        if self._visitor is not None:
            self._visitor.close()
            self._visitor = None
        if self._client is not None:
            self._client.stop_channels()
            self._client = None
        if self._manager is not None:
            self._manager.cleanup_resources()
            # The manager's own zmq context would otherwise warn when it is collected.
            self._manager.context.destroy(linger=0)
            self._manager = None

    def send(self, code: str) -> str:
        """Start a cell without waiting for it; return the id for ``finish``."""
        return str(self.client.execute(code, allow_stdin=False))

    def finish(self, message_id: str, timeout: float = 60) -> CellResult:
        """Wait for a cell that ``send`` started, and collect what it brought back."""
        result = CellResult()
        begin = time.monotonic()
        while True:
            remaining = timeout - (time.monotonic() - begin)
            try:
                message = self.client.get_iopub_msg(timeout=max(remaining, 0.01))
            except queue.Empty:
                msg = f"the cell did not end within {timeout} s; so far: {result}"
                raise CellError(msg) from None
            if message["parent_header"].get("msg_id") != message_id:
                _collect(self.late, message["msg_type"], message["content"])
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
            _collect(result, message["msg_type"], message["content"])
        result.seconds = time.monotonic() - begin
        return result

    def run(self, code: str, timeout: float = 60, *, check: bool = True) -> CellResult:
        """Execute a cell; with ``check``, an exception in it fails the test."""
        result = self.finish(self.send(code), timeout)
        if check and result.status != "ok":
            raise CellError(f"{code}\n{result.stdout}{result.stderr}\n{result.traceback}")
        return result

    def value(self, expression: str, timeout: float = 60) -> str:
        """Return what the notebook would show for an expression, as text."""
        text = self.run(expression, timeout).text
        assert text is not None, f"{expression} shows nothing"
        return text


def _collect(result: CellResult, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        setattr(result, content["name"], getattr(result, content["name"]) + content["text"])
    elif kind == "execute_result":
        result.text = content["data"].get("text/plain")
        result.displays.append(content["data"])
    elif kind in {"display_data", "update_display_data"}:
        result.displays.append(content["data"])
    elif kind == "error":
        result.status = "error"
        result.error = f"{content['ename']}: {content['evalue']}"
        result.traceback = "\n".join(content["traceback"])
