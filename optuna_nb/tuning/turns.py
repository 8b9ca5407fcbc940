"""How long one thread of Python holds the interpreter while a study runs beside the notebook.

A thread that wants it waits for a turn of the one that has it, by default 5 ms
(``sys.getswitchinterval``). So a cell, a click or the panel would come that much later
while an objective, or a sampler, computes in Python. Turns of 1 ms cost nothing where
one thread computes, and 3 % where two do (``benchmarks/autotune/turns.py``).
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TURN_SECONDS = 0.001

_lock = threading.Lock()
_inside = 0
_before = _ours = 0.0  # what the user had, and what we made of it


@contextmanager
def short() -> Iterator[None]:
    """Shorten the turns while any study is inside; afterwards they are what they were.

    A user's own setting that is shorter, or that is made meanwhile, is left alone.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _before, _ours  # noqa: PLW0603 - the setting is one per process, too
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(min(TURN_SECONDS, _before))
            _ours = sys.getswitchinterval()  # it counts in microseconds


def _leave() -> None:
    global _inside  # noqa: PLW0603 - as above
    with _lock:
        _inside -= 1
        if not _inside and sys.getswitchinterval() == _ours:
            sys.setswitchinterval(_before)
