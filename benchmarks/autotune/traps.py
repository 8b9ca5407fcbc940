"""Three traps of threads, each beside what ``autotune`` does.

    python benchmarks/autotune/traps.py [--rows 100000]

Threads in several fits at once (what ``OMP_NUM_THREADS`` is set for), threads in both the
model and the cross-validation, and CatBoost pools made of strings, which hold the GIL.
CPU time is that of the process and its children; "worst lateness" is that of a thread
that wants to wake up every 10 ms.
"""

# ruff: noqa: E501 - rows of tables are long
from __future__ import annotations

import argparse
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import catboost
import numpy as np
import pandas as pd
import psutil
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.folds import make_folds
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.problem import read_problem
from optuna_nb.models.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable

BOOSTED = {"learning_rate": 0.1, "max_depth": 5, "n_estimators": 100}
FOREST = {"n_estimators": 60, "min_samples_leaf": 3}
HOST_CORES = 16


def measure(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Return wall seconds, CPU seconds and the worst lateness of a 10 ms ticker in ms."""
    late, ended = [0.0], threading.Event()

    def tick() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            time.sleep(0.01)
            late.append(time.perf_counter() - began - 0.01)

    ticker = threading.Thread(target=tick)
    ticker.start()
    wall, cpu = time.perf_counter(), _cpu()
    work()
    wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    ended.set()
    ticker.join()
    return wall, cpu, max(late) * 1e3


def _cpu() -> float:
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return float(sum(it.user + it.system + it.children_user + it.children_system for it in times))


def learner_of(model: str, X: Any, y: Any) -> Any:
    """Make what ``autotune`` fits folds with."""
    problem = read_problem(X, y)
    folds, _ = make_folds(problem, 4)
    return make_learner(find_model(model), problem, folds, find_metric(None, problem), 33)


def folds_of_ours(learner: Any, params: dict[str, Any]) -> None:
    """Fit all folds as a trial does: two at a time, one thread each."""
    for _ in in_order(lambda fold, cancelled: learner.fit_fold(fold, params, 1, cancelled), 4, 2):
        pass


def several_fits(X: Any, y: Any) -> None:
    """Fit four folds at once, each with as many threads as a container's host may have cores."""
    folds, _ = make_folds(read_problem(X, y), 4)
    with ThreadPoolExecutor(4) as pool:
        for fold in folds:
            model = xgboost.XGBClassifier(**BOOSTED, n_jobs=HOST_CORES)
            pool.submit(model.fit, X[fold.train], y[fold.train])


def text_rows(rows: int) -> tuple[pd.DataFrame, Any]:
    """Make rows with five columns of text."""
    rng = np.random.default_rng(0)
    words = np.array([f"word {k}" for k in range(100)], dtype=object)
    frame = pd.DataFrame({f"text{k}": words[rng.integers(0, 100, rows)] for k in range(5)})
    frame["number"] = rng.normal(size=rows)
    return frame, (frame["number"] + rng.normal(size=rows) > 0).astype(int).to_numpy()


def main() -> None:
    """Print one row a way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the text columns")
    given = parser.parse_args()
    X, y = make_classification(4_000, 20, n_informative=10, flip_y=0.05, random_state=1)
    boosted, forest = learner_of("xgboost", X, y), learner_of("random_forest", X, y)
    folds_of_ours(boosted, {**BOOSTED, "n_estimators": 1})  # the matrices are made once a study
    frame, target = text_rows(given.rows)
    text = learner_of("catboost", frame, target)
    train = text.folds[0].train
    rows = frame.iloc[train]
    columns = [f"text{k}" for k in range(5)]
    both = RandomForestClassifier(**FOREST, n_jobs=-1)
    ways: list[tuple[str, str, Callable[[], Any]]] = [
        ("XGBoost, 4 folds", f"4 at once, {HOST_CORES} threads each", lambda: several_fits(X, y)),
        ("XGBoost, 4 folds", "autotune: 2 at once, 1 thread each", lambda: folds_of_ours(boosted, BOOSTED)),
        ("forest, 4 folds", "n_jobs=-1 in forest and cross_val_score", lambda: cross_val_score(both, X, y, cv=4, n_jobs=-1)),
        ("forest, 4 folds", "autotune: 2 at once, 1 thread each", lambda: folds_of_ours(forest, FOREST)),
        ("CatBoost pool", "of strings, at each fit", lambda: catboost.Pool(rows, target[train], cat_features=columns)),
        ("CatBoost pool", "autotune: once a study, quantized", lambda: text._pools(0, 254)),  # noqa: SLF001
        ("CatBoost pool", "autotune: at each fit", lambda: None),
    ]  # fmt: skip
    print("| what | how | wall s | CPU s | worst lateness, ms |")
    print("|---|---|---|---|---|")
    for what, how, work in ways:
        runs = sorted(measure(work) for _ in range(3))
        wall, cpu, late = (float(np.median([run[k] for run in runs])) for k in range(3))
        print(f"| {what} | {how} | {wall:.2f} | {cpu:.2f} | {late:.0f} |", flush=True)


if __name__ == "__main__":
    main()
