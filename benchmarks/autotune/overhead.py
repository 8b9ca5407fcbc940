"""What database, panel and log cost: the same configurations with and without them.

    python benchmarks/autotune/overhead.py [--trials 20] [--pairs 3]

A real tuning is recorded first: what each trial took and scored. Then its trials are replayed,
asleep for as long as they took, once with everything on (a background thread, every trial
committed, its log kept, the panel open and its poller at work; the page is made and
thrown away, as there is no browser) and once on a study of Optuna's in memory with the
same sampler. The difference of the two in CPU time is what the rest costs, free of the noise
that two tunings on a shared machine have. Replays of one and of four times as many trials tell
what a run costs once (a database, the panel's first picture) from what each trial costs, which is
given as a share of a real trial's CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from dataclasses import replace
from statistics import median
from typing import Any

import optuna
from data import load
from IPython.core.interactiveshell import InteractiveShell

from optuna_nb.cell import view
from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.records import TuneOptions
from optuna_nb.tuning import api
from optuna_nb.tuning.sampling import make_sampler

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Replay:
    """Trials that sleep and score as recorded."""

    def __init__(self, space: Any, trials: list[Any]) -> None:
        self._space, self._trials = space, trials

    def __call__(self, trial: Any) -> list[float]:
        """Suggest, sleep, and end as the recorded trial did."""
        recorded = self._trials[trial.number % len(self._trials)]
        self._space.suggest(trial)
        for step, value in recorded.intermediate_values.items():
            trial.report(value, step)
        for name, value in recorded.user_attrs.items():
            trial.set_user_attr(name, value)
        time.sleep(recorded.duration.total_seconds())
        if recorded.state.name == "PRUNED":
            raise optuna.TrialPruned
        return [recorded.value] * 5


def with_all(objective: Any, trials: int) -> float:
    """Tune in the background with database, log and panel; return CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        options = TuneOptions(
            name="cost", storage=f"sqlite:///{folder}/cost.db", trials=trials, seed=33, pruner="none"
        )
        began = time.process_time()
        handle = api.start(objective, options)
        view.show(handle)
        handle.wait()
        spent = time.process_time() - began
        view.forget(handle)
        return spent


def without(objective: Any, trials: int) -> tuple[float, list[Any]]:
    """Tune in memory, with nothing around; return CPU seconds and the trials."""
    began = time.process_time()
    study = optuna.create_study(sampler=make_sampler("tpe", seed=33, directions=["minimize"]))
    for first in objective.opening:
        study.enqueue_trial(dict(first.params), dict(first.attributes))

    def evaluate(trial: Any) -> float:
        scores = objective.evaluate(trial)
        return float(sum(scores) / len(scores))

    study.optimize(evaluate, n_trials=trials)
    return time.process_time() - began, study.trials


def main() -> None:
    """Print one row a model and data set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    InteractiveShell.instance()
    print(
        "| model | data | a real trial, CPU ms | the rest of a trial, CPU ms | share | once a run, CPU ms |"
    )
    print("|---|---|---|---|---|---|")
    for model, name in (("xgboost", "breast_cancer"), ("catboost", "diabetes")):
        data = load(name, 1)
        objective = prepare(
            AutotuneOptions(model=model, X=data.X, y=data.y, folds=5, refit=False, fold_jobs=1)
        ).objective
        spent, trials = without(objective, given.trials)
        replayed = replace(objective, evaluate=Replay(objective.evaluate.space, trials), finish=None)
        few, many = [], []
        for number in range(given.pairs + 1):
            with contextlib.redirect_stdout(io.StringIO()):
                for costs, count in ((few, given.trials), (many, 4 * given.trials)):
                    cost = with_all(replayed, count) - without(replayed, count)[0]
                    if number:  # the first round imports and warms up
                        costs.append(cost)
        each = (median(many) - median(few)) / (3 * given.trials)
        real = spent / given.trials
        once = median(few) - given.trials * each
        row = (f"{1e3 * real:.0f}", f"{1e3 * each:.1f}", f"{each / real:.1%}", f"{1e3 * once:.0f}")
        print(f"| {model} | {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
