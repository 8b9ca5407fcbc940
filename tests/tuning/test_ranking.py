"""Which trials are better."""

import math

from optuna.study import create_study
from optuna.trial import create_trial

from optuna_nb.tuning.ranking import pareto_set, rank


def trials(*values, constraints=None):
    made = []
    for number, value in enumerate(values):
        broken = None if constraints is None else {"c": constraints[number]}
        trial = create_trial(values=list(value), constraints=broken)
        trial.number = number
        made.append(trial)
    return made


def numbers(found):
    return [trial.number for trial in found]


def test_infeasible_trials_come_last_the_nearly_feasible_ones_first():
    found = trials((1,), (2,), (3,), (4,), constraints=[0.5, 0.1, 0.0, -1.0])
    assert numbers(rank(found, ["minimize"])) == [2, 3, 1, 0]
    assert numbers(rank(found, ["maximize"])) == [3, 2, 1, 0]


def test_the_pareto_set_is_optunas_with_the_best_compromise_first():
    found = trials((0, 1), (1, 0), (0.4, 0.4), (0.5, 0.5), (0.4, 0.4), (0.2, 0.9))
    study = create_study(directions=["minimize", "minimize"])
    study.add_trials(found)
    best = pareto_set(found, ["minimize", "minimize"])
    assert {t.number for t in best} == {t.number for t in study.best_trials}
    assert numbers(best) == [2, 4, 5, 0, 1]


def test_the_pareto_set_follows_the_directions_and_takes_infinities():
    found = trials((1, math.inf), (2, -math.inf), (3, 5), (0, 0))
    assert set(numbers(pareto_set(found, ["maximize", "minimize"]))) == {1, 2}
    assert numbers(pareto_set(trials((math.inf,), (math.inf,)), ["minimize"])) == [0, 1]


def test_the_pareto_set_of_one_direction_is_the_best_trial_and_its_equals():
    assert numbers(pareto_set(trials((2,), (1,), (3,), (1,)), ["minimize"])) == [1, 3]


def test_the_pareto_set_of_nothing_is_empty():
    assert pareto_set([], ["minimize", "minimize"]) == []
    assert pareto_set(trials((1,), constraints=[1.0]), ["minimize"]) == []
