"""How many boosting rounds folds choose together where some stop early, and what the winner is worth.

    python benchmarks/autotune/rounds.py [--seeds 11,12,13]

One rule lets the loss of a fold that has stopped stay as it is, so that the fold that needs
most rounds chooses for all; the other one, which ``autotune`` follows, lets it go on as it went
since its minimum. Same fits of the folds, each rule's rounds, one model on all rows each.
"""

from __future__ import annotations

import argparse
import math
import threading
from statistics import median
from typing import TYPE_CHECKING

import data
import numpy as np

from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.evaluation import common_rounds
from optuna_nb.models.folds import make_folds
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.problem import read_problem

if TYPE_CHECKING:
    from optuna_nb.models.learner import FoldFit

NAMES = ("breast_cancer", "diabetes", "binary_2k", "classes_3k", "friedman_5k")
SETTINGS = {
    "xgboost": [
        {"learning_rate": rate, "max_depth": depth, "subsample": 0.8, "colsample_bytree": 0.6}
        for rate, depth in ((0.2, 5), (0.1, 2), (0.05, 6), (0.03, 4))
    ],
    "catboost": [{"learning_rate": rate, "depth": depth} for rate, depth in ((0.2, 5), (0.1, 3))],
}


def kept(fits: list[FoldFit]) -> int:
    """Choose the rounds by the other rule."""
    curves = [fit.curve for fit in fits if fit.curve is not None]
    longest = max(map(len, curves))
    padded = [np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in curves]
    return int(np.mean(padded, axis=0).argmin()) + 1


def compare(model: str, name: str, seed: int) -> list[tuple[float, float]]:
    """Return, by setting, the share of rounds and the share of held-out loss that our rule leaves."""
    rows = data.load(name, seed)
    problem = read_problem(rows.X, rows.y)
    folds, _ = make_folds(problem, 5)
    metric = find_metric("rmse" if rows.task == "regression" else "log_loss", problem)
    learner = make_learner(find_model(model), problem, folds, metric, seed)
    found = []
    for params in SETTINGS[model]:
        fits = [learner.fit_fold(k, params, 1, threading.Event()) for k in range(len(folds))]
        losses = []
        for rounds in (common_rounds(fits), kept(fits)):
            fitted = learner.fit(params, rounds, rows.X, rows.y, None)
            predict = fitted.predict if rows.task == "regression" else fitted.predict_proba
            losses.append(data.loss(rows.task, rows.y_test, predict(rows.X_test)))
        found.append((common_rounds(fits) / kept(fits), losses[0] / losses[1]))
    return found


def main() -> None:
    """Print one row a library and data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--data", default=",".join(NAMES))
    parser.add_argument("--models", default=",".join(SETTINGS))
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    print(
        "| library | data | rounds, median | held-out loss, median | lower in | mean of logarithms |\n|"
        + "---|" * 6
    )
    for model in given.models.split(","):
        for name in given.data.split(","):
            found = [pair for seed in seeds for pair in compare(model, name, seed)]
            rounds, losses = zip(*found, strict=True)
            better = f"{sum(it < 1 for it in losses)} of {sum(it != 1 for it in losses)}"
            mean = math.exp(float(np.mean(np.log(losses))))
            print(
                f"| {model} | {name} | {median(rounds):.2f} | {median(losses):.4f} | {better} | {mean:.4f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
