"""Strings and categories, brought into the form that a library takes, by what the training rows held."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin

MISSING = "(missing)"
_MOST = 254  # categories that histogram gradient boosting takes, one bin being for missing values


class Categories(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Give text columns the categories of the training rows; a new category counts as missing.

    Args:
        form: ``"category"`` gives pandas categories; ``"text"``, for CatBoost, gives
            missing values a word of their own. CatBoost reads a column of dtype ``category``
            by its codes, one of strings cell by cell while it holds the GIL.
    """

    def __init__(self, form: Literal["category", "text"] = "category") -> None:
        self.form = form

    def fit(self, X: Any, y: Any = None) -> Categories:  # noqa: ARG002 - scikit-learn's signature
        """Learn the categories of each text column, the most frequent 254 of it."""
        frame = pd.DataFrame(X)
        self.n_features_in_ = frame.shape[1]
        self.categories_ = {
            name: sorted(frame[name].dropna().astype(str).value_counts().index[:_MOST]) or [MISSING]
            for name in frame.columns
            if _is_text(frame[name])
        }
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """Return a copy of the rows with these categories."""
        frame = pd.DataFrame(X).copy()
        frame.columns = [str(name) for name in frame.columns]
        for name, known in self.categories_.items():
            text = frame[str(name)].astype(object)
            text = text.where(text.isna(), text.astype(str))
            if self.form == "text":
                words = [*(it for it in known if it != MISSING), MISSING]
                frame[str(name)] = pd.Categorical(text.where(text.isin(known), MISSING), categories=words)
            else:
                frame[str(name)] = pd.Categorical(text.where(text.isin(known), None), categories=known)
        return frame


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


class Labelled(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of class numbers that speaks in the user's labels.

    Args:
        estimator: Fitted on class numbers from 0.
        labels: The label of each class number.
    """

    def __init__(self, estimator: Any, labels: Any) -> None:
        self.estimator = estimator
        self.labels = labels
        self.classes_ = labels

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Labelled:
        """Fit the estimator anew on labels."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        self.estimator.fit(X, [numbers[label] for label in y])
        return self

    @property
    def feature_importances_(self) -> Any:
        """What the estimator says of its columns, ``(n_columns,)``."""
        return self.estimator.feature_importances_

    def predict(self, X: Any) -> Any:
        """Return one label a row."""
        return self.labels[self.estimator.predict(X)]

    def predict_proba(self, X: Any) -> Any:
        """Return one probability a row and label, in the order of ``classes_``."""
        return self.estimator.predict_proba(X)
