"""Into how many bins numbers are cut: what a fit costs, and how good it is on rows held out.

    python benchmarks/autotune/bins.py [--seeds 11,12,13]

Seeds and rows are not those of ``compare.py``: the bins of the search spaces were chosen by this table.
"""

from __future__ import annotations

import argparse
import time
from statistics import mean
from typing import Any

import catboost
import data
import numpy as np
import xgboost

NAMES = ("breast_cancer", "diabetes", "binary_2k", "classes_3k", "friedman_5k", "binary_10k", "binary_100k")
XGBOOST_BINS, CATBOOST_BINS = (32, 64, 128, 256), (32, 64, 128, 254)
DEPTH, RATE, ROUNDS = 6, 0.1, 150


def fit_xgboost(rows: data.DataSet, bins: int) -> tuple[float, float]:
    """Return the CPU time of a fit, its rows binned before, and the held-out loss."""
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob"}.get(
        rows.task, "reg:squarederror"
    )
    params: dict[str, Any] = {
        "objective": objective, "max_bin": bins, "max_depth": DEPTH, "learning_rate": RATE, "subsample": 0.8,
        "colsample_bytree": 0.6, "min_child_weight": 3, "nthread": 1, "seed": 1,
    }  # fmt: skip
    if rows.task == "multiclass":
        params["num_class"] = len(np.unique(rows.y))
    matrix = xgboost.QuantileDMatrix(rows.X, rows.y, max_bin=bins, nthread=1)
    began = time.process_time()
    booster = xgboost.train(params, matrix, ROUNDS)
    spent = time.process_time() - began
    found = booster.predict(xgboost.DMatrix(rows.X_test, nthread=1))
    if rows.task == "binary":
        found = np.column_stack([1 - found, found])
    return spent, data.loss(rows.task, rows.y_test, found)


def fit_catboost(rows: data.DataSet, bins: int) -> tuple[float, float]:
    """Do the same with CatBoost."""
    kind = catboost.CatBoostRegressor if rows.task == "regression" else catboost.CatBoostClassifier
    model = kind(
        iterations=ROUNDS, learning_rate=RATE, depth=DEPTH, thread_count=1, random_seed=1,
        allow_writing_files=False, logging_level="Silent",
    )  # fmt: skip
    pool = catboost.Pool(rows.X, rows.y)
    pool.quantize(border_count=bins)
    began = time.process_time()
    model.fit(pool)
    spent = time.process_time() - began
    found = model.predict(rows.X_test) if rows.task == "regression" else model.predict_proba(rows.X_test)
    return spent, data.loss(rows.task, rows.y_test, found)


def main() -> None:
    """Print the means over the seeds: CPU seconds and held-out loss."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--data", default=",".join(NAMES))
    given = parser.parse_args()
    print("| library | data | " + " | ".join(f"{bins} bins" for bins in XGBOOST_BINS) + " |\n|" + "---|" * 6)
    for library, fit, choices in (
        ("xgboost", fit_xgboost, XGBOOST_BINS),
        ("catboost", fit_catboost, CATBOOST_BINS),
    ):
        for name in given.data.split(","):
            sets = [data.load(name, int(seed)) for seed in given.seeds.split(",")]
            cells = []
            for bins in choices:
                spent, losses = zip(*(fit(rows, bins) for rows in sets), strict=True)
                cells.append(f"{mean(spent):.2f} s, {mean(losses):.4f}")
            print(f"| {library} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
