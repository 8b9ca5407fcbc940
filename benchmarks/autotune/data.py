"""The data sets of the comparison: bundled with scikit-learn, or generated from a seed.

Only numpy and scikit-learn are needed: every peer's environment reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split


@dataclass(frozen=True)
class DataSet:
    """Rows to tune on and rows to be judged by, which no tuner sees."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    task: str  # binary, multiclass or regression


def _split(X: Any, y: Any, test: float, seed: int, task: str) -> DataSet:
    stratify = None if task == "regression" else y
    parts = train_test_split(X, y, test_size=test, random_state=seed, stratify=stratify)
    return DataSet(parts[0], parts[2], parts[1], parts[3], task)


def _classes(rows: int, columns: int, classes: int, seed: int, test: int) -> DataSet:
    X, y = datasets.make_classification(
        rows + test,
        columns,
        n_informative=columns // 2,
        n_redundant=columns // 5,
        n_classes=classes,
        flip_y=0.08,
        class_sep=0.8,
        random_state=seed,
    )
    return _split(X, y, test, seed, "binary" if classes == 2 else "multiclass")  # noqa: PLR2004 - two classes


def load(name: str, seed: int) -> DataSet:  # noqa: PLR0911 - one line a data set
    """Make one data set; the seed splits bundled rows and generates the others."""
    if name == "breast_cancer":
        X, y = datasets.load_breast_cancer(return_X_y=True)
        return _split(X, y, 0.35, seed, "binary")
    if name == "diabetes":
        X, y = datasets.load_diabetes(return_X_y=True)
        return _split(X, y, 0.35, seed, "regression")
    if name == "digits":
        X, y = datasets.load_digits(return_X_y=True)
        return _split(X, y, 0.5, seed, "multiclass")
    if name == "friedman_5k":
        X, y = datasets.make_friedman1(25_000, 15, noise=2.0, random_state=seed)
        return _split(X, y, 20_000, seed, "regression")
    if name == "classes_3k":
        return _classes(3_000, 20, 4, seed, 10_000)
    if name == "binary_2k":
        return _classes(2_000, 25, 2, seed, 10_000)
    if name == "binary_10k":
        return _classes(10_000, 20, 2, seed, 20_000)
    if name == "binary_100k":
        return _classes(100_000, 30, 2, seed, 20_000)
    raise SystemExit(f"no data set is called {name}")


NAMES = (
    "breast_cancer",
    "diabetes",
    "binary_2k",
    "classes_3k",
    "friedman_5k",
    "binary_10k",
    "binary_100k",
)


def loss(task: str, y: Any, predicted: Any) -> float:
    """Log loss of probabilities, or root mean squared error."""
    from sklearn.metrics import log_loss

    if task == "regression":
        return float(np.sqrt(np.mean((np.asarray(y) - predicted) ** 2)))
    return float(log_loss(y, predicted))
