"""The table of finished trials changes nothing that TPE draws."""

from __future__ import annotations

import threading

import optuna
import pytest
from optuna.samplers import TPESampler

from optuna_nb.tuning.fast_tpe import FastTPESampler


def mixed(trial):
    x = trial.suggest_float("x", -5, 5)
    log = trial.suggest_float("log", 1e-4, 10, log=True)
    step = trial.suggest_float("step", 0, 1, step=0.25)
    depth = trial.suggest_int("depth", 1, 12)
    kind = trial.suggest_categorical("kind", ["a", None, 3])
    if kind == "a":
        x += trial.suggest_float("extra", 0, 1)
    trial.report(x, depth)
    if trial.number % 5 == 3:
        raise optuna.TrialPruned
    if trial.number % 11 == 7:
        raise ValueError("no luck")
    trial.set_constraint("far", abs(x) - 4)
    return (x - 1) ** 2 + log + step * depth + (kind is None)


def several(trial):
    x = trial.suggest_float("x", 0, 1)
    return x, 1 - x**2


def trials(sampler, objective, directions, n=60):
    study = optuna.create_study(sampler=sampler, directions=directions)
    study.optimize(objective, n_trials=n, catch=ValueError)
    return [(t.number, t.state, t.params, t.values) for t in study.trials]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::UserWarning")
@pytest.mark.parametrize("objective", [mixed, several])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    "options",
    [{}, {"multivariate": False}, {"multivariate": True, "group": True}, {"constant_liar": False}],
    ids=str,
)
def test_every_draw_is_the_one_of_optuna(objective, direction, options):
    directions = [direction] if objective is mixed else [direction, "maximize"]
    fast = trials(FastTPESampler(seed=3, **options), objective, directions)
    assert fast == trials(TPESampler(seed=3, **options), objective, directions)


def test_every_draw_is_the_one_of_optuna_with_other_trials_in_flight():
    def run(sampler):
        study = optuna.create_study(sampler=sampler)
        for number in range(40):
            late, early = study.ask(), study.ask()
            for trial in (late, early):
                trial.suggest_float("x", 0, 1)
                trial.suggest_categorical("kind", [True, False])
            study.tell(early, early.params["x"])
            study.tell(late, late.params["x"] * number)
        return [t.params for t in study.trials]

    assert run(FastTPESampler(seed=1)) == run(TPESampler(seed=1))


def test_a_distribution_that_changes_is_read_anew():
    def objective(trial):
        high = 5 if trial.number < 20 else 9
        return trial.suggest_float("x", 0, high) + trial.suggest_int("n", 0, high)

    assert trials(FastTPESampler(seed=1), objective, ["minimize"]) == trials(
        TPESampler(seed=1), objective, ["minimize"]
    )


def test_threads_that_share_a_sampler_do_not_disturb_each_other():
    study = optuna.create_study(sampler=FastTPESampler(seed=1))
    errors = []

    def work():
        try:
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(study.trials) == 80
