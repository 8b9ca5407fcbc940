"""Processes to kill: forked in milliseconds from one that has imported everything.

A ``Nursery`` is a process of its own, so nothing of pytest is forked. Each
``Child`` runs one job, a function named by ``module:function``, which speaks to
the test over its ``Line``: one JSON value per line, so a kill tears no message.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).resolve().parents[1]


class Line:
    """One end of a conversation in JSON."""

    def __init__(self, end: socket.socket) -> None:
        """Speak over a connected socket."""
        self.socket = end
        self._rest = b""

    def say(self, message: Any) -> None:
        """Send one value."""
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self, timeout: float = 60) -> Any:
        """Return the next value; None once the other end is gone.

        Raises:
            TimeoutError: If nothing comes in time.
        """
        while b"\n" not in self._rest:
            if not select.select([self.socket], [], [], timeout)[0]:
                msg = f"nothing was heard for {timeout} s"
                raise TimeoutError(msg)
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._rest += data
        text, self._rest = self._rest.split(b"\n", 1)
        return json.loads(text)


class Child:
    """A process that runs one job."""

    def __init__(self, pid: int, line: Line) -> None:
        """Know its process id, and how to speak to it."""
        self.pid = pid
        self.line = line
        self._handle = os.pidfd_open(pid)  # names this very process, also when its id is used again

    def say(self, message: Any) -> None:
        """Tell the job something."""
        self.line.say(message)

    def hear(self, timeout: float = 60) -> Any:
        """Return what the job says next, or None when it has ended; an error in it is raised here."""
        message = self.line.hear(timeout)
        if isinstance(message, dict) and "traceback" in message:
            raise AssertionError(message["traceback"])
        return message

    def hear_all(self, timeout: float = 60) -> list[Any]:
        """Return all that the job says until it ends."""
        messages = []
        while (message := self.hear(timeout)) is not None:
            messages.append(message)
        self.join()
        return messages

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """Kill it, and wait until it is dead."""
        self.signal(signal.SIGKILL)
        self.join()

    def join(self, timeout: float = 60) -> None:
        """Wait until the process is dead, its locks and all."""
        if not select.select([self._handle], [], [], timeout)[0]:
            msg = f"process {self.pid} lives on after {timeout} s"
            raise TimeoutError(msg)

    def close(self) -> None:
        """Kill it if it lives, and forget it."""
        self.kill()
        self.line.socket.close()
        os.close(self._handle)


class Nursery:
    """Starts children. Its own process does nothing else."""

    def __init__(self, *modules: str) -> None:
        """Name what is imported before the first child is born; entering the context starts it."""
        self._modules = modules
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.nursery", str(theirs.fileno()), *self._modules],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        theirs.close()
        self._control = Line(ours)
        return self

    def __exit__(self, *exc: object) -> None:
        for child in self._children:
            child.close()
        self._control.socket.close()  # at which the nursery ends
        self._process.wait(timeout=20)

    def spawn(self, job: str, **arguments: Any) -> Child:
        """Start a job in a new process.

        Args:
            job: ``module:function``; the function is called with its ``Line`` and the arguments.
            arguments: What JSON can hold.
        """
        ours, theirs = socket.socketpair()
        request = json.dumps({"job": job, "arguments": arguments}).encode()
        socket.send_fds(self._control.socket, [len(request).to_bytes(4, "big")], [theirs.fileno()])
        self._control.socket.sendall(request)
        theirs.close()
        child = Child(int(self._control.hear()), Line(ours))
        self._children.append(child)
        return child

    def run(self, job: str, **arguments: Any) -> list[Any]:
        """Start a job, and return all that it says when it has ended."""
        child = self.spawn(job, **arguments)
        messages = child.hear_all()
        self.bury(child)
        return messages

    def bury(self, child: Child) -> None:
        """Forget a child, killing it if it lives."""
        child.close()
        self._children.remove(child)


def _serve(control: socket.socket) -> None:
    while True:
        head, descriptors, _, _ = socket.recv_fds(control, 4, 1)
        if not head:
            return
        request = b""
        while len(request) < int.from_bytes(head, "big"):
            request += control.recv(1 << 16)
        with contextlib.suppress(ChildProcessError):  # the dead stay zombies until now: no id is used twice
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        pid = os.fork()
        if pid == 0:
            control.close()
            _run(Line(socket.socket(fileno=descriptors[0])), json.loads(request))
        os.close(descriptors[0])
        Line(control).say(pid)


def _run(line: Line, request: dict[str, Any]) -> None:
    status = 1
    try:
        module, name = request["job"].split(":")
        getattr(importlib.import_module(module), name)(line, **request["arguments"])
        status = 0
    except BaseException:  # noqa: BLE001 - the test shall see whatever it was
        line.say({"traceback": traceback.format_exc()})
    finally:
        os._exit(status)  # no atexit handler or finalizer of the nursery runs


def main() -> None:
    """Import what was asked for, then serve until the other end is closed."""
    for module in sys.argv[2:]:
        importlib.import_module(module)
    _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
