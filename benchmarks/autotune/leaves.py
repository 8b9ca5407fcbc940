"""How heavy the leaves of trees must be, by rows and classes: held-out loss.

    python benchmarks/autotune/leaves.py [--model catboost] [--data few_400,wine] [--seeds 11,12]

The weight of a leaf is the sum of the loss's second derivatives. With log loss these shrink as
rows become sure: XGBoost's ``min_child_weight`` then forbids all splits, and CatBoost's
``l2_leaf_reg``, which is added to the weight, leaves no step to be made. For the settings of the
opening, the rounds are found by the folds and the model is fitted on all rows, as a study does.
``few_N`` has N rows of 20 generated columns and 4,000 held out. Seeds are not those of
``compare.py``; the rows of the bundled sets are the same, split in another way.
"""

from __future__ import annotations

import argparse
import threading
from statistics import mean
from typing import Any

import data

from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.evaluation import common_rounds
from optuna_nb.models.folds import make_folds
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.presets import find_space
from optuna_nb.models.problem import read_problem

WEIGHTS = {
    "xgboost": ("min_child_weight", (0.03, 0.1, 0.3, 1.0, 3.0)),
    "catboost": ("l2_leaf_reg", (0.03, 0.1, 1.0, 3.0, 10.0)),
}
NAMES = (
    "wine",
    "digits",
    "few_200",
    "few_400",
    "few_800",
    "breast_cancer",
    "diabetes",
    "binary_2k",
    "classes_3k",
    "friedman_5k",
)
TREES, SEED = 4, 33  # XGBoost's trees a round of the winner


def losses_of(model: str, rows: data.DataSet, weight: float) -> list[float]:
    """Return the held-out loss of each setting of the opening."""
    name = WEIGHTS[model][0]
    problem = read_problem(rows.X, rows.y)
    metric = find_metric("rmse" if rows.task == "regression" else "log_loss", problem)
    folds, _ = make_folds(problem, 5)
    losses = []
    space = find_space(model, "default", problem, metric)
    for setting in space.opening:
        learner = make_learner(find_model(model), problem, folds, metric, SEED)
        params: dict[str, Any] = {**space.fixed, **setting, name: weight}
        one = {"num_parallel_tree": 1} if model == "xgboost" else {}
        fits = [learner.fit_fold(k, {**params, **one}, 1, threading.Event()) for k in range(len(folds))]
        params["n_estimators"] = round(1.25 * common_rounds(fits))
        if one:
            params["num_parallel_tree"] = TREES
        made = learner.fit(params, None, rows.X, rows.y, None)
        found = (made.predict if rows.task == "regression" else made.predict_proba)(rows.X_test)
        losses.append(data.loss(rows.task, rows.y_test, found))
    return losses


def main() -> None:
    """Print the mean held-out loss over seeds, one setting of the opening after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=tuple(WEIGHTS), default="xgboost")
    parser.add_argument("--data", default=",".join(NAMES))
    parser.add_argument("--seeds", default="11,12,13,14")
    given = parser.parse_args()
    name, weights = WEIGHTS[given.model]
    print(f"| data | rows | {' | '.join(f'{name} {it:g}' for it in weights)} |")
    print(f"|---|---|{'---|' * len(weights)}")
    for data_set in given.data.split(","):
        sets = [data.load(data_set, int(seed)) for seed in given.seeds.split(",")]
        cells = []
        for weight in weights:
            by_setting = zip(*(losses_of(given.model, rows, weight) for rows in sets), strict=True)
            cells.append(", ".join(f"{mean(losses):.4f}" for losses in by_setting))
        print(f"| {data_set} | {len(sets[0].y)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
