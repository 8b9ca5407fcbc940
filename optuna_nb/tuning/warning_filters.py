"""What Python's warnings are filtered by, kept in order while several threads change it for a moment.

``warnings.catch_warnings`` copies the filters of the whole process, and puts back what it found.
Where two threads overlap, one puts back the other's copy, and it stays: after forests that two
threads fitted a kernel had lost its filters, or had scikit-learn's, which make errors of
warnings. So while a study runs each thread changes the copy of its own block, and where no
block is open the filters are those from before, with what was changed outside of blocks.

Python 3.14 can do this itself (``-X context_aware_warnings``); then nothing is replaced.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_State = dict[str, Any]  # the list of filters, and the functions that show a warning
_NAMES = ("filters", "showwarning", "_showwarnmsg_impl")  # what a block puts back
_CHANGING = ("simplefilter", "filterwarnings", "resetwarnings")
_PYTHON_DOES_IT = bool(getattr(sys.flags, "context_aware_warnings", 0))

_DEFAULT = ("default", None, Warning, None, 0)  # what Python does where no filter speaks

_lock = threading.RLock()
_open: dict[int, tuple[int, _State]] = {}  # by block: its thread, and what that sees; the oldest first
_outside: _State = {}  # what a thread sees that is in no block
_shown: _State = {}  # what warnings has, unless somebody set it by hand
_originals: dict[str, Callable[..., Any]] = {}  # while they are replaced
_inside: list[object] = []  # the studies
_is_entering = False


@contextmanager
def in_order() -> Iterator[None]:
    """Keep the filters in order while any study is inside."""
    study = object()
    with _lock:
        _inside.append(study)
        _replace()
    try:
        yield
    finally:
        with _lock:
            _inside.remove(study)
            _leave_for_the_dead()
            _put_back()


def _replace() -> None:
    if _originals or _PYTHON_DOES_IT:
        return
    block: Any = warnings.catch_warnings
    _originals.update(__enter__=block.__enter__, __exit__=block.__exit__)
    block.__enter__, block.__exit__ = _enter, _leave
    for name in _CHANGING:
        _originals[name] = getattr(warnings, name)
        setattr(warnings, name, _of_its_block(_originals[name]))
    _outside.update(_now())
    _shown.update(_now())


def _leave_for_the_dead() -> None:
    """Leave the blocks of threads that were interrupted before they could, and have ended."""
    alive = sys._current_frames().keys()  # noqa: SLF001 - CPython has no other name for it
    gone = [block for block, (thread, _) in _open.items() if thread not in alive]
    for block in gone:
        del _open[block]
    if gone:
        _show([*_open.values()][-1][1] if _open else _outside)


def _put_back() -> None:
    """Let Python's own be again, once no study runs and what was entered here has been left."""
    if _inside or _open or not _originals:
        return
    block: Any = warnings.catch_warnings
    block.__enter__, block.__exit__ = _originals["__enter__"], _originals["__exit__"]
    for name in _CHANGING:
        setattr(warnings, name, _originals[name])
    _originals.clear()


def _enter(block: Any) -> Any:
    global _is_entering  # noqa: PLW0603 - see the lock
    with _lock:
        _notice()
        _show(_seen_here())
        _is_entering = True
        try:
            log = _originals["__enter__"](block)
        finally:
            _is_entering = False
        _shown.update(_now())
        _open[id(block)] = threading.get_ident(), _now()
        return log


def _leave(block: Any, *error: object) -> None:
    with _lock:
        _notice()
        _originals["__exit__"](block, *error)
        if _open.pop(id(block), None) is None:  # it was entered before the study: that is outside
            _outside.update(_now())
        _show([*_open.values()][-1][1] if _open else _outside)
        _put_back()


def _of_its_block(change: Callable[..., None]) -> Callable[..., None]:
    """Let a thread change what it sees itself; outside of blocks, what is shown at the moment, too."""

    @wraps(change)
    def changed(*args: Any, **options: Any) -> None:
        with _lock:
            if _open and not _is_entering:
                _notice()
                own, shown = _seen_here(), dict(_shown)
                if change is _originals["resetwarnings"] and own is not _outside:
                    # Another list, and never an empty one: scikit-learn's tasks in other threads hold the one
                    # that they saw, and take an empty one for a fault.
                    own["filters"] = [_DEFAULT]
                    _show(own)
                    # It is there already: this only lets Python forget what it has shown.
                    _originals["simplefilter"]("default", append=True)
                    return
                _show(own)
                if own is _outside:
                    change(*args, **options)
                    _show(shown)
            change(*args, **options)
            if _open and len(warnings.filters) > 1 and warnings.filters is not _outside["filters"]:
                warnings.filters[:] = [it for it in warnings.filters if it is not _DEFAULT]  # type: ignore[index]

    return changed


def _seen_here() -> _State:
    here = threading.get_ident()
    return next((state for thread, state in reversed(_open.values()) if thread == here), _outside)


def _now() -> _State:
    return {name: getattr(warnings, name) for name in _NAMES}


def _show(state: _State) -> None:
    for name in _NAMES:
        setattr(warnings, name, state[name])
    _shown.update(state)


def _notice() -> None:
    """Take what was set by hand, as ``warnings.showwarning = f`` does, as meant for outside."""
    for name, now in _now().items():
        if now is not _shown[name]:
            _outside[name] = _shown[name] = now


if hasattr(os, "register_at_fork"):  # so that no child inherits a lock that is held
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
