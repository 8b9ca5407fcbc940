"""Data that all trials of a study share: made once, when first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Values by key, each made by the first thread that asks; others wait for it.

    Args:
        most: How many are kept; beyond, the one that was asked for longest ago goes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, _T] = OrderedDict()
        self._locks: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Shared[_T]], tuple[int]]:
        """Travel empty: the process that gets a copy makes its own."""
        return type(self), (self._most,)

    def get(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return the value of a key, made by ``make`` if it is not there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            value = make()
            with self._lock:
                self._values[key] = value
                self._locks.pop(key, None)
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
            return value
