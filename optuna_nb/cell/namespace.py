"""The notebook's names, frozen at the start of a tuning.

Every trial runs in a fresh shallow copy of one snapshot. A function of the
notebook, however, looks its globals up in the notebook itself, where the user
goes on rebinding names. So the functions that the cell reaches are rebuilt in
each copy, with that copy as their globals: they see the ``X`` of the start, they
see ``trial``, and nothing that they set leaks out.

A function or class that reads only modules and library names stays the object that it is, so that
``pickle`` and ``isinstance`` go on knowing it. Left alone are instances, too, which are data
and shared like every other value, with their classes; and classes with a metaclass.
"""

from __future__ import annotations

import builtins
import contextlib
import itertools
from abc import ABCMeta
from collections import deque
from types import FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from optuna_nb.cell.rebuilding import Rebuild, parts_of
from optuna_nb.tuning.reads import names_in, names_set_by, reads_of_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType

_DEPTH = 4  # how far to look into containers and closures
_MANY = 64  # items of a container that are looked at for instances
_MOST = 1_000  # values that are looked at so, for one name
_OF_A_TRIAL = frozenset({"trial", "get_ipython", "exit", "quit"})  # each one has its own
_DYNAMIC = frozenset({"globals", "eval", "exec", "vars"})  # nobody knows what they read


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
        self._set_by_code = names_set_by(code)
        self._depends: dict[int, tuple[object, bool]] = {}  # of functions and classes, by id
        self._with_instances: set[type] = set()
        self.reached = self._reach(code)  # the names that the code uses, directly or not
        self._with_instances = self._kept_classes()
        self._own = [name for name in self.reached if self.needs_rebuild(self.names[name])]
        self._shared = Rebuild(self, dict(self.names), None)
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
        return self._rebuild(extra).function(function)

    def is_home(self, function: FunctionType) -> bool:
        """Whether the function looks its globals up in the notebook."""
        return function.__globals__ is self._live

    def needs_rebuild(self, value: object, depth: int = _DEPTH) -> bool:
        """Whether the value is, or holds, code that reads names of the notebook that may be rebound."""
        if isinstance(value, type):
            return self._is_cloneable(value) and self._knows(value, self._class_depends)
        if (
            isinstance(value, FunctionType)
            and self.is_home(value)
            and self._knows(value, self._function_depends)
        ):
            return True
        return depth > 0 and any(self.needs_rebuild(part, depth - 1) for part in parts_of(value))

    def _rebuild(self, extra: dict[str, object]) -> Rebuild:
        rebuild = Rebuild(self, {**self.names, **extra}, self._shared)
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
        if isinstance(value, type) and not self._is_cloneable(value):
            return
        if depth > 0:
            parts = (*vars(value).values(), *value.__bases__) if isinstance(value, type) else parts_of(value)
            for part in parts:
                yield from self._codes(part, depth - 1)

    def _kept_classes(self) -> set[type]:
        """Find the classes of instances that are shared, and those that their methods name."""
        kept: set[type] = set()
        waiting = [kind for name in self.reached for kind in self._kinds_in(self.names[name])]
        while waiting:
            kind = waiting.pop()
            if kind in kept:
                continue
            kept.add(kind)
            for member in vars(kind).values():
                for code in self._codes(member):
                    named = [self.names[name] for name in self._reach(code)]
                    waiting += [it for it in named if isinstance(it, type) and self._is_of_notebook(it)]
        return kept

    def _kinds_in(self, value: object) -> Iterator[type]:
        """Find the notebook's classes of which a value is, or holds, an instance."""
        waiting, seen = [(value, 0)], set[int]()
        while waiting and len(seen) < _MOST:
            held, depth = waiting.pop(0)
            if id(held) in seen or isinstance(held, ModuleType):
                continue
            seen.add(id(held))
            yield from (kind for kind in type(held).__mro__ if self._is_of_notebook(kind))
            if depth < _DEPTH:
                waiting += [(part, depth + 1) for part in _held_by(held)]

    def _is_of_notebook(self, cls: type) -> bool:
        return cls.__module__ == self.names.get("__name__")

    def _is_cloneable(self, cls: type) -> bool:
        return (
            type(cls) in (type, ABCMeta)
            and self._is_of_notebook(cls)
            and cls not in self._with_instances
            and not any("__init_subclass__" in vars(it) for it in cls.__mro__[1:] if self._is_of_notebook(it))
        )

    def _knows(self, value: Any, depends: Callable[[Any], bool]) -> bool:
        if id(value) not in self._depends:
            self._depends[id(value)] = (value, False)  # ends the recursion of what names itself
            self._depends[id(value)] = (value, depends(value))
        return self._depends[id(value)][1]

    def _class_depends(self, cls: type) -> bool:
        """Whether a method reads a name that the user may rebind; a class may name itself."""
        used = {name for code in self._codes(cls) for name in names_in(code)}
        return not used.isdisjoint(_OF_A_TRIAL) or any(
            self._may_be_rebound(self.names[name]) for name in used if self.names.get(name, cls) is not cls
        )

    def _function_depends(self, function: FunctionType) -> bool:
        """Whether a function reads a name that may be rebound, or sets one."""
        code = function.__code__
        reads = reads_of_code(code).keys()
        if names_set_by(code) or reads & (_OF_A_TRIAL | _DYNAMIC | self._set_by_code):
            return True
        return any(
            self._may_be_rebound(self.names[name]) if name in self.names else not hasattr(builtins, name)
            for name in reads
        )

    def _may_be_rebound(self, value: object) -> bool:
        if isinstance(value, ModuleType):
            return False
        if callable(value) and hasattr(value, "__name__"):  # a function, a class, a ufunc
            return getattr(value, "__module__", None) == self.names.get("__name__")
        return True


def _held_by(value: Any) -> list[Any]:
    """List the first things that a container, or an object by its attributes, holds."""
    held: Any = ()
    if type(value) in (list, tuple, set, frozenset, deque):
        held = value
    elif isinstance(value, FunctionType):
        held = parts_of(value)
    elif isinstance(value, np.ndarray):
        held = value.flat if value.dtype == object else ()
    elif type(value) is dict:
        held = value.values()
    else:
        with contextlib.suppress(Exception):  # an object of the user's may raise anything when it is read
            held = vars(value).values()
    return list(itertools.islice(held, _MANY))
