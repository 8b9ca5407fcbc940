"""Watches a study from a thread of its own and tells a view what is new.

The poller reads, the runner writes, and they meet only in the database. As with
``watch`` and ``watch_in_thread`` elsewhere, ``run`` blocks and needs no thread;
``start`` and ``stop`` wrap it. How often it looks is the view's business: a view
that nobody sees, or of a study at rest, sleeps until it is woken.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from optuna_nb.errors import OptunaNBError

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot

RETRY_SECONDS = 1.0


class SnapshotSource(Protocol):
    """What a poller needs of ``optuna_nb.storage.reader.Reader``."""

    def poll(self) -> StudySnapshot | None:
        """Return the study if anything changed since the last call."""

    def snapshot(self) -> StudySnapshot:
        """Return the study as it is."""

    def close(self) -> None:
        """Let go of the file."""


class View(Protocol):
    """What the poller tells. All calls come from the poller's thread."""

    def pace(self) -> float | None:
        """Say in how many seconds to look again; None: not before somebody calls ``wake``."""

    def look(self, snapshot: StudySnapshot | None) -> None:
        """Show a study that has changed; None: nothing has, but do what was asked meanwhile."""

    def trouble(self, error: OptunaNBError | OSError | None) -> None:
        """Say why nothing can be read; None when it can again."""

    def broken(self, text: str) -> None:
        """Say that the view itself has failed, and is watched no longer."""


class Poller:
    """Asks a source as often as its view wants to know.

    The source belongs to the poller from ``run`` on, which closes it at the end.
    """

    def __init__(self, source: SnapshotSource, view: View) -> None:
        """Remember whom to ask and whom to tell; both only from the thread of ``run``."""
        self._source = source
        self._view = view
        self._stopped = threading.Event()
        self._awake = threading.Event()
        self._turns = 0
        self._turned = threading.Condition()
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Watch until ``stop`` is called. Blocks."""
        try:
            self._watch()
        except Exception as error:  # noqa: BLE001 - a bug is shown here, not in whichever cell runs now
            self._view.broken(f"The panel stopped: {type(error).__name__}: {error}")
        finally:
            self._source.close()

    def start(self) -> None:
        """Watch in a daemon thread, which no kernel has to wait for."""
        self._thread = threading.Thread(target=self.run, name="optuna_nb-poller", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End the watch, and wait for it for at most ``timeout`` seconds."""
        self._stopped.set()
        self._awake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def wake(self) -> None:
        """Look at once instead of at the next turn; from any thread."""
        self._awake.set()

    def settle(self, timeout: float = 2.0) -> None:
        """Look at once, and wait until that has been done; not from the poller's own thread."""
        with self._turned:
            begin = self._turns
            for wanted in (begin + 1, begin + 2):  # the turn that is under way may have begun too early
                self._awake.set()
                self._turned.wait_for(lambda: self._turns >= wanted or not self.is_running, timeout / 2)  # noqa: B023

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work, or asleep until it is woken."""
        return self._thread is not None and self._thread.is_alive()

    def _watch(self) -> None:
        failed = False
        while not self._stopped.is_set():
            try:
                self._view.look(self._source.poll())
            except (OptunaNBError, OSError) as error:
                # The file may be locked or gone for a moment. Say so, and go on asking.
                failed = True
                self._view.trouble(error)
            else:
                if failed:
                    failed = False
                    self._view.trouble(None)
            with self._turned:
                self._turns += 1
                self._turned.notify_all()
            pace = self._view.pace()
            self._awake.wait(max(pace, RETRY_SECONDS) if failed and pace is not None else pace)
            self._awake.clear()
