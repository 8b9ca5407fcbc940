"""How many rows are best split: autotune on 100,000 rows with 5 folds, and with one split.

    python benchmarks/autotune/splits.py [--budget 60] [--seeds 11,12]

Seeds and rows are not those of ``compare.py``: what ships was chosen by this table. With one
split the rows that end the boosting also score it. The last column is by how much that
flatters the winner: its loss at its own best round, against the mean over both halves of the
scoring rows of the loss at the round that is best for the other half.
"""

from __future__ import annotations

import argparse
import threading
from typing import Any

import numpy as np
import worker

WAYS: tuple[dict[str, Any], ...] = ({"folds": 5}, {"cv": 0.2})
ROUNDS = 60  # from the first to the last one, that halves choose among


def main() -> None:
    """Print the held-out loss and the trials of each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=60.0, help="CPU seconds a run")
    parser.add_argument("--seeds", default="11,12")
    given = parser.parse_args()
    print("| seed | 5 folds | trials | one split | trials | flattered by |\n|---|---|---|---|---|---|")
    for seed in map(int, given.seeds.split(",")):
        cells = []
        for way in WAYS:
            run = worker.Run("xgboost", "binary_100k", seed, given.budget)
            loss = worker.tune_with(run, **way)
            cells.append(f"{loss:.4f} | {run.configurations}")
        print(f"| {seed} | {' | '.join(cells)} | {flattery(run):.3%} |", flush=True)


def flattery(run: worker.Run) -> float:
    """Return by what share of the loss choosing the rounds on the scoring rows flatters the winner."""
    from optuna_nb.models.autotune import AutotuneOptions, prepare

    trial = run.incumbents[-1][1]
    options = AutotuneOptions(model="xgboost", X=run.set.X, y=run.set.y, cv=0.2, seed=run.seed)
    learner = prepare(options).objective.evaluate.learner
    fit = learner.fit_fold(0, trial.params, 2, threading.Event())
    y = run.set.y[learner.folds[0].score]
    rounds = np.unique(np.linspace(1, len(fit.curve), ROUNDS).astype(int))
    chance = np.array([fit.predict(int(r))[np.arange(len(y)), y] for r in rounds])
    losses = -np.log(chance)  # rounds x rows
    halves = [losses[:, k::2].mean(axis=1) for k in range(2)]
    honest = (halves[1][halves[0].argmin()] + halves[0][halves[1].argmin()]) / 2
    return float(honest / losses.mean(axis=1).min() - 1)


if __name__ == "__main__":
    main()
