"""What went wrong in an objective, in one line that points at the user's own code."""

from __future__ import annotations

import linecache
import pickle
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from optuna_nb.errors import ObjectiveError, OptunaNBError

if TYPE_CHECKING:
    from optuna_nb.tuning.runner import RunEnd

_COPIED = "a trial has copies of the notebook's functions: use cloudpickle.dump, or keep them in a module"
_PACKAGE = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def one_line(error: BaseException, number: int, *, logged: bool = False) -> str:
    """Name the trial, the error, and the line of the user's code that raised it; the log may have more."""
    text = f"trial {number} failed: {named(error)}"
    where = _where(error)
    more = "; the Log tab has all of it" if logged and "\n" in message(error).strip() else ""
    if isinstance(error, pickle.PicklingError) and "not the same object" in text:
        more = f"; {_COPIED}{more}"
    return as_utf8(f"{text} ({where}){more}" if where else f"{text}{more}")


def named(error: BaseException) -> str:
    """Return an error's class and the first line of its message; of ours, which name themselves, the line."""
    if isinstance(error, OptunaNBError):
        return error.in_one_line()
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return message(error).strip().split("\n", 1)[0]


def message(error: BaseException) -> str:
    """Return what an error says, also where its own class cannot."""
    try:
        return as_utf8(str(error))
    except Exception:  # noqa: BLE001 - whatever the user's class raises
        return "its text cannot be read"


def as_utf8(text: str) -> str:
    """Write as escapes what no database takes: halves of characters, as in names of files."""
    return text.encode("utf-8", "backslashreplace").decode()


def _where(error: BaseException) -> str:
    """Name the line of the objective and, where that is elsewhere, the innermost one that the user wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    if not own:
        return ""
    first = next((it for it in reversed(own) if it.filename == own[0].filename), own[0])
    inner = "" if own[-1] is first else f"; in {own[-1].name}, {_line(own[-1])}"
    return _line(first) + inner


def _line(frame: traceback.FrameSummary) -> str:
    number = frame.lineno or 0
    source = (frame.line or linecache.getline(frame.filename, number)).strip()
    return f"line {number}: {source}" if source else f"line {number}"


def _is_library(filename: str) -> bool:
    return filename.startswith((_PACKAGE, *_LIBRARIES, "<frozen"))


def log_text(printed: str, error: BaseException | None) -> str:
    """Return what a trial printed and, where it failed, its whole traceback."""
    return as_utf8(printed + (full_text(error) if error is not None else ""))


def full_text(error: BaseException) -> str:
    """Return the whole traceback, our own frames left out where the user's begin."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if not frame.filename.startswith(_PACKAGE)), 0)
    lines = [
        "Traceback (most recent call last):\n",
        *traceback.StackSummary.from_list(frames[first:]).format(),
    ]
    return "".join([*lines, *traceback.format_exception_only(error)])


def objective_error(end: RunEnd) -> ObjectiveError | None:
    """Return the error that a run ended with, as one line, or None."""
    if end.error is None:
        return None
    error = ObjectiveError(end.note, code="NB301")
    error.__cause__ = end.error
    return error


def cut_short(note: str) -> ObjectiveError:
    """Return the error of a run that the end of the process cut short."""
    return ObjectiveError(note, code="NB308")
