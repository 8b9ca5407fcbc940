"""A numeric target may be in any unit: dollars or thousands of them, daily returns or percents."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.presets import find_space
from optuna_nb.models.problem import read_problem

X, Y = make_friedman1(200, 6, noise=1.0, random_state=0)
Y = (Y - Y.mean()) / Y.std()


def space(model, y, preset="default"):
    problem = read_problem(X, y)
    return find_space(model, preset, problem, find_metric("rmse", problem))


@pytest.mark.parametrize("model", ["xgboost", "svm", "lasso", "elastic_net"])
def test_the_best_value_grows_with_the_unit_of_the_target_and_with_nothing_else(tuned, model):
    def best(unit):
        name = f"{model}{unit:g}".replace(".", "_")
        how = {"trials": 5, "folds": 3, "refit": False, "metric": "rmse"}
        return tuned(model, X, Y * unit, name=name, **how).best_value / unit

    plain = best(1.0)
    assert plain < 0.9  # it learns: the mean alone has 1
    assert best(1e-2) == pytest.approx(plain, rel=0.02)
    assert best(1e6) == pytest.approx(plain, rel=0.02)


def test_a_target_near_one_has_the_ranges_of_the_preset_and_another_one_says_its_unit():
    assert space("xgboost", Y).name == space("xgboost", Y * 2).name == "xgboost@4"
    far = space("xgboost", Y * 300)
    assert far.name == "xgboost@4, unit 100"
    ranges = {it.name: (it.distribution.low, it.distribution.high) for it in far.params}
    assert ranges["gamma"] == (1.0, 50_000.0)
    assert ranges["reg_alpha"] == (0.01, 1_000.0)
    assert ranges["reg_lambda"] == (0.1, 50.0)
    assert space("catboost", Y * 300).name == space("catboost", Y).name


def test_what_the_library_has_as_a_number_is_held_in_the_unit_too():
    assert "epsilon" not in space("svm", Y).fixed
    assert space("svm", Y * 1_000).fixed["epsilon"] == pytest.approx(100.0)


@pytest.mark.parametrize("preset", ["default", "bluecast"])
def test_a_target_that_a_library_takes_for_nothing_is_refused_with_the_factor_that_helps(preset):
    with pytest.raises(
        InvalidOptionError, match=r"^y varies by 1e-05 alone, which xgboost .* y \* 100000, or"
    ):
        space("xgboost", Y * 1e-5, preset)
    assert space("catboost", Y * 1e-5, preset)
    assert np.std(Y * 1e-5) > 0
