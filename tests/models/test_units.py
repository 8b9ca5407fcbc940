"""A numeric target may be in any unit: dollars or thousands of them, daily returns or percents."""

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.svm import SVR
from xgboost import XGBRegressor

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare

X, Y = make_friedman1(200, 6, noise=1.0, random_state=0)
Y = (Y - Y.mean()) / Y.std()
MODELS = ["xgboost", "svm", "lasso", "elastic_net", "decision_tree", "hist_gradient_boosting"]


def space(model, y, **options):
    evaluate = prepare(
        AutotuneOptions(model=model, X=X, y=y, metric="rmse", folds=2, **options)
    ).objective.evaluate
    return evaluate.space


def ranges(space):
    return {it.name: (it.distribution.low, it.distribution.high) for it in space.params}


@pytest.mark.parametrize("model", MODELS)
def test_the_best_value_grows_with_the_unit_of_the_target_and_with_nothing_else(tuned, model):
    def best(unit):
        name = f"{model}{unit:g}".replace(".", "_")
        how = {"trials": 5, "folds": 3, "refit": False, "metric": "rmse", "race": False}
        return tuned(model, X, Y * unit, name=name, **how).best_value / unit

    plain = best(1.0)
    assert plain < 0.9  # it learns: the mean alone has 1
    assert best(1e-2) == pytest.approx(plain, rel=0.05)
    assert best(1e6) == pytest.approx(plain, rel=0.05)


def test_a_target_near_one_has_the_ranges_of_the_preset_and_another_one_says_its_unit():
    assert space("xgboost", Y).name == space("xgboost", Y * 2).name == "xgboost@4"
    far = space("xgboost", Y * 300)
    assert far.name == "xgboost@4, unit 100"
    assert ranges(far)["gamma"] == (1.0, 50_000.0)
    assert ranges(far)["reg_alpha"] == (0.01, 1_000.0)
    assert ranges(far)["reg_lambda"] == (0.1, 50.0)
    assert space("catboost", Y * 300).name == space("catboost", Y).name
    assert space("xgboost", Y * 300, preset="bluecast").name == space("xgboost", Y, preset="bluecast").name


def test_what_the_library_has_as_a_number_is_held_in_the_unit_unless_the_user_says_it():
    assert "epsilon" not in space("svm", Y).fixed
    held = space("svm", Y * 1_000).fixed
    assert (held["epsilon"], held["tol"]) == (100.0, 1.0)
    assert "epsilon" not in space(SVR(epsilon=5.0), Y * 1_000).fixed
    assert space("svm", Y * 1_000, fix={"epsilon": 5.0}).fixed["epsilon"] == 5.0


@pytest.mark.parametrize(
    "options",
    [
        {"model": XGBRegressor(objective="reg:absoluteerror")},
        {"model": "xgboost", "fix": {"objective": "reg:gamma"}},
        {"model": "xgboost", "space": {"objective": ["reg:squarederror", "reg:pseudohubererror"]}},
    ],
    ids=["estimator", "fix", "space"],
)
def test_another_loss_than_squares_has_no_such_unit(options):
    model = options.pop("model")
    assert space(model, Y * 1e5, **options).name == "xgboost@4"
    assert space(model, Y * 1e-6, **options).name == "xgboost@4"


def test_rows_without_weight_do_not_count():
    y, weights = Y.copy(), np.ones(200)
    y[:10], weights[:10] = -999_999, 0
    assert space("xgboost", y, sample_weight=weights).name == "xgboost@4"


@pytest.mark.parametrize("preset", ["default", "bluecast"])
def test_a_target_that_xgboost_takes_for_nothing_is_refused_with_the_factor_that_helps(preset):
    with pytest.raises(
        InvalidOptionError, match=r"^y varies by 1e-05 alone, which XGBoost .* y \* 100000, or"
    ):
        space("xgboost", Y * 1e-5, preset=preset)
    assert space("catboost", Y * 1e-5, preset=preset)
    assert space("xgboost", Y * 1e-3, preset=preset)


@pytest.mark.parametrize("unit", [1e-200, 1e25, 1e200])
@pytest.mark.parametrize("model", ["ridge", "svm"])
def test_numbers_beyond_all_units_are_left_as_they_are(model, unit):
    assert "unit" not in space(model, Y * unit).name


def test_a_holdout_may_take_the_only_row_that_differs():
    y = np.zeros(200)
    y[7] = 3.5
    for seed in range(12):
        assert space("catboost", y, holdout=0.3, seed=seed, problem="regression").name == "catboost@3"
        assert space("svm", y, holdout=0.3, seed=seed, problem="regression").name.startswith("svm@1")
