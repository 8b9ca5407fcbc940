"""How heavy the leaves of XGBoost's trees must be, by the number of rows: held-out loss.

    python benchmarks/autotune/child_weight.py [--data few_400,wine] [--seeds 11,12]

The weight of a leaf is the sum of the loss's second derivatives. With log loss these shrink as
rows become sure, so that 3 soon forbids all splits of few rows. For the three settings of the
opening, the rounds are found by the folds and the model is fitted on all rows, as a study does.
``few_N`` has N rows of 20 generated columns and 4,000 held out. Seeds are not those of
``compare.py``; the rows of breast_cancer and diabetes are the same, split in another way.
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

WEIGHTS = (0.1, 1.0, 3.0)
NAMES = ("wine", "few_200", "few_400", "few_800", "breast_cancer", "diabetes", "binary_2k", "friedman_5k")
MODEL, TREES, SEED = "xgboost", 4, 33


def losses_of(rows: data.DataSet, weight: float) -> list[float]:
    """Return the held-out loss of each setting of the opening."""
    problem = read_problem(rows.X, rows.y)
    metric = find_metric("rmse" if rows.task == "regression" else "log_loss", problem)
    folds, _ = make_folds(problem, 5)
    losses = []
    for setting in find_space(MODEL, "default", problem, metric).opening:
        learner = make_learner(find_model(MODEL), problem, folds, metric, SEED)
        params: dict[str, Any] = {**setting, "min_child_weight": weight}
        fits = [
            learner.fit_fold(k, {**params, "num_parallel_tree": 1}, 1, threading.Event())
            for k in range(len(folds))
        ]
        params |= {"n_estimators": round(1.25 * common_rounds(fits)), "num_parallel_tree": TREES}
        made = learner.fit(params, None, rows.X, rows.y, None)
        found = (made.predict if rows.task == "regression" else made.predict_proba)(rows.X_test)
        losses.append(data.loss(rows.task, rows.y_test, found))
    return losses


def main() -> None:
    """Print the mean held-out loss over seeds, one setting of the opening after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=",".join(NAMES))
    parser.add_argument("--seeds", default="11,12,13,14")
    given = parser.parse_args()
    print(f"| data | rows | {' | '.join(f'weight {it:g}' for it in WEIGHTS)} |")
    print(f"|---|---|{'---|' * len(WEIGHTS)}")
    for name in given.data.split(","):
        sets = [data.load(name, int(seed)) for seed in given.seeds.split(",")]
        cells = []
        for weight in WEIGHTS:
            by_setting = zip(*(losses_of(rows, weight) for rows in sets), strict=True)
            cells.append(", ".join(f"{mean(losses):.4f}" for losses in by_setting))
        print(f"| {name} | {len(sets[0].y)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
