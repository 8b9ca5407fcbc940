"""Search spaces as data."""

from fractions import Fraction

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import uniform
from sklearn.ensemble import RandomForestClassifier

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.metrics import find_metric
from optuna_nb.models.presets import MODELS, find_space
from optuna_nb.models.problem import read_problem
from optuna_nb.models.spaces import Space, names, ranges

X = np.arange(80.0).reshape(40, 2)
PROBLEM = read_problem(X, [0, 1] * 20)
SKEWED = read_problem(X, [0] * 32 + [1] * 8)
LOSS = find_metric("log_loss", PROBLEM)
AUC = find_metric("roc_auc", PROBLEM)
MANY = read_problem(X, [0, 1, 2, 3] * 10)


@pytest.mark.parametrize("problem", [PROBLEM, MANY], ids=["two classes", "four classes"])
@pytest.mark.parametrize("model", MODELS)
def test_the_opening_lies_inside_the_space_and_is_complete(model, problem):
    space = find_space(model, "default", problem, LOSS)
    for setting in space.opening:
        held = space.complete(setting)
        assert held == dict(setting)
        study = optuna.create_study()
        study.enqueue_trial(held)
        assert space.suggest(study.ask()) == {**space.fixed, **held}


def test_the_bluecast_preset_holds_what_bluecast_searches():
    xgboost = {p.name: p.distribution for p in find_space("xgboost", "bluecast", PROBLEM, LOSS).params}
    assert (xgboost["eta"].low, xgboost["eta"].high) == (1e-3, 0.3)
    assert (xgboost["max_bin"].low, xgboost["max_bin"].high) == (128, 1024)
    assert xgboost["grow_policy"].choices == ("depthwise", "lossguide")
    assert set(names(find_space("catboost", "bluecast", PROBLEM, LOSS).params)) >= {
        *("learning_rate", "depth", "l2_leaf_reg", "bagging_temperature", "random_strength"),
        *("border_count", "bootstrap_type", "sample_weight"),
    }


@pytest.mark.parametrize(("model", "name"), [("xgboost", "min_child_weight"), ("catboost", "l2_leaf_reg")])
def test_leaves_may_be_lighter_where_classes_are_several_and_only_that_space_has_a_new_version(model, name):
    two, many = (find_space(model, "default", problem, LOSS) for problem in (PROBLEM, MANY))
    assert two.name != many.name
    low = [
        {it.name: it.distribution.low for it in space.params if hasattr(it.distribution, "low")}
        for space in (two, many)
    ]
    assert low[1].pop(name) < low[0].pop(name)
    assert low[0] == low[1]
    assert min(it[name] for it in many.opening) < min(it[name] for it in two.opening)


def test_class_weights_are_searched_only_where_they_can_help():
    def weighted(problem, metric):
        return "class_weight" in names(find_space("xgboost", "default", problem, metric).params)

    assert weighted(SKEWED, AUC)
    assert not weighted(SKEWED, LOSS)
    assert not weighted(PROBLEM, AUC)


def test_a_parameter_that_is_dead_is_not_suggested(trial):
    space = find_space("catboost", "default", PROBLEM, LOSS).overridden(None, {"bootstrap_type": "MVS"})

    assert "bagging_temperature" not in space.suggest(trial)


def test_single_ranges_are_replaced_and_values_are_fixed(trial):
    space = Space("x@1", ranges({"a": (0.0, 1.0), "b": (1, 9, "log"), "c": ["u", "v"]}))

    changed = space.overridden({"a": (0.5, 0.6), "b": None, "d": (1, 3)}, {"c": "u"})

    assert names(changed.params) == ["a", "d"]
    assert changed.fixed == {"c": "u"}
    assert 0.5 <= changed.suggest(trial)["a"] <= 0.6
    assert "0.5 to 0.6" in changed.describe()


@pytest.mark.parametrize("value", [(1,), (2, 1), (0.0, 1.0, "log"), (1, 2, "lin"), ("a", "b"), []])
def test_a_range_that_is_none_is_refused(value):
    with pytest.raises(InvalidOptionError, match="a: "):
        Space("x@1", ()).overridden({"a": value}, None)


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ((np.int64(2), np.int64(6)), IntDistribution(2, 6)),
        ((np.float32(0.5), 1), FloatDistribution(0.5, 1.0)),
        ((Fraction(1, 2), 2, "log"), FloatDistribution(0.5, 2.0, log=True)),
        (range(2, 6), CategoricalDistribution([2, 3, 4, 5])),
        (np.arange(2, 4), CategoricalDistribution([2, 3])),
        (list(np.arange(2, 4)), CategoricalDistribution([2, 3])),
        (np.array(["a", "b"]), CategoricalDistribution(["a", "b"])),
        ([np.True_, None], CategoricalDistribution([True, None])),
    ],
)
def test_numbers_of_numpy_and_ranges_of_python_are_understood(value, known):
    assert Space("x@1", ()).overridden({"a": value}, None).params[0].distribution == known


@pytest.mark.parametrize(
    "value", [{2, 3}, uniform(0, 1), (it for it in (1, 2)), pd.Series([1, 2]), {"u": 1}.keys(), np.array([])]
)
def test_what_stands_for_several_values_and_is_no_range_is_refused_in_one_line(value):
    with pytest.raises(InvalidOptionError, match=r"a: .*(is no range; write \(low, high\)|is empty; give)"):
        Space("x@1", ()).overridden({"a": value}, None)


@pytest.mark.parametrize("value", [(0, np.inf), (-np.inf, 1.0), (np.nan, 1.0)])
def test_a_range_has_two_ends(value):
    with pytest.raises(InvalidOptionError, match=r"a: the range .* has no end; give two numbers"):
        Space("x@1", ()).overridden({"a": value}, None)


@pytest.mark.parametrize(
    "value", ["text", np.int64(3), 0.5, True, {"a": 1.0}, RandomForestClassifier(), np.array(3.0), len]
)
def test_a_single_value_stays_what_it_is(value):
    assert Space("x@1", ()).overridden({"a": value}, None).fixed == {"a": value}


@pytest.mark.parametrize(("model", "bins"), [("xgboost", "max_bin"), ("catboost", "border_count")])
def test_numbers_of_many_rows_are_cut_into_64_bins_and_those_of_few_as_the_library_does(model, bins):
    many = read_problem(np.arange(2000.0).reshape(1000, 2), [0, 1] * 500)

    assert find_space(model, "default", many, LOSS).fixed == {bins: 64}
    assert find_space(model, "default", PROBLEM, LOSS).fixed == {}
    assert find_space(model, "bluecast", many, LOSS).fixed == {}
