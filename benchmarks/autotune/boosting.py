"""What our loop over XGBoost's rounds saves against ``xgboost.train`` on few rows.

    python benchmarks/autotune/boosting.py

CPU time per round, with the loss of the scoring rows known after each one, on the rows of
``diabetes``: medians of fits that take turns, and whether the losses are the same.
"""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any

import data
import xgboost

from optuna_nb.models.stopping import Patience
from optuna_nb.models.xgboost_model import boost

ROUNDS, FITS = 150, 41


class Watching(xgboost.callback.TrainingCallback):
    """Reads the loss, as early stopping does."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._patience = patience

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - XGBoost's signature
        """Let it go on, for so few rounds."""
        return self._patience.is_over(next(iter(evals_log["score"].values()))[-1])


def main() -> None:
    """Print one row for each depth."""
    rows = data.load("diabetes", 11)
    train = xgboost.QuantileDMatrix(rows.X, rows.y, nthread=1)
    score = xgboost.QuantileDMatrix(rows.X_test, rows.y_test, ref=train, nthread=1)
    print("| depth | xgboost.train, us | ours, us | ratio | same losses |\n|---|---|---|---|---|")
    for depth in (1, 2, 3, 4, 6):
        params = {
            "max_depth": depth,
            "learning_rate": 0.01,
            "subsample": 0.8,
            "nthread": 1,
            "eval_metric": "rmse",
        }
        taken: list[tuple[float, float]] = []
        same = True
        for _ in range(FITS):
            history: dict[str, Any] = {}
            began = time.process_time()
            xgboost.train(
                params, train, ROUNDS, evals=[(score, "score")], evals_result=history, verbose_eval=False,
                callbacks=[Watching(Patience(0.01))],
            )  # fmt: skip
            between = time.process_time()
            booster = xgboost.Booster(params, [train, score])
            losses = boost(
                booster, train, score, ROUNDS, patience=Patience(0.01), cancelled=threading.Event()
            )
            taken.append((between - began, time.process_time() - between))
            same &= losses == history["score"]["rmse"]
        theirs, ours = (median(column) / ROUNDS * 1e6 for column in zip(*taken, strict=True))
        ratio = median(a / b for a, b in taken)
        print(f"| {depth} | {theirs:.0f} | {ours:.0f} | {ratio:.2f} | {'yes' if same else 'NO'} |")


if __name__ == "__main__":
    main()
