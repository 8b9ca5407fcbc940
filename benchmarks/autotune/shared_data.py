"""What it saves to bin the rows once: the same configurations, the same scores, less CPU time.

    python benchmarks/autotune/shared_data.py [--quick]

Each configuration is fitted on the same folds with a fixed number of rounds, once as
``cross_val_score`` would (the library's scikit-learn class, one thread) and once by the
learner of ``autotune``. CPU time is that of the process, all threads; the median of pairs
is printed, and the largest difference of a fold's score.
"""

# ruff: noqa: E501 - rows of tables are long
from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss

from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.folds import make_folds
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.problem import read_problem

XGBOOST = (
    {"learning_rate": 0.1, "max_depth": 2, "n_estimators": 60},
    {"learning_rate": 0.1, "max_depth": 4, "n_estimators": 60},
    {"learning_rate": 0.1, "max_depth": 6, "n_estimators": 60},
)
CATBOOST = (
    {"learning_rate": 0.1, "depth": 3, "iterations": 60},
    {"learning_rate": 0.1, "depth": 5, "iterations": 60},
)


def naive(model: str, params: dict[str, Any], X: Any, y: Any, fold: Any) -> float:
    """Fit and score one fold as a loop over ``cross_val_score`` does."""
    if model == "xgboost":
        from xgboost import XGBClassifier

        made = XGBClassifier(**params, n_jobs=1, random_state=33)
    else:
        from catboost import CatBoostClassifier

        made = CatBoostClassifier(
            **params, thread_count=1, random_seed=33, allow_writing_files=False, logging_level="Silent"
        )
    made.fit(X[fold.train], y[fold.train])
    return float(log_loss(y[fold.score], made.predict_proba(X[fold.score])))


def main() -> None:
    """Print one row a library, size and configuration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 rows and two folds only")
    parser.add_argument("--pairs", type=int, default=1, help="how often each configuration is timed")
    given = parser.parse_args()
    sizes = [(10_000, 20)] if given.quick else [(10_000, 20), (100_000, 30)]
    print(
        "| library | rows x columns | configuration | naive CPU s | shared CPU s | ratio | score differs by |"
    )
    print("|---|---|---|---|---|---|---|")
    for model, grid in (("xgboost", XGBOOST), ("catboost", CATBOOST)):
        for rows, columns in sizes:
            X, y = make_classification(rows, columns, n_informative=columns // 2, flip_y=0.05, random_state=1)
            X = X.astype(np.float32).astype(np.float64)
            problem = read_problem(X, y)
            folds, _ = make_folds(problem, 3 if rows > 10_000 else 5)  # noqa: PLR2004 - the smaller size
            learner = make_learner(find_model(model), problem, folds, find_metric(None, problem), 33)
            began = time.process_time()
            for k in range(len(folds)):  # the matrices, made once
                learner.fit_fold(k, {**grid[0], _rounds(model): 1}, 1, threading.Event())
            once = time.process_time() - began
            for params in grid:
                slow, fast, gap = [], [], 0.0
                for _ in range(given.pairs):
                    began = time.process_time()
                    expected = [naive(model, params, X, problem.y, fold) for fold in folds]
                    slow.append(time.process_time() - began)
                    began = time.process_time()
                    found = [
                        float(
                            log_loss(
                                problem.y[fold.score],
                                learner.fit_fold(k, params, 1, threading.Event()).predict(None),
                            )
                        )
                        for k, fold in enumerate(folds)
                    ]
                    fast.append(time.process_time() - began)
                    gap = max(gap, float(np.abs(np.subtract(expected, found)).max()))
                a, b = float(np.median(slow)), float(np.median(fast))
                shown = ", ".join(f"{name}={value}" for name, value in params.items())
                print(
                    f"| {model} | {rows:,} x {columns} | {shown} | {a:.2f} | {b:.2f} | {a / b:.2f} | {gap:.1e} |",
                    flush=True,
                )
            print(
                f"| {model} | {rows:,} x {columns} | binning, once a study | | {once:.2f} | | |", flush=True
            )


def _rounds(model: str) -> str:
    return "n_estimators" if model == "xgboost" else "iterations"


if __name__ == "__main__":
    main()
