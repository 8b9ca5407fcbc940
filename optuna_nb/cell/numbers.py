"""Numbers and times as flags give them: read from text, or refused with the fix."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, TypeVar

from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Callable

_N = TypeVar("_N", int, float)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Read ``600``, ``90s``, ``10m``, ``2h`` or ``1h30m`` as seconds."""
    if re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        time = sum(float(number) * _UNITS[unit] for number, unit in parts)
    else:
        time = _number(float, text, "a time, as 90s, 10m, 2h or 600")
    if not 0 < time < float("inf"):
        msg = f"takes a time above 0, as 90s, 10m, 2h or 600, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return time


def read_seconds(text: str, what: str = "timeout") -> float:
    """Read a time as the flag does.

    Args:
        text: The time.
        what: The argument that it was given for.

    Raises:
        InvalidOptionError: It is none.
    """
    try:
        return seconds(text)
    except argparse.ArgumentTypeError as error:
        raise InvalidOptionError(f"{what} {error}", code="NB104") from None


def count(text: str) -> int:
    """Read a whole number above 0."""
    found = _number(int, text, "a whole number")
    if found < 1:
        msg = f"takes a whole number above 0, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return found


def seed(text: str) -> int:
    """Read a whole number from 0."""
    found = _number(int, text, "a whole number")
    if found < 0:
        msg = f"takes a whole number from 0, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return found


def _number(kind: Callable[[str], _N], text: str, what: str) -> _N:
    try:
        return kind(text)
    except ValueError:
        hint = f"; for the value of a variable write {{{text}}}" if text.isidentifier() else ""
        msg = f"takes {what}, not {text!r}{hint}"
        raise argparse.ArgumentTypeError(msg) from None
