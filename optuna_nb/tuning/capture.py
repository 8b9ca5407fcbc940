"""Where the output of a trial goes: into its own log, never into a cell.

A trial runs in a background thread while the user works in other cells, and
what it prints must not show up there. So ``sys.stdout`` and ``sys.stderr`` are
replaced by a proxy that asks, at each write, whether the writing context has a
trial log. With one, the text goes there. Without one (the main thread, every
other cell) it goes to the real stream, untouched.

The switch is a ``ContextVar``, as a coroutine of a trial must find the same log
as the thread that awaits it. Rich output (``display(...)``) does not pass
through the streams: the notebook layer gives a function that hooks into its
display publisher for the current thread.

Not covered: threads and processes that a trial starts by itself, output written
by C code straight to the file descriptor, and code elsewhere that swaps
``sys.stdout`` in the middle of a trial (``%%capture`` in another cell).
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TextIO

    DisplayHook = Callable[[dict[str, Any]], dict[str, Any] | None]
    RegisterDisplayHook = Callable[[DisplayHook], Callable[[], None]]

_STREAMS = ("stdout", "stderr")
_current: ContextVar[TrialLog | None] = ContextVar("optuna_nb_trial_log", default=None)
_lock = threading.Lock()
_register_display_hook: RegisterDisplayHook | None = None


class TrialLog:
    """What one trial printed: its first and its last characters.

    Any thread may write and read.

    Args:
        limit: most characters to keep; half of them from the start, half from the end.
    """

    def __init__(self, limit: int) -> None:
        self._head_room = limit // 2
        self._tail_room = limit - limit // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._left_out = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Append ``text``, and drop the oldest of the tail where it grows too long."""
        with self._lock:
            first, rest = text[: self._head_room], text[self._head_room :]
            if first:
                self._head.append(first)
                self._head_room -= len(first)
            if rest:
                self._tail.append(rest)
                self._tail_size += len(rest)
                self._trim()
        return len(text)

    def text(self) -> str:
        """Everything kept, with a line that says how much is missing."""
        with self._lock:
            note = f"\n[... {self._left_out} characters left out ...]\n" if self._left_out else ""
            return "".join(self._head) + note + "".join(self._tail)

    def _trim(self) -> None:
        while (excess := self._tail_size - self._tail_room) > 0:
            oldest = self._tail.popleft()
            if len(oldest) > excess:
                self._tail.appendleft(oldest[excess:])
            dropped = min(len(oldest), excess)
            self._tail_size -= dropped
            self._left_out += dropped


class _StreamProxy:
    """A stand-in for ``sys.stdout`` that sends a trial's text to its log.

    Whoever assigns to ``write`` (IPython does for each cell, to keep a copy of
    its output) gets what does not belong to a trial, and nothing else.
    """

    _stream: TextIO
    _patched: Callable[[str], int] | None  # what was assigned to ``write``

    def __init__(self, stream: TextIO) -> None:
        object.__setattr__(self, "_stream", stream)
        object.__setattr__(self, "_patched", None)

    @property
    def write(self) -> Callable[[str], int]:
        # A new function each time, with the way through of this moment: the
        # patch will call the one that it found, and must not find itself.
        return _Write(self._stream, self._patched)

    @write.setter
    def write(self, function: Callable[[str], int]) -> None:
        # Putting back what was found undoes the patch instead of stacking on it.
        patched = function.patched if isinstance(function, _Write) else function
        object.__setattr__(self, "_patched", patched)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _current.get() is None:
            self._stream.flush()

    def isatty(self) -> bool:
        return _current.get() is None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "write":
            object.__setattr__(self, name, value)
        else:
            setattr(self._stream, name, value)


class _Write:
    """Write to the log of the context, or through to the stream."""

    __slots__ = ("_stream", "patched")

    def __init__(self, stream: TextIO, patched: Callable[[str], int] | None) -> None:
        self._stream = stream
        self.patched = patched

    def __call__(self, text: str) -> int:
        log = _current.get()
        if log is not None:
            return log.write(text)
        return (self.patched or self._stream.write)(text)


def install(register_display_hook: RegisterDisplayHook | None = None) -> None:
    """Put the proxies in place; calling it again changes nothing but the hook.

    Args:
        register_display_hook: registers a hook with the notebook's display
            publisher *for the calling thread* and returns what removes it. The
            hook gets each message and returns None where it has used it up.
    """
    global _register_display_hook  # noqa: PLW0603  (the streams are process-wide too)
    with _lock:
        if register_display_hook is not None:
            _register_display_hook = register_display_hook
        for name in _STREAMS:
            stream = getattr(sys, name)
            # Somebody may have put another stream on top, or taken ours away
            # when a redirection ended: then the one of now is wrapped.
            if stream is None or isinstance(stream, _StreamProxy):
                continue
            proxy = cast("TextIO", _StreamProxy(stream))
            setattr(sys, name, proxy)
            _swap_handler_streams(stream, proxy)


def uninstall() -> None:
    """Give the real streams back. A trial that still runs would install again."""
    global _register_display_hook  # noqa: PLW0603
    with _lock:
        _register_display_hook = None
        for name in _STREAMS:
            proxy = getattr(sys, name)
            if isinstance(proxy, _StreamProxy):
                setattr(sys, name, proxy._stream)  # noqa: SLF001
        _swap_handler_streams(None, None)


@contextmanager
def trial_log(limit: int = 65536) -> Iterator[TrialLog]:
    """Send all that the current context prints, logs, warns or displays to a log.

    Args:
        limit: most characters to keep.

    Yields:
        The log, whose ``text()`` may be read during and after the block.
    """
    install()
    log = TrialLog(limit)
    remove_hook = _register_display_hook(_display_into(log)) if _register_display_hook else None
    token = _current.set(log)
    try:
        yield log
    finally:
        _current.reset(token)
        if remove_hook is not None:
            remove_hook()


def _display_into(log: TrialLog) -> DisplayHook:
    def hook(message: dict[str, Any]) -> None:
        plain = message.get("content", {}).get("data", {}).get("text/plain")
        if plain is not None:
            log.write(f"{plain}\n")

    return hook


def _swap_handler_streams(stream: TextIO | None, proxy: TextIO | None) -> None:
    """Let log handlers that hold the real stream hold the proxy; with None, the other way.

    A ``StreamHandler`` keeps the ``sys.stderr`` of the moment it was made, and
    most libraries make theirs on import, before any trial.
    """
    known = logging.root.manager.loggerDict.copy()  # in one step: other threads make loggers, too
    loggers = [logging.root, *known.values()]
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):  # a PlaceHolder has none
            if not isinstance(handler, logging.StreamHandler):
                continue
            if proxy is None and isinstance(handler.stream, _StreamProxy):
                _set_stream(handler, handler.stream._stream)  # noqa: SLF001
            elif proxy is not None and handler.stream is stream:
                _set_stream(handler, proxy)


def _set_stream(handler: logging.StreamHandler[TextIO], stream: TextIO) -> None:
    """Give a handler another stream, also where the one that it has is closed."""
    with suppress(ValueError):
        handler.flush()
    handler.stream = stream
