"""What the kernel and its workers say to each other about a trial, and how it is pickled."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial

    from optuna_nb.tuning.executors.pruning import Reported
    from optuna_nb.tuning.score import Score


class Given(NamedTuple):
    """A parameter that was drawn in advance."""

    name: str
    distribution: BaseDistribution
    value: Any


class StudyInfo(NamedTuple):
    """What every trial of a run may know of its study without asking."""

    name: str
    directions: tuple[StudyDirection, ...]
    prunes: bool  # whether the pruner ever says yes
    pruner: BasePruner | None  # that a worker may ask by itself


class Assignment(NamedTuple):
    """One trial, as a worker gets it."""

    study: StudyInfo
    trial: FrozenTrial  # as it is when it starts, without parameters
    given: tuple[Given, ...]  # in the order in which they are expected to be asked for
    reported: Reported | None = None  # by complete trials, for the pruner


class Result(NamedTuple):
    """How an evaluation ended."""

    score: Score | None
    error: BaseException | None
    log: str
    used: int  # of the given parameters


def dumps(message: object) -> bytes:
    """Pickle a message; an error that cannot be pickled becomes one that says the same."""
    import cloudpickle

    if isinstance(message, tuple) and isinstance(message[2], Result) and message[2].error is not None:
        message = (*message[:2], message[2]._replace(error=_Carried.of(message[2].error)))
    try:
        return pickle.dumps(message)  # five times as fast, and enough but for what a cell defines
    except Exception:  # noqa: BLE001 - pickle raises what it likes
        return bytes(cloudpickle.dumps(message))


def loads(blob: bytes) -> tuple[str, int, Any]:
    """Read a message: its kind, its number, and what it says."""
    kind, number, said = pickle.loads(blob)  # noqa: S301 - from a worker, which runs whatever we send it
    if isinstance(said, Result) and isinstance(said.error, _Carried):
        said = said._replace(error=said.error.open())
    return kind, number, said


class _Carried(Exception):  # noqa: N818 - it is no error, it carries one
    """An exception on its way to the kernel, with the lines that it passed."""

    def __init__(self, blob: bytes, text: str, name: str) -> None:
        super().__init__(blob, text, name)

    @classmethod
    def of(cls, error: BaseException) -> _Carried:
        import cloudpickle
        from tblib import pickling_support

        text = "".join(traceback.format_exception_only(error)).strip()
        try:
            pickling_support.install(error)
            blob = cloudpickle.dumps((error, error.__traceback__))
            pickle.loads(blob)  # noqa: S301 - our own, to see whether it can be read
        except Exception:  # noqa: BLE001 - what cannot travel is told in words
            blob = b""
        return cls(blob, text, type(error).__name__)

    def open(self) -> BaseException:
        blob, text, name = self.args
        try:
            error, lines = pickle.loads(blob)  # noqa: S301 - from a worker, which runs whatever we send it
        except Exception:  # noqa: BLE001 - a module of the worker's that is missing here
            if name == optuna.TrialPruned.__name__:
                return optuna.TrialPruned(text)
            return RuntimeError(text)
        whole: BaseException = error.with_traceback(lines)
        return whole
