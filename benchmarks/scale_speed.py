"""How much faster two trials at a time are than one after another."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import table

import optuna_nb
from optuna_nb.tuning.executors.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import optuna

_WARM = 4  # trials in which a worker still imports


@dataclass
class _Runs:
    """Several runs of one setting; seconds per trial."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # of the objective itself
    busy: list[float] = field(default_factory=list)  # share of the time in which a slot evaluates


def speed(folder: Path) -> str:
    """Two jobs against one: processes on pure Python, threads on XGBoost."""
    python: dict[str, dict[str, Any]] = {
        "dask, 1 job": {"executor": "dask", "jobs": 1},
        "dask, 2 jobs": {"executor": "dask", "jobs": 2},
    }
    boosted: dict[str, dict[str, Any]] = {"thread, 1 job": {"jobs": 1}, "thread, 2 jobs": {"jobs": 2}}
    rows = _compare(folder / "python.db", "pure Python", loop, python, trials=48, repeats=3)
    rows += _compare(folder / "trees.db", "XGBoost", boosting(), boosted, trials=8, repeats=3)
    heads = ["objective", "setting", "s per trial", "CPU of it", "slots busy", "speed-up", "best", "target"]
    return (
        f"Two trials at a time on {usable_cores()} cores (they take turns; medians):\n\n"
        f"{table(heads, rows)}\n\n"
        "*Slots busy* is the share of the time in which a worker evaluates; twice that share is the most that"
        " two jobs can gain on cores of their own. *Best* is the best of the turns."
        " One XGBoost trial at a time uses all cores by itself, two use one each."
    )


def _compare(
    path: Path,
    what: str,
    objective: Callable[[optuna.Trial], float],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    trials: int,
    repeats: int,
) -> list[list[object]]:
    runs = {name: _Runs() for name in settings}
    for turn in range(repeats):
        for name, setting in settings.items():
            _run(path, f"turn{turn} {name}", objective, dict(setting), trials=trials, runs=runs[name])
    rows: list[list[object]] = []
    for name, setting in settings.items():
        mine, alone = runs[name], runs[name.replace("2 jobs", "1 job")]
        row = [what, name, median(mine.wall), median(mine.cpu), f"{median(mine.busy):.0%}"]
        if setting["jobs"] == 1:
            rows.append([*row, "", "", ""])
            continue
        ratios = [one / two for one, two in zip(alone.wall, mine.wall, strict=True)]
        target = ">= 1.8" if "dask" in name else ""
        rows.append([*row, median(ratios), max(ratios), target])
    return rows


def _run(path: Path, name: str, objective: Any, setting: dict[str, Any], *, trials: int, runs: _Runs) -> None:
    study = name.replace(" ", "_").replace(",", "")
    handle = optuna_nb.tune(
        objective, name=study, trials=trials + _WARM, sampler="random", storage=f"sqlite:///{path}",
        wait=True, **setting,
    )  # fmt: skip
    done = [trial for trial in handle.study.trials if trial.number >= _WARM]
    first = min(trial.datetime_start.timestamp() for trial in done if trial.datetime_start)
    last = max(trial.datetime_complete.timestamp() for trial in done if trial.datetime_complete)
    inside = sum(trial.user_attrs["wall"] for trial in done)
    runs.wall.append((last - first) / len(done))
    runs.cpu.append(median(trial.user_attrs["cpu"] for trial in done))
    runs.busy.append(inside / (last - first) / setting["jobs"])


def loop(trial: optuna.Trial) -> float:
    """Spend the same time in Python whatever is drawn."""
    import time

    wall, cpu = time.perf_counter(), time.thread_time()
    x = trial.suggest_float("x", 0, 1)
    for i in range(5_000_000):
        x = (x * 3.7 + i) % 1
    trial.set_user_attr("cpu", time.thread_time() - cpu)
    trial.set_user_attr("wall", time.perf_counter() - wall)
    return x


def boosting() -> Callable[[optuna.Trial], float]:
    """Return an objective that fits XGBoost with the threads it takes by itself."""
    import numpy as np
    import xgboost

    generator = np.random.default_rng(1)
    x = generator.normal(size=(10_000, 20))
    y = (x[:, :5].sum(axis=1) + generator.normal(size=10_000) > 0).astype(int)

    def objective(trial: optuna.Trial) -> float:
        wall, cpu = time.perf_counter(), time.process_time()
        model = xgboost.XGBClassifier(
            n_estimators=40,
            max_depth=trial.suggest_int("depth", 6, 6),
            learning_rate=trial.suggest_float("rate", 0.05, 0.3),
        )
        model.fit(x, y)
        trial.set_user_attr("cpu", time.process_time() - cpu)
        trial.set_user_attr("wall", time.perf_counter() - wall)
        return float(model.score(x[:1000], y[:1000]))

    return objective
