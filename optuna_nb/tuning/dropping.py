"""Stop now: the trial in flight is dropped, by an event or by an exception in the thread that evaluates.

An objective that says ``ends_when_asked`` looks at the event of :func:`asked_to_end`. Any other is
interrupted:
CPython can raise an exception in another thread (``PyThreadState_SetAsyncExc``).
It arrives between two bytecodes: Python code ends at once, while a call into C
(a fit of XGBoost, a ``sleep``) ends first. Code that catches ``BaseException``
swallows it, and its trial then ends as usual. The exception is only ever raised
inside of an objective, never in the code around it that writes the result.

What calls back into Python from C is not to be interrupted: a matrix of XGBoost that is
being made crashes the process, and a thread that is just being started can get the
exception of the one that starts it (both have one identity for a moment), and its parent
waits for it for ever. Therefore ``%autotune`` ends when it is asked.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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
                    _receive(ident)

    def drop_all(self) -> int:
        """Drop the trial of each evaluating thread; return how many. None begins any more."""
        with self._lock:
            self._dropping = True
            fresh = self._inside.keys() - self._raised
            for ident in fresh:
                event = self._inside[ident]
                if event is None:
                    _raise_in(ident)
                else:
                    event.set()
            self._raised |= fresh
            return len(fresh)


def _raise_in(ident: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(TrialDropped))


def _receive(ident: int) -> None:
    """Let an exception that was raised in the current thread, and may be on its way, arrive here.

    To take it back with ``None`` would leave CPython's flag "look for an exception" set for good:
    every thread then looks at each step, and on 3.11 a frame that is profiled or traced never begins.
    """
    try:
        _raise_in(ident)  # instead of the one on its way, or once more if that one has arrived
        while True:  # it arrives at the first jump back
            pass
    except TrialDropped:
        return
