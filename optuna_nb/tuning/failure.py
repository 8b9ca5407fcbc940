"""What went wrong in an objective, in one line that points at the user's own code."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from optuna_nb.errors import ObjectiveError, OptunaNBError

if TYPE_CHECKING:
    from optuna_nb.tuning.runner import RunEnd

_PACKAGE = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def one_line(error: BaseException, number: int) -> str:
    """Name the trial, the error, and the line of the user's code that raised it."""
    if isinstance(error, OptunaNBError):
        text = f"trial {number} failed: {error.in_one_line()}"
    else:
        text = f"trial {number} failed: {type(error).__name__}: {first_line(error)}"
    where = user_frame(error)
    if where is None:
        return text
    line_number, source = where
    return f"{text} (line {line_number}: {source})" if source else f"{text} (line {line_number})"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().split("\n", 1)[0]


def user_frame(error: BaseException) -> tuple[int, str] | None:
    """Return number and text of the innermost line that the user wrote."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    if not own:
        return None
    last = own[-1]
    number = last.lineno or 0
    return number, (last.line or linecache.getline(last.filename, number)).strip()


def _is_library(filename: str) -> bool:
    return filename.startswith((_PACKAGE, *_LIBRARIES, "<frozen"))


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
