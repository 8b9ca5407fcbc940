"""What others may ask of a runner while it works: flags, and nothing that blocks them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Control:
    """Pause, resume, stop and the number of trials. Every method may be called from any thread."""

    def __init__(self, target: int | None) -> None:
        """Start unpaused.

        Args:
            target: Trials in total; None without a limit.
        """
        self.target = target
        self._changed = threading.Condition()
        self._paused = False
        self._stopping = threading.Event()
        self._closed = False  # whether no new target is heard any more
        self.drop: Callable[[], object] = lambda: None  # drops the trials in flight; set by the run
        self._paused_seconds = 0.0
        self._still_since: float | None = None  # since when no trial has run; None while one may

    @property
    def is_paused(self) -> bool:
        """Whether no new trial is to start for now."""
        return self._paused

    @property
    def is_stopping(self) -> bool:
        """Whether no new trial is to start any more."""
        return self._stopping.is_set()

    @property
    def takes_no_more(self) -> bool:
        """Whether the run ends, whatever is asked of it now."""
        return self._closed or self._stopping.is_set()

    def pause(self) -> None:
        """Start no new trial until ``resume``."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on after ``pause``."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def stop(self) -> None:
        """Start no new trial; the one in flight ends."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()

    def stop_now(self) -> None:
        """Start no new trial, and drop those in flight; their numbers stay free."""
        self.stop()
        self.drop()

    def set_target(self, target: int | None) -> bool:
        """Change how many trials there are to be in total; tell whether the run still hears of it."""
        with self._changed:
            if self._closed or self._stopping.is_set():
                return False
            self.target = target
            self._changed.notify_all()
            return True

    def close_unless(self, wants_more: Callable[[], bool]) -> bool:
        """Take no new target from here on, unless the last one asks for more trials; tell which."""
        with self._changed:
            self._closed = not wants_more()
            return self._closed

    def wait_while_paused(self) -> None:
        """Block until resumed or stopped."""
        self.wait_until(lambda: not self._paused or self.is_stopping)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Block until something holds, looking again at each change."""
        with self._changed:
            self._changed.wait_for(holds)

    def look_again(self) -> None:
        """Let those who wait see what has changed."""
        with self._changed:
            self._changed.notify_all()

    @property
    def paused_seconds(self) -> float:
        """Seconds in which no trial could run, up to now."""
        with self._changed:
            still = 0.0 if self._still_since is None else time.monotonic() - self._still_since
            return self._paused_seconds + still

    def note_standstill(self, nothing_runs: Callable[[], bool]) -> None:
        """Count the time from now on as a pause, or as one no more; however many wait, it counts once."""
        with self._changed:
            self._paused_seconds = self.paused_seconds
            self._still_since = time.monotonic() if nothing_runs() else None
