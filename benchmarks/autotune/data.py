"""The data sets of the comparison: bundled with scikit-learn, or generated from a seed.

Only numpy, scikit-learn and Pillow are needed: every peer's environment reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
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


def _pictures(rows: int, seed: int, test: int, side: int = 5) -> DataSet:
    """From which of scikit-learn's two photographs is a square of grey values?"""
    names = ("china.jpg", "flower.jpg")
    grey = [datasets.load_sample_image(name).mean(axis=2, dtype=np.float32) for name in names]
    squares = [sliding_window_view(it, (side, side)).reshape(-1, side * side) for it in grey]
    chance = np.random.default_rng(seed)
    y = np.repeat([0, 1], (rows + test) // 2)
    X = np.concatenate([it[chance.choice(len(it), len(y) // 2, replace=False)] for it in squares])
    return _split(X, y, test, seed, "binary")


BUNDLED = {  # loader, share that is held out, task
    "breast_cancer": (datasets.load_breast_cancer, 0.35, "binary"),
    "diabetes": (datasets.load_diabetes, 0.35, "regression"),
    "wine": (datasets.load_wine, 0.5, "multiclass"),
    "digits": (datasets.load_digits, 0.5, "multiclass"),
}
GENERATED = {  # rows, columns, classes, rows held out
    "few_200": (200, 20, 2, 4_000),
    "few_400": (400, 20, 2, 4_000),
    "few_800": (800, 20, 2, 4_000),
    "binary_2k": (2_000, 25, 2, 10_000),
    "classes_3k": (3_000, 20, 4, 10_000),
    "binary_10k": (10_000, 20, 2, 20_000),
    "binary_100k": (100_000, 30, 2, 20_000),
}


def load(name: str, seed: int) -> DataSet:
    """Make one data set; the seed splits bundled rows and generates the others."""
    if name in BUNDLED:
        loader, test, task = BUNDLED[name]
        return _split(*loader(return_X_y=True), test, seed, task)
    if name in GENERATED:
        rows, columns, classes, held_out = GENERATED[name]
        return _classes(rows, columns, classes, seed, held_out)
    if name == "pictures_5k":
        return _pictures(5_000, seed, 10_000)
    if name == "friedman_5k":
        X, y = datasets.make_friedman1(25_000, 15, noise=2.0, random_state=seed)
        return _split(X, y, 20_000, seed, "regression")
    raise SystemExit(f"no data set is called {name}")


NAMES = (
    "breast_cancer",
    "diabetes",
    "binary_2k",
    "classes_3k",
    "friedman_5k",
    "pictures_5k",
    "binary_10k",
    "binary_100k",
)


def loss(task: str, y: Any, predicted: Any) -> float:
    """Log loss of probabilities, or root mean squared error."""
    from sklearn.metrics import log_loss

    if task == "regression":
        return float(np.sqrt(np.mean((np.asarray(y) - predicted) ** 2)))
    return float(log_loss(y, predicted))
