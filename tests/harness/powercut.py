"""A disk that may forget what was not synced, replayed from a record of system calls.

What POSIX promises after a power cut is what was synced. Anything else may be
there or not: any subset of the writes since the last sync of a file, each
perhaps cut at a sector; and of the folder's entries any first part. The ``-shm``
file is left out, as SQLite makes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from harness.straced import Call

SECTOR = 512
TORN = 0.2  # of the writes that are there, so many are cut at a sector


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)


def _apply(content: bytearray, kind: str, offset: int, data: bytes) -> None:
    if kind == "truncate":
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Disk:
    """A folder on a disk."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[str, _File] = {}  # as the processes see it
        self._synced: dict[str, _File] = {}
        self._pending: list[tuple[str, _File | None]] = []
        self._unlinked: dict[str, _File] = {}
        self.acks = 0

    def do(self, call: Call) -> None:
        """Let one system call happen."""
        path = call.path
        if path.endswith("-shm"):
            return
        if call.name == "ack":
            self.acks += 1
        elif call.name == "create":
            if path not in self._entries:
                self._enter(path, _File())
        elif call.name == "link":
            self._enter(path, self._entries[call.data.decode()])
        elif call.name == "unlink":
            self._unlinked[path] = self._entries.pop(path)
            self._pending.append((path, None))
        elif call.name == "sync" and path not in self._entries and path not in self._unlinked:
            self._synced, self._pending = dict(self._entries), []
        elif call.name == "sync":
            file = self._file(path)
            for write in file.pending:
                _apply(file.synced, *write)
            file.pending.clear()
        else:
            self._file(path).pending.append((call.name, call.offset, call.data))

    def _enter(self, path: str, file: _File) -> None:
        self._entries[path] = file
        self._pending.append((path, file))

    def _file(self, path: str) -> _File:
        return self._entries[path] if path in self._entries else self._unlinked[path]

    def after_power_cut(self, chance: random.Random, *, kept: float) -> dict[str, bytes]:
        """Return the files by name as they may be found.

        Args:
            chance: Decides.
            kept: How likely an unsynced write is there; with 1 all are, as after a kill.
        """
        entries = dict(self._synced)
        first = len(self._pending) if kept == 1 else chance.randint(0, len(self._pending)) if kept else 0
        for path, file in self._pending[:first]:
            if file is None:
                entries.pop(path, None)
            else:
                entries[path] = file
        found = {}
        for path, file in entries.items():
            content = bytearray(file.synced)
            for kind, offset, data in file.pending:
                if kept < 1 and chance.random() >= kept:
                    continue
                whole = kept == 1 or len(data) <= SECTOR or chance.random() >= TORN
                end = len(data) if whole else SECTOR * chance.randrange(1, len(data) // SECTOR)
                _apply(content, kind, offset, data[:end])
            found[Path(path).name] = bytes(content)
        return found


def images(
    calls: list[Call], chance: random.Random, *, every: int = 1, variants: int = 2
) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """Cut the power after every so-manyth call.

    Yields:
        After how many calls, how many trials had been acknowledged, and the files by name: with all
        unsynced writes, with none, and so many times with some.
    """
    disk = Disk()
    for number, call in enumerate(calls, 1):
        disk.do(call)
        if number % every == 0 or number == len(calls):
            for kept in (1.0, 0.0, *([0.5] * variants)):
                yield number, disk.acks, disk.after_power_cut(chance, kept=kept)


def lay_out(files: dict[str, bytes], folder: Path, name: str) -> Path:
    """Write the files of an image into a folder that had another one; return the database."""
    for path in folder.glob(f"*{name}*"):
        path.unlink()
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder / name
