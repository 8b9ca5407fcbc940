"""What went wrong in an objective, in one line that points at the user's own code."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path

from optuna_nb.errors import OptunaNBError

_PACKAGE = str(Path(__file__).parent.parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def one_line(error: BaseException, number: int) -> str:
    """Name the trial, the error, and the line of the user's code that raised it."""
    kind = "" if isinstance(error, OptunaNBError) else f"{type(error).__name__}: "
    text = f"trial {number} failed: {kind}{first_line(error)}"
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
