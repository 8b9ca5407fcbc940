"""How often few rows are best split anew: autotune with its folds once, and thrice.

    python benchmarks/autotune/repeats.py [--model catboost] [--budget 30] [--data digits] [--seeds 11,12]

Seeds and rows are not those of ``compare.py``: what ships was chosen by this table.
"""

from __future__ import annotations

import argparse

import worker

WAYS = (1, 3)
NAMES = "breast_cancer,diabetes"


def main() -> None:
    """Print the held-out loss and the trials of each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("xgboost", "catboost"), default="xgboost")
    parser.add_argument("--budget", type=float, default=8.0, help="CPU seconds a run")
    parser.add_argument("--data", default=NAMES)
    parser.add_argument("--seeds", default="11,12,13,14")
    given = parser.parse_args()
    print("| data | seed | once | trials | thrice | trials |\n|---|---|---|---|---|---|")
    for name in given.data.split(","):
        for seed in map(int, given.seeds.split(",")):
            cells = []
            for repeats in WAYS:
                run = worker.Run(given.model, name, seed, given.budget)
                loss = worker.tune_with(run, repeats=repeats)
                cells.append(f"{loss:.4f} | {run.configurations}")
            print(f"| {name} | {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
