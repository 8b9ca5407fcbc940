"""How the winner is best fitted on all rows: the same settings, several ways, on rows held out.

    python benchmarks/autotune/winner.py [--model catboost] [--seeds 11,12]

For three settings the rounds are found by the folds, as a trial does. Then the model is fitted
on all rows: as it is; as the mean of four with other seeds, with the folds' rounds or 5/4 of
them; with the mean of four trees a round, which XGBoost alone can do; and with a half or a
quarter of the learning rate and as many more rounds. Seeds and rows are not those of
``compare.py``: what ships was chosen by this table.
"""

from __future__ import annotations

import argparse
import threading
from collections import defaultdict
from statistics import median
from typing import Any

import data
import numpy as np

from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.evaluation import common_rounds
from optuna_nb.models.folds import make_folds
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.problem import read_problem

SETTINGS = {
    "xgboost": (
        {"max_depth": 2, "min_child_weight": 2.0, "subsample": 0.8, "colsample_bytree": 0.5},
        {"max_depth": 4, "min_child_weight": 3.0, "subsample": 0.8, "colsample_bytree": 0.8},
        {
            "max_depth": 7,
            "min_child_weight": 3.0,
            "subsample": 0.7,
            "colsample_bytree": 0.5,
            "reg_lambda": 3.0,
        },
    ),
    "catboost": (
        {"depth": 3, "l2_leaf_reg": 1.0, "random_strength": 1.0, "bootstrap_type": "MVS", "subsample": 0.8},
        {
            "depth": 4,
            "l2_leaf_reg": 3.0,
            "random_strength": 1.0,
            "bootstrap_type": "Bayesian",
            "bagging_temperature": 1.0,
        },
        {"depth": 6, "l2_leaf_reg": 3.0, "random_strength": 0.3, "bootstrap_type": "MVS", "subsample": 0.7},
    ),
}
NAMES = ("breast_cancer", "diabetes", "binary_2k", "friedman_5k", "classes_3k")
RATE, TREES, SEED = 0.1, 4, 33


def losses_of(model: str, rows: data.DataSet, setting: dict[str, Any]) -> dict[str, float]:
    """Return the held-out loss of each way."""
    problem = read_problem(rows.X, rows.y)
    metric = find_metric("rmse" if rows.task == "regression" else "log_loss", problem)
    folds, _ = make_folds(problem, 5)
    learner = make_learner(find_model(model), problem, folds, metric, SEED)
    params = {"learning_rate": RATE, **setting}
    if model == "xgboost":
        params["num_parallel_tree"] = 1
    rounds = common_rounds([learner.fit_fold(k, params, 1, threading.Event()) for k in range(5)])

    def predict(rounds: int, seed: int = SEED, **changed: Any) -> Any:
        learner.seed = seed
        made = learner.fit({**params, **changed, "n_estimators": rounds}, None, rows.X, rows.y, None)
        return (made.predict if rows.task == "regression" else made.predict_proba)(rows.X_test)

    def loss(*found: Any) -> float:
        return data.loss(rows.task, rows.y_test, np.mean(found, axis=0))

    seeds, more = range(SEED, SEED + TREES), round(1.25 * rounds)
    several = [predict(rounds, seed) for seed in seeds]
    losses = {
        "as it is": loss(several[0]),
        "mean of 4 seeds": loss(*several),
        "a half of the rate": loss(predict(2 * rounds, learning_rate=RATE / 2)),
        "a quarter of the rate": loss(predict(4 * rounds, learning_rate=RATE / 4)),
        "a quarter of the rate, 5/4 of the rounds": loss(predict(4 * more, learning_rate=RATE / 4)),
    }
    if model == "xgboost":
        trees = {"num_parallel_tree": TREES}
        losses["4 trees a round"] = loss(predict(rounds, **trees))
        losses["4 trees a round, 5/4 of the rounds"] = loss(predict(more, **trees))
        losses["4 trees, a half of the rate, 5/4 of the rounds"] = loss(
            predict(2 * more, learning_rate=RATE / 2, **trees)
        )
    return losses


def main() -> None:
    """Print the change of the held-out loss: median over settings and seeds, worst, and how many gained."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=tuple(SETTINGS), default="xgboost")
    parser.add_argument("--seeds", default="11,12")
    parser.add_argument("--data", default=",".join(NAMES))
    given = parser.parse_args()
    changes: dict[str, list[float]] = defaultdict(list)
    heads: list[str] = []
    for name in given.data.split(","):
        own: dict[str, list[float]] = defaultdict(list)
        for seed in given.seeds.split(","):
            rows = data.load(name, int(seed))
            for setting in SETTINGS[given.model]:
                base, *others = losses_of(given.model, rows, setting).items()
                for way, value in others:
                    own[way].append(value / base[1] - 1)
        if not heads:
            heads = list(own)
            print(f"| data | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
        print(f"| {name} | {' | '.join(_shown(own[way]) for way in heads)} |", flush=True)
        for way in heads:
            changes[way] += own[way]
    print(f"| all | {' | '.join(_shown(changes[way]) for way in heads)} |")


def _shown(changes: list[float]) -> str:
    gained = sum(it < 0 for it in changes)
    return f"{median(changes):+.1%} (worst {max(changes):+.1%}, gained {gained} of {len(changes)})"


if __name__ == "__main__":
    main()
