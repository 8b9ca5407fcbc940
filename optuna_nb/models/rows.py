"""The rows as the user gave them, in one form; what no model could use is refused here, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api import types

from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES = ("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period")
_NUMBERS = ("integer", "floating", "decimal", "mixed-integer-float", "complex")


def read_rows(X: Any) -> tuple[Any, tuple[str, ...]]:
    """Bring rows into one form.

    Args:
        X: Array, DataFrame, Series or list of rows, ``(n_rows, n_columns)``; it is not changed.

    Returns:
        A float array, or a DataFrame with the user's index and text for names; and the
        names of the columns that hold categories. Rows are counted by position everywhere:
        the index is for the user's scorers, splitters and steps, and may hold duplicates.

    Raises:
        InvalidOptionError: If a column holds what no model can use.
    """
    frame = _frame(X) if hasattr(X, "iloc") else None
    rows = _array(X) if frame is None else frame
    if 0 in rows.shape:
        raise InvalidOptionError(
            f"X has {rows.shape[0]:,} rows and {rows.shape[1]:,} columns: there is nothing to learn",
            code="NB603",
        )
    if frame is None:
        if np.isinf(rows).any():
            raise InvalidOptionError(
                "X holds infinite values: replace them, X[np.isinf(X)] = np.nan", code="NB603"
            )
        return rows, ()
    return frame, tuple(name for name in frame.columns if _is_category(name, frame[name]))


def _array(X: Any) -> NDArray[np.float64]:
    if hasattr(X, "toarray"):
        raise InvalidOptionError(
            "X is a sparse matrix: give X.toarray(), or a %%tune cell of your own", code="NB603"
        )
    if isinstance(X, np.ma.MaskedArray):
        raise InvalidOptionError("X is a masked array: give X.filled(np.nan)", code="NB603")
    if hasattr(X, "to_pandas"):  # of polars, whose names would be lost
        raise InvalidOptionError(
            f"X is a {type(X).__module__.split('.')[0]} frame: give X.to_pandas()", code="NB603"
        )
    try:
        array = np.asarray(X)
        if array.ndim != 2:  # noqa: PLR2004 - rows and columns
            raise InvalidOptionError(
                f"X has {array.ndim} dimensions: give rows x columns, as X.reshape(-1, 1)", code="NB603"
            )
        if array.dtype.kind in "fiubO":
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        pass
    raise InvalidOptionError(
        "X holds more than numbers, and an array gives all columns one type: give a DataFrame,"
        " pd.DataFrame(X).infer_objects()",
        code="NB603",
    )


def _frame(X: Any) -> pd.DataFrame:
    frame = (X.to_frame() if getattr(X, "ndim", 2) == 1 else X).copy(deep=False)  # other names, same values
    frame.columns = [str(name) for name in frame.columns]
    if len(set(frame.columns)) < frame.shape[1]:
        raise InvalidOptionError("X has two columns of one name: rename one of them", code="NB603")
    return frame


def _is_category(name: str, column: pd.Series) -> bool:
    """Tell whether a column holds categories rather than numbers, and refuse what is neither."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    kind = types.infer_dtype(column, skipna=True)
    if kind in TIMES or isinstance(column.dtype, pd.PeriodDtype) or types.is_datetime64_any_dtype(column):
        raise InvalidOptionError(
            f"column {name!r} holds times: turn it into numbers, as .dt.year, or drop it", code="NB603"
        )
    if types.is_bool_dtype(column):
        return False
    if types.is_numeric_dtype(column):
        if types.is_complex_dtype(column):
            raise InvalidOptionError(f"column {name!r} holds complex numbers: give .real", code="NB603")
        if types.is_float_dtype(column) and np.isinf(column.to_numpy(np.float64, na_value=np.nan)).any():
            raise InvalidOptionError(
                f"column {name!r} holds infinite values: X = X.replace([np.inf, -np.inf], np.nan)",
                code="NB603",
            )
        return False
    if column.dtype == object and kind in _NUMBERS:
        raise InvalidOptionError(
            f"column {name!r} holds numbers as objects: X = X.infer_objects(), or"
            f" X[{name!r}] = X[{name!r}].astype(float)",
            code="NB603",
        )
    if kind == "mixed" and any(isinstance(it, (list, dict, set, np.ndarray)) for it in column):
        raise InvalidOptionError(
            f"column {name!r} holds lists or dicts: make columns of what is in them, or drop it", code="NB603"
        )
    return True


def one_a_row(values: Any, what: str, n_rows: int) -> NDArray[Any] | None:
    """Return one value a row, or None where there are none.

    Raises:
        InvalidOptionError: If there are more or less.
    """
    if values is None:
        return None
    array = np.ravel(np.asarray(values))
    if len(array) != n_rows:
        raise InvalidOptionError(
            f"{what} has {len(array):,} values for {n_rows:,} rows: give one a row", code="NB603"
        )
    return array


def read_groups(values: Any, n_rows: int) -> NDArray[Any] | None:
    """Return one group a row, or None where there are none.

    Raises:
        InvalidOptionError: If one is missing, or they cannot be sorted.
    """
    array = one_a_row(values, "groups", n_rows)
    if array is None:
        return None
    if missing := int(pd.isna(array).sum()):
        raise InvalidOptionError(
            f"groups is missing in {missing:,} rows: give each row a group, or drop these rows", code="NB603"
        )
    try:
        np.unique(array)
    except TypeError:
        raise InvalidOptionError(
            "groups mixes types: give it one, groups = pd.Series(groups).astype(str)", code="NB603"
        ) from None
    return array


def read_weights(values: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return one weight a row, 1 in the mean, or None where there are none.

    What a leaf must weigh, and every penalty, is measured by the sum of the weights: with
    weights that sum up to 1 XGBoost would split nothing, without a word.

    Raises:
        InvalidOptionError: If one is negative or no number, or all are 0.
    """
    array = one_a_row(values, "sample_weight", n_rows)
    if array is None:
        return None
    try:
        weights = array.astype(np.float64)
    except (TypeError, ValueError):
        weights = np.array([np.nan])
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InvalidOptionError(
            "sample_weight takes numbers from 0 on, not all of them 0: drop rows that have no weight",
            code="NB603",
        )
    weights /= weights.max()  # so that their sum is in range
    return weights / float(weights.mean())


def take_rows(X: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of an array or a DataFrame."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
