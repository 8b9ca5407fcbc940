"""Stop now: an exception raised in the thread that evaluates, and the trial dropped.

CPython can raise an exception in another thread (``PyThreadState_SetAsyncExc``).
It arrives between two bytecodes: Python code ends at once, while a call into C
(a fit of XGBoost, a ``sleep``) ends first. Code that catches ``BaseException``
swallows it, and its trial then ends as usual. The exception is only ever raised
inside of an objective, never in the code around it that writes the result.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class TrialDropped(BaseException):
    """Raised in an objective whose trial is to be dropped."""


class Droppable:
    """The threads that evaluate just now. Every method may be called from any thread.

    One serves one run: after ``drop_all`` nothing is evaluated any more.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._inside: set[int] = set()
        self._raised: set[int] = set()
        self._dropping = False

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Mark the current thread as one that may be interrupted, inside of ``with``.

        Raises:
            TrialDropped: Somebody called ``drop_all``, before or meanwhile. Not raised once the block
                has been left.
        """
        ident = threading.get_ident()
        try:
            self._enter(ident)
            yield
            self._leave(ident)
        except BaseException:
            self._leave(ident)  # only one exception is raised a trial, so nothing interrupts this one
            raise

    def _enter(self, ident: int) -> None:
        with self._lock:
            if self._dropping:  # while the trial was being asked for
                raise TrialDropped
            self._inside.add(ident)

    def _leave(self, ident: int) -> None:
        with self._lock:
            self._inside.discard(ident)
            if ident in self._raised:  # raised, perhaps not yet delivered
                self._raised.discard(ident)
                _receive(ident)

    def drop_all(self) -> int:
        """Raise ``TrialDropped`` in each evaluating thread; return in how many. None begins any more."""
        with self._lock:
            self._dropping = True
            fresh = self._inside - self._raised
            for ident in fresh:
                _raise_in(ident)
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
