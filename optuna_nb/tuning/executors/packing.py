"""An objective on its way to workers: pickled once, its data beside it and not in it.

Large arrays travel as buffers of their own (pickle protocol 5), so a worker holds one
copy of the data, in which the arrays of the objective lie. A ``Parcel`` is opened once
on each worker and serves all of its trials.
"""

from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from optuna_nb.errors import InvalidOptionError, OptunaNBError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna.trial import Trial

_opening = threading.Lock()


class Parcel:
    """A pickled objective. ``open`` may be called from any thread."""

    def __init__(self, head: bytes, buffers: list[Any]) -> None:
        self._head = head
        self._buffers = buffers
        self._opened: Callable[[Trial], Any] | None = None

    @property
    def nbytes(self) -> int:
        """The size of what travels, in bytes."""
        return len(self._head) + sum(int(buffer.nbytes) for buffer in self._buffers)

    def __sizeof__(self) -> int:
        return self.nbytes

    def __getstate__(self) -> dict[str, Any]:
        return {"_head": self._head, "_buffers": self._buffers, "_opened": None}

    def open(self) -> Callable[[Trial], Any]:
        """Return the objective, the same one each time."""
        with _opening:
            if self._opened is None:
                self._opened = pickle.loads(self._head, buffers=self._buffers)  # noqa: S301 - the user's own
            return self._opened


def pack(evaluate: Callable[[Trial], Any]) -> Parcel:
    """Pickle an objective with its data, as they are now.

    Raises:
        InvalidOptionError: If something of it cannot be pickled; it names the variable.
    """
    import cloudpickle

    buffers: list[Any] = []

    def aside(buffer: pickle.PickleBuffer) -> None:
        raw = buffer.raw()
        # The user may change the array while trials run; this also keeps arrays writable on the workers.
        buffers.append(np.frombuffer(raw, dtype=np.uint8).copy())

    try:
        head = cloudpickle.dumps(evaluate, protocol=5, buffer_callback=aside)
    except OptunaNBError:
        raise
    except Exception as error:
        raise InvalidOptionError(_explain(evaluate, error), code="NB804") from error
    return Parcel(head, buffers)


def _explain(evaluate: Callable[[Trial], Any], error: Exception) -> str:
    import cloudpickle

    for name, value in _names(evaluate).items():
        try:
            cloudpickle.dumps(value)
        except Exception as reason:  # noqa: BLE001 - pickle raises what it likes
            what = type(value).__name__
            return (
                f"the variable {name} ({what}) cannot be sent to a worker: {_first(reason)};"
                " make it inside the objective, or use --executor thread"
            )
    return f"the objective cannot be sent to a worker: {_first(error)}; use --executor thread"


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n", 1)[0]


def _names(evaluate: Any) -> Mapping[str, Any]:
    """Return what an objective is made of, by the names that its author knows."""
    if hasattr(evaluate, "names_for_workers"):
        return dict(evaluate.names_for_workers())
    code = getattr(evaluate, "__code__", None)
    if code is None:
        return dict(vars(evaluate)) if hasattr(evaluate, "__dict__") else {}
    found = {name: evaluate.__globals__[name] for name in code.co_names if name in evaluate.__globals__}
    for name, cell in zip(code.co_freevars, evaluate.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return found
