"""A study tuned under strace: every write and sync is recorded, or made to fail.

Run as a program, this is the process that strace watches. It acknowledges each
trial with one ``write`` to a file, so the record shows what had been synced
when the acknowledgement was given.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.nursery import TESTS, Line

if TYPE_CHECKING:
    from pathlib import Path

WHY_NOT = None if shutil.which("strace") else "strace is not installed: apt-get install strace"
_CALLS = "openat,write,pwrite64,fsync,fdatasync,ftruncate,unlink,link,linkat,rename"
_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<.*>)?( E.*)?$")
_DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>(?:\(deleted\))?")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """One system call that succeeded. ``path`` is what it was about, the rest is as it needs."""

    name: str  # create, write, sync, truncate, unlink, link or ack
    path: str
    offset: int = 0
    data: bytes = b""


class _File(Line):
    """Says things into a file, each with one ``write``."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, message: Any) -> None:
        os.write(self._descriptor, json.dumps(message).encode() + b"\n")


def run(
    folder: Path, job: str, *, inject: str | None = None, on: Path | None = None, **arguments: Any
) -> None:
    """Run a job under strace; what it says goes to ``acks`` and the record to ``trace`` in the folder.

    Args:
        folder: Where those files go.
        job: ``module:function``, called with a line that is a file, and the arguments.
        inject: A fault, such as ``fdatasync:error=EIO:when=3``, instead of a record.
        on: The only file that the fault is for.
        arguments: What JSON can hold.
    """
    watch = ["-e", f"trace={_CALLS}", "-s", "200000", "-xx"]
    if inject is not None:
        watch = ["-e", f"trace={inject.split(':', 1)[0]}", "-e", f"inject={inject}", "-P", str(on)]
    request = json.dumps({"job": job, "arguments": arguments})
    subprocess.run(
        [
            *("strace", "-f", "--seccomp-bpf", "-y", *watch, "-o", str(folder / "trace")),
            *(sys.executable, "-m", "harness.straced", str(folder / "acks"), request),
        ],
        check=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
    )


def said(folder: Path) -> list[Any]:
    """Return what the job said."""
    return [json.loads(line) for line in (folder / "acks").read_text(encoding="utf-8").splitlines()]


def record(folder: Path, database: Path) -> list[Call]:
    """Read what happened to the database, its log and its drafts, in order, and the acknowledgements."""
    calls: list[Call] = []
    with (folder / "trace").open(encoding="ascii") as file:
        for line in file:
            match = _LINE.match(line)
            if match is None or match[4]:
                if str(database) in line and "resumed" in line:
                    raise AssertionError(f"two threads wrote at once: {line[:200]}")
                continue
            calls += _call(match[1], match[2], int(match[3]), folder, database)
    return calls


def _call(name: str, text: str, result: int, folder: Path, database: Path) -> list[Call]:
    strings = [_bytes(found) for found in _STRING.findall(text)]
    if name in {"openat", "unlink", "link", "linkat", "rename"}:
        paths = [string.decode() for string in strings]
        found = _entry(name, text, paths) if any(database.name in path for path in paths) else None
    else:
        match = _DESCRIPTOR.match(text)
        path = _bytes(match[2]).decode() if match else ""
        found = None
        if path == str(folder / "acks"):
            found = Call("ack", path, data=strings[0])
        elif database.name in path or (path == str(database.parent) and "sync" in name):
            found = _change(name, text, path, strings)
            assert name != "pwrite64" or len(strings[0]) == result, "strace cut the data"
    return [] if found is None else [found]


def _bytes(text: str) -> bytes:
    """Undo strace's escapes; it leaves short names as they are."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


def _entry(name: str, text: str, paths: list[str]) -> Call | None:
    """Read a call that is about an entry of a folder."""
    if name == "openat":
        return Call("create", paths[0]) if "O_CREAT" in text else None
    if name in {"link", "linkat"}:
        return Call("link", paths[1], data=paths[0].encode())
    assert name == "unlink", f"the replay does not know {name}"
    return Call("unlink", paths[0])


def _change(name: str, text: str, path: str, strings: list[bytes]) -> Call:
    """Read a call that is about the content of a file."""
    if name in {"fsync", "fdatasync"}:
        return Call("sync", path)
    offset = int(text.rsplit(", ", 1)[1])
    if name == "ftruncate":
        return Call("truncate", path, offset)
    assert name == "pwrite64", f"the replay does not know {name} on {path}"
    return Call("write", path, offset, strings[0])


def main() -> None:
    """Run the job that the command line names."""
    import importlib

    request = json.loads(sys.argv[2])
    module, name = request["job"].split(":")
    getattr(importlib.import_module(module), name)(_File(sys.argv[1]), **request["arguments"])


if __name__ == "__main__":
    main()
