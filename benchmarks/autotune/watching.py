"""What it costs to watch the loss while CatBoost trains on few rows.

    python benchmarks/autotune/watching.py

A callback is handed all losses so far after each round. CPU time per round of a fit that
nobody watches, of one that is watched in every round, and as ``autotune`` does it: in every
fifth round, without the loss of the training rows. Medians of fits that take turns.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import catboost
import data
import numpy as np

from optuna_nb.models.catboost_model import PERIOD

WAYS: dict[str, dict[str, Any]] = {
    "unwatched": {},
    "every round": {},
    "as autotune": {"metric_period": PERIOD, "loss_function": "Logloss:hints=skip_train~true"},
}


class Watching:
    """Reads the loss, as early stopping does."""

    def after_iteration(self, info: Any) -> bool:
        """Let it go on."""
        return bool(next(iter(info.metrics["validation"].values())))


def main() -> None:
    """Print one row for each number of rounds."""
    rows = data.load("breast_cancer", 11)
    X, y = np.asarray(rows.X), np.asarray(rows.y)
    train, score = (catboost.Pool(X[part], y[part]) for part in (slice(0, None, 2), slice(1, None, 2)))
    print(f"| rounds | {', ms | '.join(WAYS)}, ms | CPU time left |\n|---|---|---|---|---|")
    for rounds in (100, 300, 1000):
        taken: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(7):
            for name, settings in WAYS.items():
                model = catboost.CatBoost(
                    {
                        "loss_function": "Logloss",
                        **settings,
                        "iterations": rounds,
                        "depth": 4,
                        "learning_rate": 0.1,
                        "border_count": 32,
                        "thread_count": 1,
                        "use_best_model": False,
                        "allow_writing_files": False,
                        "logging_level": "Silent",
                    }
                )
                began = time.process_time()
                model.fit(train, eval_set=score, callbacks=None if name == "unwatched" else [Watching()])
                taken[name].append((time.process_time() - began) / rounds * 1e3)
        alone, always, ours = (median(times) for times in taken.values())
        print(f"| {rounds:,} | {alone:.2f} | {always:.2f} | {ours:.2f} | {ours / always:.0%} |")


if __name__ == "__main__":
    main()
