"""Functions and classes of the notebook, made anew so that they find their names in another namespace.

Rebuilt are plain functions, what decorators make of them (closures, ``functools.partial``,
``singledispatch``, ``cached_property`` and the like), small containers of them, and classes.
``functools.lru_cache`` is rebuilt once, so that its cache serves all trials.
"""

from __future__ import annotations

import functools
from abc import ABCMeta
from types import CellType, FunctionType, MappingProxyType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

_SMALL = 64  # a container with more items is data, not a table of functions
_CACHED = type(functools.lru_cache(lambda: None))
_MADE_BY_PYTHON = frozenset({"__dict__", "__weakref__"})  # attributes of a class


class Chooser(Protocol):
    """Knows which values depend on the notebook's names."""

    def is_home(self, function: FunctionType) -> bool:
        """Whether the function looks its globals up in the notebook."""

    def needs_rebuild(self, value: object) -> bool:
        """Whether the value is, or holds, code that reads the notebook's names."""


class Rebuild:
    """Rebuilds values for one namespace; what two of them share stays shared.

    Args:
        chooser: says what is to be rebuilt.
        namespace: the globals of what is rebuilt; ``fill`` puts it there.
        shared: that of all trials, for what keeps a cache; None in that one itself.
    """

    def __init__(self, chooser: Chooser, namespace: dict[str, Any], shared: Rebuild | None) -> None:
        self.namespace = namespace
        self._chooser = chooser
        self._shared = shared
        self._done: dict[int, Any] = {}
        self._class_cells: dict[int, CellType] = {}

    def fill(self, names: Iterable[str]) -> None:
        """Rebuild what these names mean in the namespace."""
        for name in names:
            self.namespace[name] = self(self.namespace[name])

    def __call__(self, value: Any) -> Any:
        """Return a value that finds its names in the namespace: itself where it reads none."""
        if id(value) not in self._done:
            if not self._chooser.needs_rebuild(value):
                return value
            self._done[id(value)] = value  # for a container that holds itself
            self._done[id(value)] = self._build(value)
        return self._done[id(value)]

    def _build(self, value: Any) -> Any:  # noqa: C901, PLR0911 - one return per kind
        if isinstance(value, FunctionType):
            return self._dispatcher(value) if _is_dispatcher(value) else self.function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _CACHED):
            if self._shared is not None:
                return self._shared(value)
            return functools.lru_cache(**value.cache_parameters())(self(value.__wrapped__))
        if isinstance(value, functools.partial | functools.partialmethod):
            keywords = {key: self(item) for key, item in value.keywords.items()}
            return type(value)(self(value.func), *map(self, value.args), **keywords)
        if isinstance(value, staticmethod | classmethod):
            return type(value)(self(value.__func__))
        if type(value) is property:
            get, put, delete = map(self, (value.fget, value.fset, value.fdel))
            return property(get, put, delete, value.__doc__)
        if type(value) is functools.cached_property:
            return functools.cached_property(self(value.func))
        if isinstance(value, functools.singledispatchmethod):
            method = functools.singledispatchmethod(self(value.func))
            self._register(method.dispatcher, value.dispatcher)
            return method
        if type(value) is dict:
            return {key: self(item) for key, item in value.items()}
        return type(value)(map(self, value)) if type(value) in (list, tuple) else value

    def function(self, function: FunctionType) -> FunctionType:
        """Rebuild a function, whatever it reads."""
        names = self.namespace if self._chooser.is_home(function) else function.__globals__
        closure: list[CellType] = []
        to_fill: list[tuple[CellType, Any]] = []
        for cell in function.__closure__ or ():
            content = _content(cell)
            if id(content) in self._class_cells:
                closure.append(self._class_cells[id(content)])
            elif self._chooser.needs_rebuild(content):
                closure.append(CellType())
                to_fill.append((closure[-1], content))
            else:
                closure.append(cell)  # shared, as ``nonlocal`` expects
        new = FunctionType(function.__code__, names, function.__name__, None, tuple(closure) or None)
        self._done[id(function)] = new  # before the cells: a function may close over itself
        for cell, content in to_fill:
            cell.cell_contents = self(content)
        functools.update_wrapper(new, function)
        new.__defaults__ = function.__defaults__ and tuple(map(self, function.__defaults__))
        named = function.__kwdefaults__
        new.__kwdefaults__ = named and {name: self(value) for name, value in named.items()}
        if "__wrapped__" in vars(function):
            vars(new)["__wrapped__"] = self(vars(function)["__wrapped__"])
        else:
            del vars(new)["__wrapped__"]
        return new

    def _dispatcher(self, function: Any) -> Any:
        new = functools.singledispatch(self(function.registry[object]))
        self._done[id(function)] = new
        self._register(new, function)
        return new

    def _register(self, new: Any, old: Any) -> None:
        for kind, implementation in old.registry.items():
            if kind is not object:
                new.register(self(kind), self(implementation))

    def _class(self, cls: type) -> type:
        # Methods that say ``super()`` close over a cell that holds the class.
        own_cell = self._class_cells[id(cls)] = CellType()
        bases = tuple(map(self, cls.__bases__))
        body = {
            name: self.function(it)
            if isinstance(it, FunctionType) and self._chooser.is_home(it)
            else self(it)
            for name, it in vars(cls).items()
            if name not in _MADE_BY_PYTHON and not isinstance(it, MemberDescriptorType)
        }
        try:
            own_cell.cell_contents = new = type(cls)(cls.__name__, bases, body)
        except Exception:  # noqa: BLE001 - the class statement had keywords, or a base refuses to see it again
            own_cell.cell_contents = new = cls
        if isinstance(new, ABCMeta) and new is not cls:
            new.register(cls)  # so it knows whatever the one of the notebook knows
        return new


def parts_of(value: Any) -> tuple[Any, ...]:  # noqa: PLR0911 - one return per kind
    """List what a value is made of, where that may be a function."""
    if isinstance(value, FunctionType):
        registry: Any = vars(value)["registry"] if _is_dispatcher(value) else {}
        defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
        return (*registry, *defaults, *(_content(cell) for cell in value.__closure__ or ()))
    if isinstance(value, _CACHED):
        return (cast("Any", value).__wrapped__,)
    if isinstance(value, functools.partial | functools.partialmethod):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, functools.cached_property):
        return (value.func,)
    if isinstance(value, functools.singledispatchmethod):
        return (value.func, *value.dispatcher.registry, *value.dispatcher.registry.values())
    if type(value) is dict and len(value) <= _SMALL:
        return tuple(value.values())
    if type(value) in (list, tuple) and len(value) <= _SMALL:
        return tuple(value)
    return ()


def _is_dispatcher(function: FunctionType) -> bool:
    """Whether a function is what ``functools.singledispatch`` returns."""
    registry = vars(function).get("registry")
    return isinstance(registry, MappingProxyType) and object in registry and "dispatch" in vars(function)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None
