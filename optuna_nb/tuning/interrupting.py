"""When Python may interrupt a thread, and how it does.

CPython can raise an exception in another thread (``PyThreadState_SetAsyncExc``).
It arrives between two bytecodes: Python code ends at once, while a call into C
(a fit of XGBoost, a ``sleep``) ends first. There are moments at which it must not
come: a matrix of XGBoost is made in C, which calls Python for its data and breaks
the process where that fails, and a thread that is just being started has for a moment
the identity of the one that starts it, gets the exception in its place, and its parent
waits for it for ever. In ``__del__`` an exception is swallowed, and what LightGBM was about
to let go of is freed twice: its calls into C are left to end. So is what a thread does to the
filters of warnings (``warning_filters.py``), which would never be put back.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_CALLED_FROM_C = ("DMatrix", "DataIter", "BatchInternalIter")  # in the names of classes of XGBoost


def can_be_interrupted(ident: int) -> bool:
    """Tell whether a thread is at none of the moments at which nothing must be raised in it."""
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - CPython has no other name for it
    while frame is not None:
        if _is_delicate(frame.f_code):
            return False
        frame = frame.f_back
    return True


def _is_delicate(code: CodeType) -> bool:
    file = code.co_filename.replace("\\", "/")
    if code.co_name == "__del__" or (code.co_name == "start" and file.endswith("threading.py")):
        return True
    if file.endswith(("lightgbm/basic.py", "optuna_nb/tuning/warning_filters.py")):
        return True
    is_of_xgboost = file.endswith("xgboost/core.py")
    return is_of_xgboost and any(name in code.co_qualname for name in _CALLED_FROM_C)


def raise_in(ident: int, kind: type[BaseException]) -> None:
    """Raise an exception in a thread, as soon as it is at a bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(kind))


def receive(kind: type[BaseException]) -> None:
    """Let an exception that was raised in the current thread, and may be on its way, arrive here.

    To take it back with ``None`` would leave CPython's flag "look for an exception" set for good:
    every thread then looks at each step, and on 3.11 a frame that is profiled or traced never begins.
    """
    try:
        raise_in(threading.get_ident(), kind)  # instead of the one on its way, or once more if it has arrived
        while True:  # it arrives at the first jump back
            pass
    except kind:
        return
