"""Stop now: the trial in flight is dropped, by an event or by an exception in the thread that evaluates.

An objective that says ``ends_when_asked``, as that of ``%autotune`` does, looks at the
event of :func:`asked_to_end`. Any other is interrupted (``interrupting.py``): Python code
ends at once, a call into C first. Code that catches ``BaseException`` swallows the
exception, and its trial then ends as usual. It is only ever raised inside of an objective,
never in the code around it that writes the result.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from typing import TYPE_CHECKING

from optuna_nb.tuning.interrupting import can_be_interrupted, raise_in, receive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LOOK_SECONDS = 0.003
_asked: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("asked", default=None)


class TrialDropped(BaseException):
    """Raised in an objective whose trial is to be dropped."""


def asked_to_end() -> threading.Event:
    """Return the event that is set when the trial of this context is to be dropped.

    An objective with ``ends_when_asked`` raises ``TrialDropped`` then. Of any other, and
    outside of trials, it is an event that nobody sets.
    """
    return _asked.get() or threading.Event()


class Droppable:
    """The threads that evaluate just now. Every method may be called from any thread.

    One serves one run: after ``drop_all`` nothing is evaluated any more.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._inside: dict[int, threading.Event | None] = {}  # by thread; None: it is to be interrupted
        self._raised: set[int] = set()
        self._dropping = False

    @contextlib.contextmanager
    def evaluating(self, objective: object = None) -> Iterator[None]:
        """Mark the current thread as one whose trial may be dropped, inside of ``with``.

        Args:
            objective: What evaluates the trial; whether it ``ends_when_asked`` decides how.

        Raises:
            TrialDropped: Somebody called ``drop_all``, before or meanwhile. Not raised once the block
                has been left.
        """
        ident = threading.get_ident()
        event = threading.Event() if getattr(objective, "ends_when_asked", False) else None
        token = _asked.set(event)
        try:
            self._enter(ident, event)
            yield
            self._leave(ident)
        except BaseException:
            self._leave(ident)  # only one exception is raised a trial, so nothing interrupts this one
            raise
        finally:
            _asked.reset(token)

    def _enter(self, ident: int, event: threading.Event | None) -> None:
        with self._lock:
            if self._dropping:  # while the trial was being asked for
                raise TrialDropped
            self._inside[ident] = event

    def _leave(self, ident: int) -> None:
        with self._lock:
            event = self._inside.pop(ident, None)
            if ident in self._raised:  # raised, perhaps not yet delivered
                self._raised.discard(ident)
                if event is None:
                    receive(TrialDropped)

    def drop_all(self) -> int:
        """Drop the trial of each evaluating thread; return how many. None begins any more.

        Where a thread may not be interrupted just now, that follows when it may.
        """
        with self._lock:
            self._dropping = True
            fresh = self._inside.keys() - self._raised
            if self._drop_those_that_may(fresh):
                threading.Thread(target=self._drop_later, name="optuna_nb drop", daemon=True).start()
            return len(fresh)

    def _drop_those_that_may(self, idents: Iterable[int]) -> list[int]:
        """Drop what can be dropped just now, and return the threads that are left."""
        return [ident for ident in idents if not self._drop(ident)]

    def _drop(self, ident: int) -> bool:
        event = self._inside[ident]
        if event is not None:
            event.set()
        elif can_be_interrupted(ident):
            raise_in(ident, TrialDropped)
        else:
            return False
        self._raised.add(ident)
        return True

    def _drop_later(self) -> None:
        left: Iterable[int] = self._inside
        while left:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                left = self._drop_those_that_may(self._inside.keys() - self._raised)
