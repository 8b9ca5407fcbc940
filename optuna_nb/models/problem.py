"""What is to be learned: the rows, the target, and the kind of problem that the target makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.rows import TIMES, read_groups, read_rows, read_weights, take_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

TASKS = ("classification", "regression")
_MANY_CLASSES = 20  # whole numbers with more distinct values than this are quantities
_RARE = 2  # rows that a class must have at least
_SKEWED = 2.0  # largest class over smallest, from which on classes count as unbalanced


class Task(StrEnum):
    """The kind of problem."""

    BINARY = "binary classification"
    MULTICLASS = "multiclass classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows and target of one study. Treat all arrays as read-only: threads share them.

    Attributes:
        task: The kind of problem.
        X: Features, ``(n_rows, n_columns)``: a float array, or a DataFrame whose strings
            and categories are of dtype ``category``.
        y: Target, ``(n_rows,)``: class numbers from 0, or floats.
        classes: The labels behind the class numbers; None for regression.
        categorical: Names of the columns that hold categories.
        weights: One weight a row, or None.
        groups: One group a row, or None; rows of a group stay together.
    """

    task: Task
    X: Any
    y: NDArray[Any]
    classes: NDArray[Any] | None = None
    categorical: tuple[str, ...] = ()
    weights: NDArray[np.float64] | None = None
    groups: NDArray[Any] | None = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.y)

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return self.task is not Task.REGRESSION

    @property
    def is_skewed(self) -> bool:
        """Whether the largest class has at least twice the rows of the smallest."""
        if self.classes is None:
            return False
        counts = np.bincount(self.y)
        return bool(counts.max() >= _SKEWED * counts.min())

    @property
    def labels(self) -> NDArray[Any]:
        """The target as the user gave it, ``(n_rows,)``."""
        return self.y if self.classes is None else self.classes[self.y]

    def by_number(self, given: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return what is given by class labels by class numbers instead."""
        numbers = {} if self.classes is None else {label: k for k, label in enumerate(self.classes.tolist())}
        return {numbers.get(label, label): value for label, value in given.items()}

    def take(self, rows: NDArray[np.intp]) -> Problem:
        """Return the problem of some rows."""
        return replace(
            self,
            X=take_rows(self.X, rows),
            y=self.y[rows],
            weights=None if self.weights is None else self.weights[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def describe(self) -> str:
        """Say in one line what was found."""
        parts = [f"{self.task}: {self.n_rows:,} rows x {self.X.shape[1]} columns"]
        if self.classes is not None:
            counts = np.bincount(self.y)
            shown = [f"{label}: {count:,}" for label, count in zip(self.classes, counts, strict=True)]
            parts.append(f"classes {', '.join(shown[:5])}{', ...' if len(shown) > 5 else ''}")  # noqa: PLR2004
        if self.categorical:
            parts.append(f"{len(self.categorical)} categorical")
        missing = float(np.mean(pd.isna(self.X).to_numpy() if hasattr(self.X, "iloc") else np.isnan(self.X)))
        if missing:
            parts.append(f"{100 * missing:.2g} % missing")
        return "; ".join(parts)


def read_problem(
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    task: str | None = None,
) -> Problem:
    """Find out what kind of problem a target makes, and bring the rows into one form.

    Args:
        X: Array, DataFrame or list of rows, ``(n_rows, n_columns)``; it is not changed.
        y: One target a row: labels of any type, or numbers. Whole numbers with up to 20
            distinct values are classes.
        sample_weight: One weight a row.
        groups: One group a row.
        task: ``"classification"`` or ``"regression"`` where the user, the model or the metric knows better.

    Raises:
        InvalidOptionError: If rows and targets do not fit, or hold what no model can use.
    """
    rows, categorical = read_rows(X)
    target = _read_target(y, rows.shape[0])
    if task not in (None, *TASKS):
        raise InvalidOptionError(f"problem is {' or '.join(TASKS)}, not {task!r}", code="NB602")
    kind = task or ("classification" if _is_class(target) else "regression")
    extra: dict[str, Any] = {
        "categorical": categorical,
        "weights": read_weights(sample_weight, len(target)),
        "groups": read_groups(groups, len(target)),
    }
    if kind == "regression":
        return Problem(Task.REGRESSION, rows, _numbers(target), **extra)
    try:
        classes, codes = np.unique(target.to_numpy(), return_inverse=True)
    except TypeError:
        raise InvalidOptionError(
            "y mixes text and numbers: give it one type, y = y.astype(str)", code="NB603"
        ) from None
    if len(classes) < 2:  # noqa: PLR2004 - two classes
        raise InvalidOptionError(
            f"y holds one class only, {classes.tolist()[0]!r}: there is nothing to learn", code="NB603"
        )
    counts = np.bincount(codes)
    is_continuous = len(classes) > _MANY_CLASSES or counts.min() < _RARE
    if is_continuous and (example := _quantity(classes)) is not None:
        raise InvalidOptionError(
            f"y is continuous, as {example:.4g}, and holds no classes: take a regressor and a --metric of"
            " numbers, as rmse, and leave --problem out",
            code="NB603",
        )
    if (
        is_continuous
        and classes.dtype.kind in "OU"
        and not np.isnan(pd.to_numeric(classes, errors="coerce")).any()
    ):
        raise InvalidOptionError("y holds numbers as text: y = y.astype(float)", code="NB603")
    if counts.min() < _RARE:
        rare = classes.tolist()[counts.argmin()]
        raise InvalidOptionError(
            f"class {rare!r} has one row: merge or drop it, folds need two at least", code="NB603"
        )
    two = len(classes) == 2  # noqa: PLR2004 - two classes
    return Problem(Task.BINARY if two else Task.MULTICLASS, rows, codes.astype(np.int64), classes, **extra)


def _numbers(target: pd.Series) -> NDArray[np.float64]:
    """Return the target of a regression, and refuse what cannot be one."""
    try:
        numbers: NDArray[np.float64] = target.to_numpy(dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidOptionError(
            "y holds text, which is classes: take a classifier and a --metric of classes, as accuracy,"
            " and leave --problem out",
            code="NB603",
        ) from None
    if not np.isfinite(numbers).all():
        raise InvalidOptionError("y holds infinite values: drop or cap these rows", code="NB603")
    if np.ptp(numbers) == 0:
        raise InvalidOptionError(
            f"y is {numbers[0]:.4g} in all rows: there is nothing to learn", code="NB603"
        )
    return numbers


def _quantity(classes: NDArray[Any]) -> float | None:
    """Return a value that no class has: a fraction, or one of many numbers."""
    if classes.dtype.kind not in "fiu":
        return None
    fractions = classes[classes % 1 != 0]
    if fractions.size:
        return float(fractions[0])
    return float(classes[0]) if len(classes) > _MANY_CLASSES else None


def _read_target(y: Any, n_rows: int) -> pd.Series:
    values = np.asarray(y, dtype=object) if isinstance(y, list) else y
    shape = np.shape(values)
    if len(shape) > 1 and max(shape) < math.prod(shape):
        raise InvalidOptionError(
            f"y has {shape[1]:,} columns: give one of them, as y[:, 0] or y['name']", code="NB603"
        )
    target = pd.Series(np.ravel(values))
    if len(target) != n_rows:
        raise InvalidOptionError(
            f"X has {n_rows:,} rows and y has {len(target):,}: give one y a row", code="NB603"
        )
    if target.isna().any():
        raise InvalidOptionError(
            f"y is missing in {int(target.isna().sum()):,} rows: drop them, X = X[y.notna()]; y = y.dropna()",
            code="NB603",
        )
    target = target.infer_objects()
    holds = pd.api.types.infer_dtype(target)
    if holds in TIMES or isinstance(target.dtype, pd.PeriodDtype):
        raise InvalidOptionError(
            "y holds times: turn it into numbers, as (y - y.min()).dt.days", code="NB603"
        )
    if holds == "decimal":
        raise InvalidOptionError("y holds numbers as objects: y = y.astype(float)", code="NB603")
    if pd.api.types.is_complex_dtype(target):
        raise InvalidOptionError("y holds complex numbers: give y.real", code="NB603")
    return target


def _is_class(target: pd.Series) -> bool:
    if isinstance(target.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(target):
        return True
    if pd.api.types.is_bool_dtype(target):
        return True
    values = target.to_numpy(dtype=np.float64)
    distinct = len(np.unique(values))
    return bool(
        distinct <= min(_MANY_CLASSES, max(2, len(values) // 5)) and np.all(values == np.floor(values))
    )
