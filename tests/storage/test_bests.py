"""The list of studies has the best value of each, without loading one."""

import math

import optuna
import pytest
from optuna.trial import create_trial

import optuna_nb
from optuna_nb.tuning import api

optuna.logging.set_verbosity(optuna.logging.ERROR)


def listed(url):
    return api.list_studies(url).set_index("name")["best"].to_dict()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'many.db'}"


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1.0), ("maximize", 3.0)])
def test_best_follows_the_direction(url, direction, best):
    study = optuna.create_study(storage=url, study_name="s", direction=direction)
    study.add_trials([create_trial(value=value) for value in (2.0, 1.0, 3.0)])
    study.add_trial(create_trial(value=0.5, state=optuna.trial.TrialState.PRUNED))
    study.add_trial(create_trial(state=optuna.trial.TrialState.FAIL))
    assert listed(url) == {"s": best}


@pytest.mark.parametrize("limit", [{"constraints": [0.1]}, {"constraints": [-1.0, 2.0]}])
def test_a_trial_that_breaks_a_constraint_is_not_the_best(url, limit):
    study = optuna.create_study(storage=url, study_name="s")
    study.add_trial(create_trial(value=1.0, system_attrs=limit))
    study.add_trial(create_trial(value=2.0, system_attrs={"constraints": [0.0]}))
    assert listed(url) == {"s": 2.0}


def test_a_trial_whose_constraints_raised_counts_as_in_optuna_and_hides_no_study(url):
    study = optuna.create_study(storage=url, study_name="odd")
    study.add_trial(create_trial(value=2.0, system_attrs={"constraints": None}))  # what Optuna then writes
    assert listed(url) == {"odd": 2.0}


@pytest.mark.parametrize(("direction", "best"), [("minimize", -math.inf), ("maximize", 1.0)])
def test_infinite_values_are_values(url, direction, best):
    study = optuna.create_study(storage=url, study_name="s", direction=direction)
    study.add_trials([create_trial(value=value) for value in (1.0, -math.inf)])
    assert listed(url) == {"s": best}


def test_several_directions_have_no_best_and_studies_do_not_mix(url):
    two = optuna.create_study(storage=url, study_name="two", directions=["minimize", "maximize"])
    two.add_trial(create_trial(values=[1.0, 2.0]))
    optuna.create_study(storage=url, study_name="empty")
    for name, value in (("a", 1.0), ("b", 2.0)):
        optuna.create_study(storage=url, study_name=name).add_trial(create_trial(value=value))
    found = listed(url)
    assert (found["a"], found["b"]) == (1.0, 2.0)
    assert math.isnan(found["two"])
    assert math.isnan(found["empty"])


def test_a_study_of_ours_has_the_best_of_its_handle(url):
    def objective(trial):
        return trial.suggest_float("x", 0, 1)

    handle = optuna_nb.tune(objective, name="ours", trials=5, storage=url).wait()
    assert listed(url) == {"ours@1": handle.best_value}
