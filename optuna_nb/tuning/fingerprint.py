"""What an objective depends on, as one hash per part, so that a change can be named.

The parts of a fingerprint are the cell itself (``"cell"``), the functions and classes of
the user that it reaches (``"def helper"``, ``"class Model"``), the data that these read
(``"data X"``) and what they take from libraries (``"import np"``, by name alone).

Only names that are read from outside count: not those that the cell assigns before
it reads them, not ``trial``, not builtins. Code of the user is what the notebook
defines, and what modules in the working folder define. Comments, whitespace and
docstrings do not count.
"""

from __future__ import annotations

import ast
import builtins
import enum
import functools
import inspect
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from optuna_nb.tuning.edited import is_edited
from optuna_nb.tuning.fitted import asks_what_was_learned, fits_anew
from optuna_nb.tuning.hashing import SEALED_PACKAGES, ContentHasher, type_name
from optuna_nb.tuning.local_imports import local_imports, set_by_literals
from optuna_nb.tuning.meaning import digest_of_source, digest_of_tree
from optuna_nb.tuning.observer import log_metrics, trial_event
from optuna_nb.tuning.plain_data import combine
from optuna_nb.tuning.reads import imports_of_code, names_in, outside_reads, reads_of_code
from optuna_nb.tuning.user_files import file_of_module, imported, is_user_file, is_user_module, project
from optuna_nb.tuning.wrapping import functions_behind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NOT_DATA = frozenset(
    [
        *("trial", "In", "Out", "exit", "quit", "get_ipython", "_", "__", "___"),
        *("_i", "_ii", "_iii", "_ih", "_oh", "_dh"),
    ]
)
_GENERATED = frozenset(  # attributes of a class that say nothing, or follow from others
    [
        *("__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__annotations__"),
        *("__annotate__", "__annotate_func__", "__firstlineno__", "__static_attributes__"),
        *("__abstractmethods__", "_abc_impl", "__dataclass_params__"),
    ]
)
_LIBRARY_CODE = (FunctionType, BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)
_HEAP_TYPE = 1 << 9  # the flag of a class that a class statement made
_OURS = (log_metrics, trial_event)  # a cell has them anyway, whether or not it imports them
_TOOLS = SEALED_PACKAGES - {"optuna"} | {"_thread"}  # packages of what holds no data: streams, locks, widgets


def fingerprint(code: str, namespace: Mapping[str, object]) -> dict[str, str]:
    """Fingerprint code and all that it depends on.

    Args:
        code: plain Python; ``await`` may stand at the top level.
        namespace: what the code's global names mean; read only.

    Returns:
        Part to hash, ``"cell"`` first. Equal in every process and on every machine.

    Raises:
        SyntaxError: the code is no Python.
    """
    return examine(code, namespace).parts


@dataclass(frozen=True, slots=True)
class Examination:
    """A fingerprint, and what of the data it could not look into."""

    parts: dict[str, str]
    opaque: tuple[str, ...]  # "X.handle: ctypes.c_void_p"; such data counts by type alone
    edited: tuple[str, ...] = ()  # modules whose files have changed since they were loaded

    @property
    def unseen(self) -> tuple[str, ...]:
        """What of it may hold data, for the user to read: ``"D (catboost.Pool)"``."""
        found: dict[str, None] = {}
        for line in self.opaque:
            path, _, kind = line.rpartition(": ")
            package, *inner = kind.split(".")
            if package not in _TOOLS and kind != "builtins.object":
                public = [word for word in inner[:-1] if word != "core" and not word.startswith("_")]
                found[f"{path} ({'.'.join([package, *public, *inner[-1:]])})"] = None
        return tuple(found)


def examine(
    code: str,
    namespace: Mapping[str, object],
    frozen: tuple[Mapping[str, object], Mapping[str, object]] | None = None,
) -> Examination:
    """Fingerprint code as ``fingerprint`` does, and tell what counted by type alone.

    Args:
        code: plain Python; ``await`` may stand at the top level.
        namespace: what the code's global names mean; read only.
        frozen: a namespace that changes, and what functions are to find in place of it.
    """
    tree = ast.parse(code)
    project()  # is settled by the first look
    survey = _Survey(namespace, frozen)
    survey.add("cell", digest_of_tree(tree))
    survey.words.update(getattr(it, "id", getattr(it, "attr", "")) for it in ast.walk(tree))
    survey.follow(outside_reads(tree), namespace)
    survey.follow_imports(imported(tree, ""))
    parts = survey.finish()
    return Examination(parts, survey.opaque, survey.edited)


class _Survey:
    """Follows names to what they mean, and on to the names that these read."""

    def __init__(
        self,
        namespace: Mapping[str, object],
        frozen: tuple[Mapping[str, object], Mapping[str, object]] | None = None,
    ) -> None:
        self._frozen = frozen
        self.hasher = ContentHasher(self._name_code)
        self._fitted = ContentHasher(self._name_code, fitted=True)
        self._home = namespace
        self._learned = 0
        self._alike: dict[str, dict[int, int]] = {}  # numbers of functions of one name, by id
        self._found: dict[str, set[bytes]] = {}  # part -> digests; two lambdas have one name
        self._waiting: list[tuple[str, Any, set[str]]] = []  # label, value, what is read of it
        self.words: set[str] = set()  # all names that the code uses
        self._looked_at: dict[str, bool] = {}  # module -> whether its file was edited since it was loaded
        self._whole: dict[int, ModuleType] = {}  # modules of which all counts
        self._digests: dict[int, tuple[object, bytes]] = {}  # of functions and classes, by id

    def add(self, part: str, digest: bytes) -> None:
        """Add what a part of the fingerprint depends on."""
        self._found.setdefault(part, set()).add(digest)

    def follow(self, reads: Mapping[str, set[str]], names: Mapping[str, object]) -> None:
        """Note every name that means something there, to be looked at by ``finish``."""
        for name in sorted(reads):
            value = names.get(name, self)
            if value is self or name in _NOT_DATA or (name.startswith("__") and name.endswith("__")):
                continue
            if vars(builtins).get(name, self) is value or any(value is ours for ours in _OURS):
                continue
            is_home = self._is_home(names) or names.get("__name__") in (None, "__main__")
            label = name if is_home else f"{names['__name__']}.{name}"
            self._waiting.append((label, value, reads[name]))
            if issubclass(type(value), ModuleType) and is_user_module(value):
                self._follow_module(value, reads[name])

    def follow_imports(self, names: Iterable[str]) -> None:
        """Add the files of modules; of one that was edited since it was loaded other code runs."""
        for name, digest in local_imports(names):
            is_other = self._is_edited(name)
            self.add(f"import {name}", combine("edited since it was loaded", digest) if is_other else digest)

    def _is_edited(self, module: str) -> bool:
        if module not in self._looked_at:
            self._looked_at[module] = is_edited(module)
        return self._looked_at[module]

    def _follow_module(self, module: Any, attributes: set[str]) -> None:
        """Note what is read of a module: ``"f"``, ``"inner.f"``, or all of it where it is handed on."""
        names: dict[str, set[str]] = {}
        for attribute in attributes - {""}:
            name, _, inner = attribute.partition(".")
            names.setdefault(name, set()).add(inner)
        if "" in attributes and id(module) not in self._whole:
            self._whole[id(module)] = module
            self.follow_imports([module.__name__])
            if (path := file_of_module(module.__name__)) is not None:
                names |= {name: {""} for name in set_by_literals(path)}
        self.follow(names, vars(module))

    def finish(self) -> dict[str, str]:
        """Follow all names, also those that are found on the way, and sum up."""
        while self._waiting:
            self._look_at(*self._waiting.pop(0))
            if not self._waiting and not fits_anew(self.words):
                self._look_at_learned()
        return {
            part: (next(iter(digests)) if len(digests) == 1 else combine(*sorted(digests))).hex()
            for part, digests in self._found.items()
        }

    def _look_at(self, label: str, value: Any, attributes: set[str]) -> None:
        kind = type(value)  # not isinstance, as a proxy may answer that as it likes, or raise
        inner = [it for it in functions_behind(value) if self._is_user_code(it)]
        if issubclass(kind, FunctionType | type) and self._is_user_code(value):
            self.add(
                f"{'class' if issubclass(kind, type) else 'def'} {label}", self.digest_of_code(value, label)
            )
        elif inner:
            codes = [self.digest_of_code(it, label) for it in inner]
            self.add(f"def {label}", combine(type_name(kind), *codes))
        elif issubclass(kind, (ModuleType, type, *_LIBRARY_CODE)):
            self.add(f"import {label}", combine(_qualified(value)))
            self.words.add(getattr(value, "__name__", label))
        else:
            self.add(f"data {label}", self.hasher.digest(value, label))
            if hasattr(kind, "get_params") and asks_what_was_learned(attributes):
                self.add(f"data {label} (fitted)", self._fitted.digest(value, label))

    def _look_at_learned(self) -> None:
        """Count what estimators have learned that are handed on, as nothing here fits them."""
        while self.hasher.estimators:
            label, estimator = self.hasher.estimators.pop(0)
            self._learned += 1  # their order counts
            digest = self._fitted.digest(estimator, label)
            self.add(f"data {label} (fitted)", combine(str(self._learned), digest))

    @property
    def edited(self) -> tuple[str, ...]:
        """Modules of the user's whose files have changed since they were loaded."""
        return tuple(name for name, is_other in self._looked_at.items() if is_other)

    @property
    def opaque(self) -> tuple[str, ...]:
        """What counts by its type alone."""
        return tuple(dict.fromkeys([*self.hasher.opaque, *self._fitted.opaque]))

    def _name_code(self, value: Any) -> str:
        """Name code that data holds; code of the user gets a part of its own."""
        name = _qualified(value)
        for code in (value, *functions_behind(value)):
            if isinstance(code, FunctionType | type) and self._is_user_code(code):
                own = code.__module__ == self._home.get("__name__", "builtins")
                label = code.__qualname__ if own else _qualified(code)
                alike = self._alike.setdefault(label, {})
                number = alike.setdefault(id(code), len(alike) + 1)  # their order counts
                self._waiting.append((label if number == 1 else f"{label} {number}", code, {""}))
        return name

    def _is_home(self, names: Mapping[str, object]) -> bool:
        return names is self._home or names.get("__name__", 0) == self._home.get("__name__", 1)

    def _is_user_code(self, code: FunctionType | type) -> bool:
        if isinstance(code, FunctionType):
            names = code.__globals__
            is_local = names is self._home or names.get("__name__") == "__main__"
            return is_local or is_user_file(code.__code__.co_filename)
        if code.__module__ in {"__main__", self._home.get("__name__")}:
            return True
        if code.__module__ == "builtins":  # of a namespace without a name
            return bool(code.__flags__ & _HEAP_TYPE) and vars(builtins).get(code.__name__) is not code
        return is_user_file(_file_of_class(code))

    # ---------------------------------------------------------------- code

    def digest_of_code(self, value: FunctionType | type, label: str = "") -> bytes:
        """Hash a function or class of the user's, and note what it reads.

        Args:
            value: The code.
            label: What it is called; the data that it holds, which may be a cache or a count of its
                calls, is a part of its own then.
        """
        if id(value) not in self._digests:
            self._digests[id(value)] = (value, combine("recursion", value.__qualname__))
            digest = (
                self._digest_of_class(value, label)
                if isinstance(value, type)
                else self._digest_of_function(value, label)
            )
            self._digests[id(value)] = (value, digest)
        return self._digests[id(value)][1]

    def _digest_of_held(self, value: Any, path: str, label: str) -> bytes:
        """Hash what code holds; its data under its own label, where there is one."""
        is_code = callable(value) or hasattr(type(value), "__get__") or functions_behind(value)
        if not label or is_code:
            return self.hasher.digest(value, path)
        self.add(f"data {label}", self.hasher.digest(value, label))
        return b""

    def _digest_of_function(self, function: FunctionType, label: str) -> bytes:
        code, name = function.__code__, function.__qualname__
        names: Mapping[str, object] = function.__globals__
        if self._frozen is not None and names is self._frozen[0]:
            names = self._frozen[1]
        self.follow(reads_of_code(code), names)
        self.follow_imports(imports_of_code(code, str(names.get("__package__") or "")))
        self.words.update(names_in(code))
        self._is_edited(function.__module__)
        parts = [
            digest_of_source(code) or combine("bytecode", *self._digests_of_bytecode(code, function.__doc__))
        ]
        for key, value in (*enumerate(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()):
            is_kept = label and type(value) in (list, dict, set)
            digest = self._digest_of_held(value, name, f"{label} (default {key})" if is_kept else "")
            parts.append(combine(str(key), digest))
        for variable, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                own = f"{label}.{variable}" if label else ""
                parts.append(self._digest_of_held(cell.cell_contents, f"{name}.{variable}", own))
            except ValueError:  # not filled yet
                parts.append(b"")
        return combine("function", *parts)

    def _digests_of_bytecode(self, code: CodeType, doc: str | None) -> Iterator[bytes]:
        yield code.co_code
        yield code.co_exceptiontable
        for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
            yield combine(*names)
        for index, constant in enumerate(code.co_consts):
            if isinstance(constant, CodeType):
                yield combine(*self._digests_of_bytecode(constant, None))
            elif index or constant != doc:  # the first one is the docstring, or None
                yield self.hasher.digest(constant, code.co_name)

    def _digest_of_class(self, kind: type, label: str) -> bytes:
        listed = len(self.hasher.opaque)
        parts = [self.hasher.digest(base, kind.__qualname__) for base in (*kind.__bases__, type(kind))]
        for name, member in sorted(vars(kind).items()):
            if name not in _GENERATED and not (issubclass(kind, enum.Enum) and name.startswith("_")):
                has_own = label and not name.startswith("__") and not issubclass(kind, enum.Enum)
                own = f"{label}.{name}" if has_own else ""
                parts.append(
                    combine(name, self._digest_of_member(member, f"{kind.__qualname__}.{name}", own))
                )
        if issubclass(kind, enum.Enum):
            parts += [
                combine(name, self.hasher.digest(item.value, name)) for name, item in kind.__members__.items()
            ]
        del self.hasher.opaque[listed:]  # descriptors and the like; the data of a class is hashed
        return combine("class", *parts)

    def _digest_of_member(self, member: Any, path: str, label: str) -> bytes:
        kind = type(member)
        if issubclass(kind, FunctionType) and self._is_user_code(member):
            return self.digest_of_code(member, label)
        if issubclass(kind, property):
            parts = (member.fget, member.fset, member.fdel)
            return combine("property", *(self._digest_of_member(part, path, label) for part in parts))
        if issubclass(kind, staticmethod | classmethod):
            return combine(type_name(kind), self._digest_of_member(member.__func__, path, label))
        if issubclass(kind, functools.cached_property):
            return combine("cached property", self._digest_of_member(member.func, path, label))
        if inner := [it for it in functions_behind(member) if self._is_user_code(it)]:
            return combine("wrapped function", *(self.digest_of_code(it, label) for it in inner))
        return self._digest_of_held(member, path, label)


def _qualified(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', type_name(type(value)))}"


def _file_of_class(kind: type) -> str | None:
    try:
        return inspect.getfile(kind)
    except (OSError, TypeError):
        return None
