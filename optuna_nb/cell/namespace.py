"""The notebook's names, frozen at the start of a tuning.

Every trial runs in a fresh shallow copy of one snapshot. A function of the
notebook, however, looks its globals up in the notebook itself, where the user
goes on rebinding names. So the functions that the cell reaches are rebuilt in
each copy, with that copy as their globals: they see the ``X`` of the start, they
see ``trial``, and nothing that they set leaks out.

Rebuilt are plain functions, also inside closures, ``functools.partial``,
``functools.lru_cache`` (once, so that its cache serves all trials) and small
containers, and classes of the notebook whose methods read names that the user
may rebind. Left alone are instances, which are data and shared like every other
value, and classes with a metaclass or slots.
"""

from __future__ import annotations

import functools
from abc import ABCMeta
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from optuna_nb.tuning.reads import names_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SMALL = 64  # a container with more items is data, not a table of functions
_DEPTH = 4  # how far to look into containers and closures
_CACHED = type(functools.lru_cache(lambda: None))
_SLOTS_OF_PYTHON = frozenset({"__dict__", "__weakref__"})


class Snapshot:
    """The namespace of one moment, and what of it each trial must have its own of.

    Any thread may call the methods; none of them writes the notebook's namespace.

    Args:
        live: the notebook's namespace; read once, here.
        code: what is going to run; only functions that it reaches are rebuilt.
    """

    def __init__(self, live: dict[str, Any], code: CodeType) -> None:
        self._live = live
        self.names: Mapping[str, Any] = MappingProxyType(dict(live))
        self._reads: dict[type, bool] = {}
        self.reached = self._reach(code)  # the names that the code uses, directly or not
        self._own = [name for name in self.reached if self.needs_rebuild(self.names[name])]
        self._shared = _Rebuild(self, dict(self.names), None)
        self._shared.fill(self._own)

    def fresh(self, **extra: object) -> dict[str, Any]:
        """Make a namespace for one trial; ``extra`` names come on top."""
        return self._rebuild(extra).namespace

    def release(self, namespace: dict[str, Any]) -> None:
        """Let go of the data that a trial made, once it has ended well.

        A namespace and its functions hold each other, so a large model in it
        would stay until the garbage collector comes by. Functions, classes and
        modules stay: an object that outlives the trial may still need them.
        """
        for name, value in list(namespace.items()):
            if self.names.get(name) is value or isinstance(value, (FunctionType, type, ModuleType)):
                continue
            if name in self.names:
                namespace[name] = self.names[name]
            else:
                del namespace[name]

    def function(self, function: FunctionType, **extra: object) -> FunctionType:
        """Rebuild one function of the notebook in a fresh namespace."""
        return cast("FunctionType", self._rebuild(extra)(function))

    def is_home(self, function: FunctionType) -> bool:
        """Whether the function looks its globals up in the notebook."""
        return function.__globals__ is self._live

    def needs_rebuild(self, value: object, depth: int = _DEPTH) -> bool:
        """Whether the value is, or holds, code that reads the notebook's names."""
        if isinstance(value, type):
            return self._is_cloneable(value) and self._reads_notebook(value)
        if isinstance(value, FunctionType) and self.is_home(value):
            return True
        return depth > 0 and any(self.needs_rebuild(part, depth - 1) for part in _parts(value))

    def _rebuild(self, extra: dict[str, object]) -> _Rebuild:
        rebuild = _Rebuild(self, {**self.names, **extra}, self._shared)
        rebuild.fill([name for name in self._own if name not in extra])
        return rebuild

    def _reach(self, code: CodeType) -> list[str]:
        """List the names of the notebook that the code uses, and what these use in turn."""
        found: dict[str, None] = {}
        waiting = list(names_in(code))
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.names:
                continue
            found[name] = None
            for inner in self._codes(self.names[name]):
                waiting.extend(names_in(inner))
        return list(found)

    def _codes(self, value: object, depth: int = _DEPTH) -> Iterator[CodeType]:
        if isinstance(value, FunctionType) and self.is_home(value):
            yield value.__code__
        if isinstance(value, type):
            if not self._is_cloneable(value):
                return
            for attribute in vars(value).values():
                for function in _functions_of(attribute):
                    yield function.__code__
        if depth > 0:
            parts = value.__bases__ if isinstance(value, type) else _parts(value)
            for part in parts:
                yield from self._codes(part, depth - 1)

    def _is_cloneable(self, cls: type) -> bool:
        return (
            type(cls) in (type, ABCMeta)
            and cls.__module__ == self.names.get("__name__")
            and "__slots__" not in vars(cls)
        )

    def _reads_notebook(self, cls: type) -> bool:
        """Whether a method reads a name that the user may rebind.

        A class that reads only modules and library names stays what it is, so
        that ``isinstance`` goes on knowing the instances made before.
        """
        if cls not in self._reads:
            self._reads[cls] = False  # ends the recursion of a class that names itself
            used = {name for code in self._codes(cls) for name in names_in(code)}
            self._reads[cls] = "trial" in used or any(
                self._may_be_rebound(self.names[name])
                for name in used
                if self.names.get(name, cls) is not cls
            )
        return self._reads[cls]

    def _may_be_rebound(self, value: object) -> bool:
        if isinstance(value, ModuleType):
            return False
        if callable(value) and hasattr(value, "__name__"):  # a function, a class, a ufunc
            return getattr(value, "__module__", None) == self.names.get("__name__")
        return True


class _Rebuild:
    """Rebuild values for one namespace; what two of them share stays shared."""

    def __init__(self, snapshot: Snapshot, namespace: dict[str, Any], shared: _Rebuild | None) -> None:
        self.namespace = namespace
        self._snapshot = snapshot
        self._shared = shared  # of all trials; None in that one itself
        self._done: dict[int, Any] = {}
        self._class_cells: dict[int, CellType] = {}

    def fill(self, names: list[str]) -> None:
        for name in names:
            self.namespace[name] = self(self.namespace[name])

    def __call__(self, value: Any) -> Any:
        if id(value) not in self._done:
            if not self._snapshot.needs_rebuild(value):
                return value
            self._done[id(value)] = value  # for a container that holds itself
            self._done[id(value)] = self._build(value)
        return self._done[id(value)]

    def _build(self, value: Any) -> Any:  # noqa: PLR0911  (one return per kind)
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _CACHED):
            if self._shared is not None:
                return self._shared(value)
            return functools.lru_cache(**value.cache_parameters())(self(value.__wrapped__))
        if isinstance(value, functools.partial):
            keywords = {key: self(item) for key, item in value.keywords.items()}
            return functools.partial(self(value.func), *map(self, value.args), **keywords)
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        return type(value)(map(self, value))

    def _function(self, function: FunctionType) -> FunctionType:
        names = self.namespace if self._snapshot.is_home(function) else function.__globals__
        closure: list[CellType] = []
        to_fill: list[tuple[CellType, Any]] = []
        for cell in function.__closure__ or ():
            content = _content(cell)
            if id(content) in self._class_cells:
                closure.append(self._class_cells[id(content)])
            elif self._snapshot.needs_rebuild(content):
                closure.append(CellType())
                to_fill.append((closure[-1], content))
            else:
                closure.append(cell)  # shared, as ``nonlocal`` expects
        code, defaults = function.__code__, function.__defaults__
        new = FunctionType(code, names, function.__name__, defaults, tuple(closure) or None)
        self._done[id(function)] = new  # before the cells: a function may close over itself
        for cell, content in to_fill:
            cell.cell_contents = self(content)
        functools.update_wrapper(new, function)
        new.__kwdefaults__ = function.__kwdefaults__
        if "__wrapped__" in vars(function):
            vars(new)["__wrapped__"] = self(vars(function)["__wrapped__"])
        else:
            del vars(new)["__wrapped__"]
        return new

    def _class(self, cls: type) -> type:
        # Methods that say ``super()`` close over a cell that holds the class.
        own_cell = self._class_cells[id(cls)] = CellType()
        bases = tuple(map(self, cls.__bases__))
        body = {name: self._attribute(it) for name, it in vars(cls).items() if name not in _SLOTS_OF_PYTHON}
        try:
            own_cell.cell_contents = new = type(cls)(cls.__name__, bases, body)
        except TypeError:  # the class statement had keywords: it cannot be said again
            own_cell.cell_contents = new = cls
        return new

    def _attribute(self, value: Any) -> Any:
        if isinstance(value, (staticmethod, classmethod)):
            return type(value)(self._attribute(value.__func__))
        if isinstance(value, property):
            get, put, delete = map(self._attribute, (value.fget, value.fset, value.fdel))
            return property(get, put, delete, value.__doc__)
        return self._function(value) if isinstance(value, FunctionType) else value


def _functions_of(attribute: object) -> Iterator[FunctionType]:
    """Find the functions behind one attribute of a class."""
    candidates: tuple[object, ...] = (attribute,)
    if isinstance(attribute, (staticmethod, classmethod)):
        candidates = (attribute.__func__,)
    elif isinstance(attribute, property):
        candidates = (attribute.fget, attribute.fset, attribute.fdel)
    yield from (it for it in candidates if isinstance(it, FunctionType))


def _parts(value: object) -> tuple[Any, ...]:
    """What a value is made of, where that may be a function."""
    if isinstance(value, FunctionType):
        return tuple(_content(cell) for cell in value.__closure__ or ())
    if isinstance(value, _CACHED):
        return (cast("Any", value).__wrapped__,)
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if type(value) is dict and len(value) <= _SMALL:
        return tuple(value.values())
    if type(value) in (list, tuple) and len(cast("list[Any]", value)) <= _SMALL:
        return tuple(cast("list[Any]", value))
    return ()


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None
