"""The functions behind a wrapper: a decorator of a library stands before the code that the user wrote."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEP = 5  # wrappers in wrappers


def functions_behind(value: Any) -> list[FunctionType]:
    """List the functions that a callable calls in the end, as far as Python shows them.

    Args:
        value: What a decorator returned, as ``functools.lru_cache``, ``contextmanager`` or
            ``singledispatch``; a plain function is looked into by its closure.

    Returns:
        Each one once, the nearest first, not the value itself. Empty for a class, for what
        is no function in a wrapper, and for a ``partial``, which is data: its arguments count.
    """
    found: dict[int, FunctionType] = {}
    waiting = [] if issubclass(type(value), functools.partial) else [(it, 1) for it in _next(value)]
    while waiting:
        inner, depth = waiting.pop(0)
        if type(inner) is FunctionType:
            if id(inner) in found:
                continue
            found[id(inner)] = inner
        if depth < _DEEP:
            waiting += [(it, depth + 1) for it in _next(inner)]
    return list(found.values())


def _next(value: Any) -> Iterator[Any]:
    """Look one wrapper further in."""
    if issubclass(type(value), type | ModuleType) or not callable(value):
        return
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if callable(wrapped) and not issubclass(type(wrapped), property):
        yield wrapped
    if issubclass(type(value), functools.partial):
        yield value.func
    if type(value) is FunctionType:
        registry: Any = vars(value).get("registry")  # of functools.singledispatch
        yield from registry.values() if issubclass(type(registry), MappingProxyType) else ()
        for cell in value.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if issubclass(type(content), FunctionType | functools.partial):
                yield content
