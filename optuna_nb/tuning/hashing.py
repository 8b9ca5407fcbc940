"""Hash what a value holds, so that equal data means an equal hash in every process.

Arrays, tables, sparse matrices and containers count by content, whatever their
memory layout; sets and dicts in any order. An estimator counts by its parameters, as an
objective fits it anew, and on demand by what it has learned. Any other object counts
by its attributes. What cannot be looked into counts by its type alone and is listed
in ``opaque``, and so are random generators, whose state a trial moves on.

Nothing here depends on ``id``, ``hash`` or ``repr`` of unknown objects, and nothing
raises: an object that refuses to be read is opaque.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import logging
import operator
import pathlib
import random
import re
import sys
import types
import uuid
import zoneinfo
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from optuna_nb.tuning.fitted import learned_by
from optuna_nb.tuning.native_data import native_parts
from optuna_nb.tuning.plain_data import (
    combine,
    digest_of_bytes,
    digest_of_long,
    digest_of_plain,
    digest_of_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

_DEEP = 80  # levels; deeper values are opaque
_PRINTED = (
    *(dt.date, dt.time, dt.timedelta, dt.timezone),
    *(decimal.Decimal, fractions.Fraction, pathlib.PurePath, uuid.UUID, range, slice, np.dtype, np.ufunc),
    zoneinfo.ZoneInfo,
)
_PLAIN: tuple[Any, ...] = (str, bytes, int, float, complex)
_SEALED = (random.Random, np.random.RandomState, np.random.Generator, np.random.BitGenerator)
SEALED_PACKAGES = frozenset(
    {"IPython", "_io", "asyncio", "ipykernel", "ipywidgets", "optuna", "threading", "traitlets"}
)
_CODE = (
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.GetSetDescriptorType, types.MemberDescriptorType, types.ClassMethodDescriptorType),
    *(type, types.ModuleType),
)


class ContentHasher:
    """Hashes values. One per fingerprint; not for several threads.

    Args:
        name_code: called for each function, class or module that data holds; returns what
            identifies it.
        fitted: whether what an estimator has learned counts.

    Attributes:
        opaque: what counted by type alone, as ``"path: type"``.
        estimators: models of scikit-learn's kind that were met, with their paths.
    """

    def __init__(self, name_code: Callable[[Any], str], *, fitted: bool = False) -> None:
        self.opaque: list[str] = []
        self.estimators: list[tuple[str, object]] = []
        self._name_code = name_code
        self._fitted = fitted
        self._active: dict[int, int] = {}  # id -> depth of the values that are being hashed
        self._done: dict[int, tuple[object, bytes]] = {}  # the value is kept, so that its id stays its own

    def digest(self, value: object, path: str) -> bytes:
        """Hash one value.

        Args:
            value: anything; it is not changed.
            path: what to call it in ``opaque``.
        """
        plain = digest_of_plain(value)
        if plain is not None:
            return plain
        key = id(value)
        if key in self._done:
            return self._done[key][1]
        if key in self._active:
            return combine("cycle", str(len(self._active) - self._active[key]))
        if len(self._active) >= _DEEP:
            return self._digest_of_opaque(value, path)
        self._active[key] = len(self._active)
        try:
            result = self._digest_of_parts(value, path)
        except Exception:  # noqa: BLE001 - a user's object may raise anything when it is read, and must not stop a study
            result = self._digest_of_opaque(value, path)
        del self._active[key]
        self._done[key] = (value, result)
        return result

    def _digest_of_opaque(self, value: object, path: str) -> bytes:
        self.opaque.append(f"{path}: {type_name(type(value))}")
        return combine("opaque", type_name(type(value)))

    def _digest_of_parts(self, value: Any, path: str) -> bytes:  # noqa: C901, PLR0911, PLR0912 - one line per kind
        kind = type(value)
        name = type_name(kind)
        if isinstance(value, _CODE):
            return combine("code", self._name_code(value))
        if isinstance(value, np.ndarray | np.generic):
            return combine(name, self._digest_of_array(np.asarray(value), path), *self._mask(value, path))
        if (table := self._digest_of_table(value, path)) is not None:
            return combine(name, table)
        if isinstance(value, _PRINTED):
            return combine(name, repr(value))
        if isinstance(value, memoryview):
            return combine(name, value.format, repr(value.shape), value.tobytes())
        if isinstance(value, array):
            return combine(name, value.typecode, str(value.itemsize), value.tobytes())
        if (parts := native_parts(value)) is not None:
            return combine(name, *(combine(part, self.digest(read(), path)) for part, read in parts))
        if isinstance(value, operator.itemgetter | operator.attrgetter):
            return combine(name, self.digest(value.__reduce__()[1], path))
        if isinstance(value, re.Pattern):
            return combine(name, str(value.pattern), str(value.flags))
        if isinstance(value, enum.Enum):
            return combine("enum", self._name_code(kind), value.name)
        if isinstance(value, logging.Logger):
            return combine(name, value.name)
        if (said := _said_by_optuna(value, name)) is not None:
            return combine(name, self.digest(said, path))
        if name == "joblib.memory.Memory":  # what it keeps is what was computed anyway
            return combine(name, str(value.location))
        if name == "optuna_nb.tuning.handle.StudyHandle":  # its trials may be more each time
            self.opaque.append(f"{path}: optuna_nb.StudyHandle")
            return combine(name, value.study_name)
        if isinstance(value, _SEALED) or name.partition(".")[0] in SEALED_PACKAGES:
            return self._digest_of_opaque(value, path)
        if isinstance(value, types.MethodType):
            return combine("method", self.digest(value.__func__, path), self.digest(value.__self__, path))
        if isinstance(value, functools.partial):
            inner_parts = (value.func, value.args, value.keywords)
            return combine(name, *(self.digest(part, path) for part in inner_parts))
        if isinstance(inner := getattr(value, "__wrapped__", None), types.FunctionType) and callable(value):
            return combine(name, self.digest(inner, path))  # functools.lru_cache and the like
        if hasattr(kind, "get_params") and isinstance(params := value.get_params(deep=False), dict):
            self.estimators.append((path, value))
            counts = learned_by(value, params) if self._fitted else params
            return combine("estimator", self._name_code(kind), self.digest(counts, path))
        if hasattr(kind, "__array__") and not hasattr(kind, "__dask_graph__"):
            return combine(
                name, str(getattr(value, "schema", "")), self._digest_of_foreign_array(value, path)
            )
        items = self._digests_of_items(value, path)
        state = self._digests_of_state(value, path)
        if items is None and not state and (state is None or _has_hidden_parts(kind)):
            return self._digest_of_opaque(value, path)
        return combine("object", self._name_code(kind), *(items or ()), "state", *(state or ()))

    def _digests_of_items(self, value: Any, path: str) -> list[bytes] | None:
        if type(value) is dict and (block := digest_of_long(value)):
            return [block]
        if isinstance(value, dict | types.MappingProxyType):
            pairs = [
                combine(
                    self.digest(key, path),
                    self.digest(item, f"{path}[{key!r:.40}]" if type(key) is str else path),
                )
                for key, item in value.items()
            ]
            return sorted(pairs)
        if isinstance(value, set | frozenset):
            return sorted(self.digest(item, path) for item in value)
        if isinstance(value, list | tuple | collections.deque):
            block = digest_of_long(value)
            return (
                [block]
                if block
                else [self.digest(item, f"{path}[{index}]") for index, item in enumerate(value)]
            )
        for base in _PLAIN:
            if isinstance(value, base):  # a subclass, as the plain ones are done by now
                return [self.digest(part, path) for part in base.__getnewargs__(value)]
        return None

    def _digests_of_state(self, value: Any, path: str) -> list[bytes] | None:
        kind = type(value)
        names = [slot for owner in kind.__mro__ for slot in _slots(owner)]
        has_state = bool(names)
        state = {name: getattr(value, name) for name in names if hasattr(value, name)}
        if isinstance(attributes := getattr(value, "__dict__", None), dict):
            has_state = True
            state.update(attributes)
        if dataclasses.is_dataclass(value):
            has_state = True
        if not has_state:
            return None
        return [
            combine(str(name), self.digest(state[name], f"{path}.{name}")) for name in sorted(state, key=str)
        ]

    # ---------------------------------------------------------------- arrays and tables

    def _mask(self, value: object, path: str) -> tuple[bytes, ...]:
        return (self.digest(np.ma.getmaskarray(value), path),) if isinstance(value, np.ma.MaskedArray) else ()

    def _digest_of_foreign_array(self, value: Any, path: str) -> bytes:
        if hasattr(value, "detach"):  # a tensor, perhaps on another device
            value = value.detach().cpu()
        return self._digest_of_array(np.asarray(value), path)

    def _digest_of_array(self, array: NDArray[Any], path: str) -> bytes:
        header = combine(array.dtype.str, repr(array.dtype.names), repr(array.shape))
        if array.dtype.names:
            fields = (self._digest_of_array(array[name], path) for name in array.dtype.names)
            return combine(header, *fields)
        if array.dtype.kind in "OT":
            return combine(header, self._digest_of_objects(array.ravel().tolist(), path))
        if array.dtype.char in "gG":  # numbers with bytes that hold nothing
            high = array.astype("c16" if array.dtype.char == "G" else "f8")
            return combine(header, digest_of_bytes(high), digest_of_bytes((array - high).astype(high.dtype)))
        return combine(header, digest_of_bytes(array))

    def _digest_of_objects(self, items: list[Any], path: str) -> bytes:
        """Hash a column of objects; text, with or without gaps, in one go."""
        gaps = [index for index, item in enumerate(items) if type(item) is not str]
        if len(gaps) < len(items):
            text = [item for item in items if type(item) is str] if gaps else items
            rest = [self.digest(items[index], path) for index in gaps]
            return combine("text", np.array(gaps, dtype=np.int64).tobytes(), digest_of_text(text), *rest)
        return combine("objects", *(self.digest(item, path) for item in items))

    def _digest_of_table(self, value: Any, path: str) -> bytes | None:  # noqa: C901, PLR0911 - one line per kind
        """Hash what belongs to pandas or scipy; None for anything else. Neither is imported for it."""
        if (pandas := sys.modules.get("pandas")) is not None and hasattr(pandas, "DataFrame"):
            if isinstance(value, pandas.DataFrame):
                return combine("frame", *self._digests_of_frame(value, path))
            if isinstance(value, pandas.Series):
                own = self._digest_of_column(value.array, path)
                return combine("series", self.digest(value.name, path), self.digest(value.index, path), own)
            if isinstance(value, pandas.MultiIndex):
                levels = (value.get_level_values(level) for level in range(value.nlevels))
                return combine("levels", *(self.digest(level, path) for level in levels))
            if isinstance(value, pandas.RangeIndex):
                return combine(
                    "range", repr((value.start, value.stop, value.step)), self.digest(value.name, path)
                )
            if isinstance(value, pandas.Index):
                return combine(
                    "index", self.digest(value.name, path), self._digest_of_column(value.array, path)
                )
            if isinstance(value, pandas.api.extensions.ExtensionArray):
                return self._digest_of_column(value, path)
            if isinstance(value, pandas.tseries.offsets.BaseOffset):
                return combine(repr(value), str(value.normalize), self.digest(value.kwds, path))
            printed = pandas.Timestamp | pandas.Timedelta | pandas.Period | pandas.Interval
            if isinstance(value, printed) or value is pandas.NA:
                return combine("moment", repr(value))
        if (sparse := sys.modules.get("scipy.sparse")) is not None and sparse.issparse(value):
            rows = value.tocsr().copy() if value.ndim == 2 else value.tocoo().reshape(1, -1).tocsr()  # noqa: PLR2004
            rows.sum_duplicates()
            parts = (rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data)
            return combine(
                "sparse", repr(value.shape), *(self._digest_of_array(part, path) for part in parts)
            )
        return None

    def _digests_of_frame(self, frame: Any, path: str) -> Iterator[bytes]:
        yield self.digest(frame.columns, path)
        yield self.digest(frame.index, path)
        kinds = {str(kind) for kind in frame.dtypes}
        if len(kinds) == 1 and isinstance(frame.dtypes.iloc[0], np.dtype) and kinds != {"object"}:
            yield self._digest_of_array(frame.to_numpy(), path)
        else:
            for index in range(frame.shape[1]):
                yield self._digest_of_column(frame.iloc[:, index].array, f"{path}[{index}]")

    def _digest_of_column(self, column: Any, path: str) -> bytes:
        """Hash a pandas array."""
        kind = str(column.dtype)
        if hasattr(column, "codes"):
            categories = self.digest(column.categories, path)
            return combine(kind, categories, str(column.ordered), self._digest_of_array(column.codes, path))
        if hasattr(column, "asi8"):
            return combine(kind, self._digest_of_array(column.asi8, path))
        if isinstance(column.dtype, np.dtype):
            return combine(kind, self._digest_of_array(np.asarray(column), path))
        if isinstance(plain := getattr(column.dtype, "numpy_dtype", None), np.dtype) and plain.kind in "biuf":
            gaps = np.asarray(column.isna())
            filled = column.to_numpy(dtype=plain, na_value=plain.type(0))
            return combine(kind, self._digest_of_array(gaps, path), self._digest_of_array(filled, path))
        return combine(kind, self._digest_of_objects(np.asarray(column, dtype=object).tolist(), path))


def _said_by_optuna(value: Any, name: str) -> object:
    """Return what a distribution or a trial of Optuna says, times left out; None for anything else."""
    if name.startswith("optuna.distributions."):
        return vars(value)
    if name == "optuna.trial._frozen.FrozenTrial":
        return value.values, value.params, value.user_attrs
    return None


def type_name(kind: type) -> str:
    """Name a type the same way in every process."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _has_hidden_parts(kind: type) -> bool:
    """Whether instances keep something that Python code does not see, as those of C types do."""
    return kind.__basicsize__ > 2 * object.__basicsize__  # that, and room for __dict__ and __weakref__


def _slots(owner: type) -> Iterable[str]:
    slots = vars(owner).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else slots
    return [name for name in names if name not in {"__dict__", "__weakref__"} and not name.startswith("__")]
