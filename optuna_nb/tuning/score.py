"""From what an objective returned to a score.

With one direction a score is a number, or the scores of all folds (an array, a list,
a Series), of which the mean is the value. With several it is a tuple, one number or
one set of folds per direction. Infinity is a score, as Optuna takes it for "worst" or
"best"; NaN is none, as no order can place it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from optuna_nb.errors import ObjectiveError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERS = (int, float, np.integer, np.floating, Decimal, Fraction)
_BOOLS = (bool, np.bool_)


@dataclass(frozen=True, slots=True)
class Score:
    """The value of one trial, in plain floats.

    Attributes:
        values: one per direction.
        fold_scores: every fold's, direction after direction; empty without folds.
        std: of the folds, over the whole population (``ddof=0``, as numpy's default);
            None without folds, where one is infinite, and with several directions.
    """

    values: tuple[float, ...]
    fold_scores: tuple[float, ...] = ()
    std: float | None = None


def read_score(value: object, directions: Sequence[str]) -> Score:
    """Read the value of one trial.

    Args:
        value: what the last expression of the cell gave; not changed.
        directions: one per objective; only their number counts.

    Raises:
        ObjectiveError: it is no score; one line says what to return instead.
    """
    count = len(directions)
    if value is None:
        raise ObjectiveError(
            "the last expression is None, as print(score) gives none: end the cell with the score itself",
            code="NB302",
        )
    if count == 1:
        if isinstance(value, tuple):
            if len(value) != 1:
                raise ObjectiveError(
                    f"the score is a tuple of {len(value)} and the study has one direction: "
                    f"return one number, a list or an array of fold scores, or give one --direction for each",
                    code="NB303",
                )
            (value,) = value
        mean, folds = _read_one(value, "the score")
        return Score((mean,), folds, _std(folds, mean) if folds else None)
    parts = _as_parts(value)
    if parts is None or len(parts) != count:
        got = f"a tuple of {len(parts)}" if parts is not None else _describe(value)
        raise ObjectiveError(
            f"the score is {got} and the study has {count} directions: return a tuple of {count}",
            code="NB303",
        )
    read = [_read_one(part, f"value {index} of the score") for index, part in enumerate(parts, 1)]
    return Score(tuple(mean for mean, _ in read), tuple(fold for _, folds in read for fold in folds))


def _read_one(value: Any, what: str) -> tuple[float, tuple[float, ...]]:
    """Read a number or fold scores; return their mean, and the folds."""
    items = _as_folds(value, what)
    if items is None:
        return _read_number(value, what), ()
    if not items:
        raise ObjectiveError(f"{what} is empty: return a number, or at least one fold score", code="NB304")
    folds = tuple(_read_number(item, f"fold {index} of {what}") for index, item in enumerate(items, 1))
    with np.errstate(invalid="ignore"):  # inf and -inf among the folds have no mean
        mean = float(np.mean(folds))
    if math.isnan(mean):
        raise ObjectiveError(
            f"{what} has no mean, as its folds hold both inf and -inf: return finite scores", code="NB305"
        )
    return mean, folds


def _as_folds(value: Any, what: str) -> list[Any] | None:
    """List the items of fold scores; None where the value is none."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str | bytes | np.generic | dict) or not hasattr(type(value), "__array__"):
        return None
    if hasattr(value, "detach"):  # a tensor with gradients has no array
        value = value.detach()
    array = np.asarray(value)
    if array.ndim > 1:
        raise ObjectiveError(
            f"{what} has {array.ndim} dimensions, {array.shape}: return a number or one row of fold scores",
            code="NB304",
        )
    if isinstance(value, np.ma.MaskedArray) and value.ndim:
        return list(value.compressed())
    return list(array) if array.ndim else [] if array.size == 0 else None


def _as_parts(value: Any) -> list[Any] | None:
    """List what stands for one direction each."""
    if isinstance(value, tuple | list):
        return list(value)
    if hasattr(type(value), "__array__") and not isinstance(value, np.generic) and np.ndim(value) == 1:
        return list(np.asarray(value))
    return None


def _read_number(value: Any, what: str) -> float:
    if isinstance(value, np.ma.MaskedArray) and value.ndim == 0 and np.ma.getmaskarray(value):
        value = math.nan  # as the mean of rows that are all masked
    if hasattr(type(value), "__array__") and not isinstance(value, np.generic) and np.ndim(value) == 0:
        value = (value.detach() if hasattr(value, "detach") else np.asarray(value)).item()
    if isinstance(value, _BOOLS):
        raise ObjectiveError(
            f"{what} is {value}, which is no number: return the number that it was compared with",
            code="NB304",
        )
    if not isinstance(value, _NUMBERS):
        raise ObjectiveError(f"{what} is {_describe(value)}: return a number", code="NB304")
    try:
        number = float(value)
    except OverflowError:
        raise ObjectiveError(f"{what} is too large for a float: return its logarithm", code="NB304") from None
    if math.isnan(number):
        raise ObjectiveError(
            f"{what} is NaN: return a number, or raise optuna.TrialPruned() where there is no score",
            code="NB305",
        )
    return number


def _std(folds: tuple[float, ...], mean: float) -> float | None:
    return float(np.std(folds)) if math.isfinite(mean) else None


def _describe(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    short = f" {value!r}" if isinstance(value, str | complex) and len(repr(value)) < 40 else ""  # noqa: PLR2004
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}{short}"
