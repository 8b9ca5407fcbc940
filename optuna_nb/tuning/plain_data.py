"""Hash what is plain: numbers, texts, bytes, long runs of them, and what JSON could hold, in one go."""

from __future__ import annotations

import json
import marshal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SIZE = 16  # bytes of a digest
_BLOCK = 1 << 20  # bytes that are copied at once, where an array is not contiguous
_LONG = 32  # items from which on a container is hashed as one block
_OF_JSON = frozenset({str, int, float, bool, type(None)})


def combine(*digests: bytes | str) -> bytes:
    """Hash several digests or words into one; their borders count."""
    hasher = blake2b(digest_size=_SIZE)
    for digest in digests:
        data = digest.encode("utf-8", "surrogatepass") if isinstance(digest, str) else digest
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.digest()


def digest_of_plain(value: object) -> bytes | None:  # noqa: PLR0911 - one line per kind
    """Hash what has no parts; None for anything else."""
    kind = type(value)
    if value is None or value is Ellipsis or value is NotImplemented:
        return combine("constant", repr(value))
    if kind is str:
        return combine("str", value)  # type: ignore[arg-type]
    if kind is float:
        return combine("float", value.hex())  # type: ignore[attr-defined]
    if kind is bool:
        return combine("bool", repr(value))
    if kind is int:
        return combine("int", f"{value:x}")
    if kind is complex:
        return combine("complex", value.real.hex(), value.imag.hex())  # type: ignore[attr-defined]
    if kind is bytes or kind is bytearray:
        return combine(kind.__name__, bytes(value))  # type: ignore[call-overload]
    return None


def digest_of_long(items: Any) -> bytes | None:
    """Hash a long container of one plain type, or what JSON says all of, as one block; None for others."""
    if len(items) < _LONG:
        return None
    kinds = set(map(type, items))
    if type(items) is dict or kinds & {dict, list, tuple}:
        return _digest_of_nested(items) if tuple in kinds else _digest_of_json(items)
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    if kind is str:
        return combine("texts", digest_of_text(list(items)))
    if kind is float or kind is bool:
        return combine(kind.__name__, np.array(items, dtype=kind).tobytes())
    if kind is int and all(-(1 << 63) <= item < 1 << 63 for item in (min(items), max(items))):
        return combine("int", np.array(items, dtype=np.int64).tobytes())
    return None


def _digest_of_json(items: Any) -> bytes | None:
    try:
        if _is_json(items):
            return combine("json", json.dumps(items, sort_keys=True, separators=(",", ":")))
    except (ValueError, RecursionError):  # a number of thousands of digits, or very deep
        pass
    return None


def _digest_of_nested(items: Any) -> bytes | None:
    try:
        if _are_nested(items):  # in the format of version 0 equal values are written alike, in every process
            return combine("nested", marshal.dumps(tuple(items), 0))
    except (ValueError, RecursionError):  # very deep
        pass
    return None


def _are_nested(values: Any) -> bool:
    """Tell whether values are plain, or tuples and lists of such."""
    others = set(map(type, values)) - _OF_JSON
    return not others or (
        others <= {tuple, list} and all(_are_nested(it) for it in values if type(it) in others)
    )


def _is_json(value: Any) -> bool:
    """Tell whether JSON says all of a value: plain dicts with text for keys, and lists, of plain values."""
    if type(value) is dict:
        return set(map(type, value)) <= {str} and _are_json(value.values())
    return type(value) is list and _are_json(value)


def _are_json(values: Any) -> bool:
    others = set(map(type, values)) - _OF_JSON
    return not others or (others <= {dict, list} and all(_is_json(it) for it in values if type(it) in others))


def digest_of_text(items: list[str]) -> bytes:
    """Hash texts; their borders count."""
    lengths = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
    return combine(lengths.tobytes(), "".join(items))


def digest_of_bytes(array: NDArray[Any]) -> bytes:
    """Hash the values of an array in C order, whatever its layout."""
    hasher = blake2b(digest_size=_SIZE)
    for block in _blocks(array):
        hasher.update(block.reshape(-1).view(np.uint8).data)
    return hasher.digest()


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut an array into contiguous pieces along its first axes, copying little at a time."""
    if array.size == 0:
        return
    if array.flags.c_contiguous or array.nbytes <= _BLOCK:
        yield np.ascontiguousarray(array)
        return
    rows = max(1, _BLOCK * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield from _blocks(array[start : start + rows] if rows > 1 or array.ndim == 1 else array[start])
