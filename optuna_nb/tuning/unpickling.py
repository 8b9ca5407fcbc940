"""Read the CMA-ES state that a study file holds, without running any of the file.

Optuna's ``CmaEsSampler`` keeps its optimizer as a pickle in trial attributes, and
unpickling is running a program: in plain Optuna a study file that somebody sends
you can do anything. Here the pickle meets only stand-ins, which keep what they are
given and do nothing. What they kept is then checked, piece by piece, and only
then do numpy and cmaes build the real optimizer from plain numbers.

A hostile or damaged state raises ``StorageError``; no part of it is used.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import pickletools
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from optuna_nb.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.samplers import CmaEsSampler
    from optuna.trial import FrozenTrial

_PLAIN = (bool, int, float, str, type(None))
_ATTRIBUTES = 100  # an optimizer has about 40
_DTYPE = re.compile(r"[iuf][1248]|b1")
_SHORT = 100  # characters of a message that may come from the file
_ENDS = {"<": "<", ">": ">", "=": "=", "|": "="}


class _Refused(Exception):  # noqa: N818 - it never leaves this file
    """The pickle holds something that an optimizer does not."""


def guard(sampler: CmaEsSampler) -> None:
    """Make a CMA-ES sampler read its stored state through ``load_optimizer``.

    Args:
        sampler: changed in place; its class is left alone.
    """
    hook = functools.partial(_restore_optimizer, sampler)
    sampler._restore_optimizer = hook  # type: ignore[method-assign]  # noqa: SLF001 - Optuna has no public hook


def load_optimizer(data: bytes) -> Any:
    """Build a ``cmaes`` optimizer from its pickle, of which nothing is run.

    Args:
        data: a pickle of ``cmaes.CMA``, ``cmaes.SepCMA`` or ``cmaes.CMAwM``.

    Returns:
        The optimizer, with a random state that is yet to be seeded.

    Raises:
        StorageError: the pickle is damaged, or holds anything but plain numbers.
    """
    try:
        _scan(data)
        return _optimizer(_Unpickler(io.BytesIO(data)).load())
    except Exception as error:  # a hostile pickle can raise anything, and none of it may pass for a state
        raise StorageError(
            f"a stored CMA-ES state is damaged or hostile: {_short(error)}", code="NB510"
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHORT]


def _restore_optimizer(sampler: CmaEsSampler, completed_trials: Sequence[FrozenTrial]) -> Any:
    """Do what ``CmaEsSampler._restore_optimizer`` does, by way of the stand-ins."""
    key = sampler._attr_key_optimizer  # noqa: SLF001 - the attribute's name depends on the sampler's options
    for trial in reversed(completed_trials):
        pieces = {name: value for name, value in trial.system_attrs.items() if name.startswith(key)}
        if not pieces:
            continue
        try:
            text = "".join(pieces[f"{key}:{index}"] for index in range(len(pieces)))
            return load_optimizer(bytes.fromhex(text))
        except (KeyError, TypeError, ValueError, StorageError) as error:
            raise StorageError(
                f"trial {trial.number}: {_short(error)}; tune under a new name, or with another sampler",
                code="NB510",
            ) from error
    return None


@functools.lru_cache(maxsize=4)  # a state is read once for every trial of a generation
def _scan(data: bytes) -> None:
    """Refuse what would exhaust memory before a stand-in is ever asked."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in {"PUT", "BINPUT", "LONG_BINPUT"} and not 0 <= int(argument or 0) <= len(data):
            raise _Refused(f"it numbers an object {argument}")
        if opcode.name in {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}:
            raise _Refused(f"it uses {opcode.name}")


class _DType:
    """Stands for ``numpy.dtype``: a plain number type or nothing."""

    def __init__(self, name: object, _align: object = None, _copy: object = None) -> None:
        if not (isinstance(name, str) and _DTYPE.fullmatch(name)):
            raise _Refused(f"it has an array of type {name!r:.40}")
        self.name = name
        self.end = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, end, *details = state
        if version != 3 or end not in _ENDS or details != [None, None, None, -1, -1, 0]:  # noqa: PLR2004 - numpy's
            raise _Refused("it has an array type with parts")
        self.end = _ENDS[end]

    def build(self) -> np.dtype[Any]:
        return np.dtype(self.end + self.name)


class _Array:
    """Stands for an array, made empty and filled later, as pickle protocols 3 and 4 do."""

    def __init__(self, *_blank: object) -> None:
        self.parts: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        self.parts = (raw, dtype, shape, "F" if fortran else "C")

    def build(self) -> np.ndarray[Any, Any]:
        raw, dtype, shape, order = self.parts
        if not (isinstance(raw, bytes | bytearray) and isinstance(dtype, _DType) and order in {"C", "F"}):
            raise _Refused("it has an array that is not made of numbers")
        if not (isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)):
            raise _Refused("it has an array without a shape")
        kind = dtype.build()
        if math.prod(shape) * kind.itemsize != len(raw):
            raise _Refused("it has an array of the wrong size")
        return np.frombuffer(raw, dtype=kind).reshape(shape, order=order).copy(order)


class _Buffer(_Array):
    """Stands for an array made at once from its bytes, as pickle protocol 5 does."""

    def __init__(
        self, raw: object, dtype: object, shape: object, order: object, _axes: object = None
    ) -> None:
        super().__init__()
        self.parts = (raw, dtype, shape, order)

    def __setstate__(self, _state: object) -> None:
        raise _Refused("it changes an array")


class _Scalar:
    """Stands for a numpy number."""

    def __init__(self, dtype: object, raw: object) -> None:
        self.array = _Buffer(raw, dtype, (1,), "C")

    def __setstate__(self, _state: object) -> None:
        raise _Refused("it changes a number")

    def build(self) -> Any:
        return self.array.build()[0]


class _Blank:
    """Stands for ``numpy.ndarray``, which is named but never called."""

    def __new__(cls) -> _Blank:  # noqa: PYI034 - there is nothing to return
        raise _Refused("it makes an array by hand")

    def __setstate__(self, _state: object) -> None:
        raise _Refused("it changes an array type")


class _Optimizer:
    """Stands for one of the optimizers of ``cmaes``."""

    name = ""
    state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _CMA(_Optimizer):
    name = "CMA"


class _SepCMA(_Optimizer):
    name = "SepCMA"


class _CMAwM(_Optimizer):
    name = "CMAwM"


_STAND_INS: dict[tuple[str, str], type] = {
    ("cmaes._cma", "CMA"): _CMA,
    ("cmaes._sepcma", "SepCMA"): _SepCMA,
    ("cmaes._cmawm", "CMAwM"): _CMAwM,
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Blank,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")  # before and since numpy 2
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> type:
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise _Refused(f"it names {module}.{name}"[:_SHORT])
        return stand_in


def _optimizer(stand_in: object, *, inner: bool = False) -> Any:
    """Build the optimizer from what its stand-in kept: numbers, arrays and at most one optimizer more."""
    import cmaes

    if not isinstance(stand_in, _Optimizer):
        raise _Refused("it is no optimizer")
    attributes = stand_in.state
    if not (isinstance(attributes, dict) and len(attributes) <= _ATTRIBUTES):
        raise _Refused(f"it has a {stand_in.name} without a state")
    state: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, _Optimizer) and not inner:
            state[name] = _optimizer(value, inner=True)
        elif isinstance(value, _Array | _Scalar):
            state[name] = value.build()
        elif type(name) is str and type(value) in _PLAIN:
            state[name] = value
        else:
            raise _Refused(f"it holds a {type(value).__name__}")
    kind = getattr(cmaes, stand_in.name)
    optimizer = kind.__new__(kind)
    if hasattr(kind, "__setstate__"):
        optimizer.__setstate__(state)
    else:
        vars(optimizer).update(state)
    return optimizer
