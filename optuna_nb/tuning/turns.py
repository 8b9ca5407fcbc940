"""How long one thread of Python holds the interpreter while a study runs beside the notebook.

A thread that wants it waits for a turn of the one that has it, by default 5 ms
(``sys.getswitchinterval``). So a cell, a click or the panel would come that much later
while an objective, or a sampler, computes in Python. Turns of 1 ms cost nothing where
one thread computes, and 3 % where two do (``benchmarks/autotune/turns.py``). Where the
trials run in other processes, this one only draws and writes, seldom two threads at once,
and turns can be shorter still.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPUTING_SECONDS = 0.001  # where trials compute in this process
HANDLING_SECONDS = 0.0002  # where it only hands them out

_lock = threading.Lock()
_inside: list[float] = []  # what each study that runs asks for
_before = _ours = 0.0  # what the user had, and what we made of it


@contextmanager
def short(seconds: float) -> Iterator[None]:
    """Shorten the turns while any study is inside; afterwards they are what they were.

    The shortest of several counts. A user's own setting that is shorter, or that is made
    meanwhile, is left alone.

    Args:
        seconds: The turn that this study asks for.
    """
    with _lock:
        _inside.append(seconds)
        _set()
    try:
        yield
    finally:
        with _lock:
            _inside.remove(seconds)
            _set()


def _set() -> None:
    global _before, _ours  # noqa: PLW0603 - the setting is one per process, too
    now = sys.getswitchinterval()
    if not _ours:
        _before = now
    elif now != _ours:  # the user's
        _ours = _ours if _inside else 0.0
        return
    turn = min(_before, *_inside) if _inside else _before
    sys.setswitchinterval(turn * (1 + 1e-9))  # it cuts off to microseconds, also what it said itself
    _ours = sys.getswitchinterval() if _inside else 0.0
