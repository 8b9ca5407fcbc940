"""What the columns of our tables hold, the same on SQLite and on PostgreSQL.

PostgreSQL refuses NUL in text, and neither database takes a lone surrogate;
JSON knows no NaN, and ``jsonb`` keeps a large float as an integer. Names and
parameters of users hold all of these, so they are written in a form that both
databases take, and read back as they were.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, DateTime, Double, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Dialect

# Serialised by to_json and from_json, which every engine of ours is made with.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

_MARK = "\U000f0000"  # private use: no script and no emoji has it
_UNSAFE = re.compile(f"[\0\ud800-\udfff{_MARK}]")
_MARKED = re.compile(f"{_MARK}(?:([0-9a-f]{{4}})|{_MARK})")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def safe_text(text: str) -> str:
    """Write a text so that every database takes it; nearly all are left as they are."""
    if text in _NOT_FINITE:  # a tag "NaN" in a JSON list and in a column of text must be the same
        return _marked(text[0]) + text[1:]
    return _UNSAFE.sub(lambda m: _marked(m[0]), text)


def _marked(character: str) -> str:
    return _MARK + (_MARK if character == _MARK else f"{ord(character):04x}")


def original_text(text: str) -> str:
    """Undo ``safe_text``."""
    if _MARK not in text:
        return text
    return _MARKED.sub(lambda m: _MARK if m[1] is None else chr(int(m[1], 16)), text)


def to_json(value: Any) -> str:
    """Write a value as JSON that SQLite and PostgreSQL store without loss.

    NaN and the infinities become the strings ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``; a string that reads so is marked. Floats are written without
    an exponent, as ``jsonb`` would make an integer of ``1e23``.

    Raises:
        TypeError: If a value is none of dict, list, tuple, str, bool, int, float and None.
    """
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(safe_text(value))
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(to_json, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(safe_text(str(k)))}: {to_json(v)}' for k, v in value.items())}}}"
    msg = f"a {type(value).__name__} cannot be written as JSON"
    raise TypeError(msg)


def _float(value: float) -> str:
    text = float.__repr__(value)
    if not math.isfinite(value):
        return {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}[text]
    if "e" in text:
        text = format(_decimal(text), "f")
    return text if "." in text else text + ".0"


def _decimal(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def from_json(text: str | bytes) -> Any:
    """Read what ``to_json`` wrote."""
    if isinstance(text, bytes):
        text = text.decode()
    value = json.loads(text)
    # The escape of the mark is its two UTF-16 halves; most texts need no second look.
    if _MARK in text or "\\udb80\\udc00" in text or "NaN" in text or "Infinity" in text:
        return _revived(value)
    return value


def _revived(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_FINITE[value] if value in _NOT_FINITE else original_text(value)
    if isinstance(value, list):
        return [_revived(item) for item in value]
    if isinstance(value, dict):
        return {original_text(key): _revived(item) for key, item in value.items()}
    return value


class SafeText(TypeDecorator[str]):
    """Any Python string, also with NUL and lone surrogates in it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write what every database takes."""
        return None if value is None else safe_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Give the string back as it was."""
        return None if value is None else original_text(value)


class Measured(TypeDecorator[float]):
    """A number that was measured: NaN is one (SQLite stores it as NULL)."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:  # noqa: ARG002
        """Write NaN alike everywhere."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:  # noqa: ARG002
        """Read it back."""
        return math.nan if value is None else value


class UtcDateTime(TypeDecorator[dt.datetime]):
    """A time that is aware and UTC on every database (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Refuse naive times, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "times in records must be timezone-aware"
            raise ValueError(msg)
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        """Give SQLite's naive times their zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)

    def literal_processor(self, dialect: Dialect) -> Callable[[dt.datetime], str]:  # noqa: ARG002
        """Print a time so that either database reads it alike, whatever zone its session has."""
        return lambda value: f"'{value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(' ')}+00:00'"


def now() -> dt.datetime:
    """Return the present moment, in UTC."""
    return dt.datetime.now(dt.UTC)


class DdlText(ColumnElement[Any]):
    """A piece of SQL in a table's definition that each database says in its own way."""

    inherit_cache = True

    def __init__(self, **by_dialect: str) -> None:
        """Take one text for ``sqlite`` and one for ``postgresql``."""
        self.by_dialect: Mapping[str, str] = by_dialect


@compiles(DdlText)
def _ddl_text(element: DdlText, compiler: Any, **_: Any) -> str:
    return element.by_dialect[compiler.dialect.name]


# The moment of an INSERT, for programs that write our tables in plain SQL.
NOW = DdlText(sqlite="(strftime('%Y-%m-%d %H:%M:%f000', 'now'))", postgresql="now()")
