"""Our executor beside ``optuna_integration.DaskStorage``, on the same cluster with the same objective."""

from __future__ import annotations

import functools
import itertools
import logging
import warnings
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import optuna
from measure import table
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler

import optuna_nb
from optuna_nb.tuning.executors.dask import DaskLink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from distributed import Client

_SIZES = (60, 120, 500)  # trials of a study
_TURNS = 2


def rival(folder: Path) -> str:
    """Count trials per second and messages per trial with two workers."""
    try:
        from optuna_integration.dask import DaskStorage  # noqa: F401
    except ImportError:
        return "DaskStorage was not compared: `pip install optuna-integration`."
    from distributed import Client, LocalCluster

    warnings.simplefilter("ignore", ExperimentalWarning)
    rows: list[list[object]] = []
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env={"PYTHONWARNINGS": "ignore"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(optuna.logging.set_verbosity, optuna.logging.ERROR)
        _ours(folder, "warm", client, plain, 4)
        _theirs(client, plain, 4)
        kinds = (("5 parameters", plain), ("5 parameters, 10 reports, pruner", curve))
        for (what, objective), trials in itertools.product(kinds, _SIZES):
            ours, theirs = [], []
            for turn in range(_TURNS):
                ours.append(_ours(folder, f"{objective.__name__}{trials}_{turn}", client, objective, trials))
                theirs.append(_theirs(client, objective, trials))
            (a, m), (b, n) = (
                [median(column) for column in zip(*runs, strict=True)] for runs in (ours, theirs)
            )
            rows.append([what, trials, a, b, a / b, m, n, m / n])
    heads = ["objective", "trials", "ours, trials/s", "DaskStorage", "ratio (>= 2)"]
    heads += ["ours, messages a trial", "DaskStorage", "ratio (<= 1/5)"]
    return (
        "Beside `optuna_integration.DaskStorage`, both on one LocalCluster with 2 workers, TPE,"
        " trials that cost nothing themselves, in turns. Ours commits each trial to SQLite, DaskStorage keeps"
        " all in memory. A message of ours is a trial handed over, an event or an answer, counted one by one;"
        " one of DaskStorage is a call of the storage on the scheduler with its answer:"
        f"\n\n{table(heads, rows)}"
    )


def plain(trial: optuna.Trial) -> float:
    """Draw five parameters."""
    return sum(trial.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(5))


def curve(trial: optuna.Trial) -> float:
    """Draw five parameters, report ten steps, and stop where the pruner says so."""
    import optuna

    value = sum(trial.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(5))
    for step in range(10):
        trial.report(value + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def _rate(trials: list[optuna.trial.FrozenTrial]) -> float:
    """Trials per second, from the first one's begin to the last one's end."""
    first = min(trial.datetime_start.timestamp() for trial in trials if trial.datetime_start)
    last = max(trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete)
    return len(trials) / (last - first)


def _ours(
    folder: Path, name: str, client: Client, objective: Callable[[optuna.Trial], float], trials: int
) -> tuple[float, float]:
    sent: Counter[str] = Counter()
    undo = [_count(DaskLink, method, sent) for method in ("start", "answer", "_on_message")]
    try:
        handle = optuna_nb.tune(
            objective,
            name=name,
            trials=trials,
            storage=f"sqlite:///{folder / 'ours.db'}",
            executor="dask",
            cluster=client,
            wait=True,
        )
    finally:
        for restore in undo:
            restore()
    return _rate(handle.study.trials), sent.total() / trials


def _count(kind: type, method: str, counter: Counter[str]) -> Callable[[], None]:
    plain_method = getattr(kind, method)

    def counting(self: Any, *arguments: Any) -> Any:
        counter[method] += 1
        return plain_method(self, *arguments)

    setattr(kind, method, counting)
    return lambda: setattr(kind, method, plain_method)


def _theirs(client: Client, objective: Callable[[optuna.Trial], float], trials: int) -> tuple[float, float]:
    from optuna_integration.dask import DaskStorage

    storage = DaskStorage(client=client)
    study = optuna.create_study(storage=storage, sampler=TPESampler(), pruner=optuna.pruners.MedianPruner())
    calls: Counter[str] = Counter()
    cluster: Any = client.cluster
    handlers = cluster.scheduler.handlers
    saved = {name: handler for name, handler in handlers.items() if name.startswith("optuna_")}
    for name, handler in saved.items():
        handlers[name] = _counted(name, handler, calls)
    futures = [client.submit(study.optimize, objective, n_trials=trials // 2, pure=False) for _ in range(2)]
    client.gather(futures)
    handlers.update(saved)
    total = calls.total()
    return _rate(study.trials), total / trials


def _counted(name: str, handler: Any, calls: Counter[str]) -> Any:
    @functools.wraps(handler)  # Dask looks at its signature
    def counted(*arguments: Any, **named: Any) -> Any:
        calls[name] += 1
        return handler(*arguments, **named)

    return counted
