"""What a cluster must be able to do for the coordinator, whatever its library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of the cluster."""

    address: str
    name: str
    host: str
    slots: int  # trials at the same time
    memory: int | None = None  # bytes in use


class Listener(Protocol):
    """Who hears of what happens on the cluster. Every method may be called from any thread."""

    def message(self, key: str, blob: bytes) -> None:
        """Take what a trial sent."""

    def failed(self, key: str, error: BaseException) -> None:
        """Learn that a trial could not even begin."""

    def task_lost(self, key: str) -> None:
        """Learn that a trial will not end, though its worker may still be there."""

    def workers_are(self, workers: Mapping[str, Worker]) -> None:
        """Learn which workers there are now, by address."""

    def cluster_gone(self, note: str) -> None:
        """Learn that the cluster cannot be reached, and that what ran there is lost."""

    def cluster_back(self) -> None:
        """Learn that the cluster can be reached again."""


class Link(Protocol):
    """The way to a cluster. Every method may be called from any thread."""

    slots: int  # trials at the same time; known once it is open
    about: str
    dashboard: str  # address of the cluster's own pages; "" where there are none

    def open(self, listener: Listener) -> None:
        """Start or join the cluster. Blocks."""

    def start(self, worker: str, key: str, assignment: bytes) -> None:
        """Run a trial on a worker; its messages carry the key."""

    def answer(self, worker: str, key: str, blob: bytes) -> None:
        """Send an answer to a trial."""

    def rest(self, key: str) -> None:
        """Let go of a trial that has ended; the next one on its worker may take its place."""

    def forget(self, key: str) -> None:
        """Let go of a trial; where it still runs, it is dropped."""

    def close(self) -> None:
        """Let go of the cluster, and end it if we started it."""

    def abandon(self) -> None:
        """Do so at once, as this process ends; nothing is waited for."""
