"""From how many cells on two threads pay in one fit of XGBoost: speed and CPU time against one thread.

python benchmarks/autotune/threads.py
"""

from __future__ import annotations

import time

import numpy as np
import xgboost

SIZES = ((50_000, 5), (50_000, 10), (50_000, 20), (100_000, 10), (20_000, 25))
DEPTHS = (3, 6, 9)
REPEATS, ROUNDS, BINS = 3, 60, 64


def main() -> None:
    """Print a row a size."""
    heads = [f"depth {depth}" for depth in DEPTHS]
    print(f"| rows | columns | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 2)}")
    rng = np.random.default_rng(0)
    for rows, columns in SIZES:
        X = rng.normal(size=(rows, columns))
        y = (X[:, :3].sum(axis=1) + rng.normal(size=rows) > 0).astype(int)
        binned = xgboost.QuantileDMatrix(X, y, max_bin=BINS)
        cells = []
        for depth in DEPTHS:
            one, two = (min(fit(binned, depth, threads) for _ in range(REPEATS)) for threads in (1, 2))
            cells.append(f"{one[0] / two[0]:.2f}x for {two[1] / one[1]:.2f} of the CPU time")
        print(f"| {rows:,} | {columns} | {' | '.join(cells)} |", flush=True)


def fit(binned: xgboost.QuantileDMatrix, depth: int, threads: int) -> tuple[float, float]:
    """Return wall and CPU seconds of one fit."""
    wall, cpu = time.perf_counter(), time.process_time()
    params = {"nthread": threads, "max_depth": depth, "learning_rate": 0.1, "subsample": 0.8, "max_bin": BINS}
    xgboost.train({**params, "objective": "binary:logistic"}, binned, ROUNDS)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
