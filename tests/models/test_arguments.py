"""What autotune is asked for is understood or refused in one line before any trial."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import PredefinedSplit, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from optuna_nb.cell.autotune import autotune
from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.tuning import background

X = np.random.default_rng(0).normal(size=(90, 3))
Y = (X[:, 0] > 0).astype(int)
TREE = DecisionTreeClassifier()
SPLIT = [(range(60), range(60, 90))]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"space": {"max_dept": (2, 3)}}, "xgboost has no parameter 'max_dept': did you mean max_depth"),
        ({"fix": {"learnin_rate": 0.1}}, "did you mean learning_rate"),
        ({"space": {"C": (0.1, 1.0)}}, "it searches learning_rate, max_depth"),
        ({"model": "catboost", "fix": {"dept": 3}}, "did you mean depth"),
        ({"model": "logistic", "space": {"pca__n_components": (1, 2)}}, "it searches C"),
        ({"space": [1]}, "space takes a dict by names"),
        ({"fix": "max_depth=3"}, "fix takes a dict by names"),
        ({"space": {1: (1, 2)}}, "space takes a dict by names"),
        ({"cv": SPLIT, "holdout": 0.2}, "--holdout leaves other rows than cv numbers"),
        ({"cv": PredefinedSplit(Y), "holdout": 0.2}, "--holdout leaves other rows than cv numbers"),
        ({"X": None, "y": None, "data": {"a": 1}, "target": "a"}, "data is of type dict: give a DataFrame"),
        ({"model": Pipeline([])}, "the Pipeline is empty"),
        ({"fold_jobs": 0}, "give 1 or more"),
        ({"model": "logistic", "X": pd.DataFrame({"a": X[:, 0], 0: 1.0})}, "are not all text: X.columns ="),
        (
            {"model": "random_forest", "X": pd.DataFrame({("a", 1): X[:, 0], ("a", 2): "text"})},
            "are not all text: X.columns =",
        ),
        ({"space": {"tree_method": ["hist", "approx"]}}, "leave the other tree_method or booster out"),
        (
            {"model": "catboost", "X": pd.DataFrame({"a": pd.array([True, False, None] * 30)})},
            r"column 'a' holds True, False and gaps, .* X\['a'\].astype\('category'\)",
        ),
        ({"model": "catboost", "fix": {"cat_features": [0]}}, "names 0, which holds numbers"),
        ({"fix": {"n_estimators": 5.5}}, "n_estimators=5.5: give a whole number"),
        ({"fix": {"n_estimators": "5"}}, "n_estimators='5': give a whole number"),
        ({"space": {"max_depth": [(2,), (3,)]}}, "only numbers, text, True, False and None can"),
        (
            {"X": pd.DataFrame({"a[0]": X[:, 0]})},
            "no \\[, \\] or < in the name of a column, as in 'a\\[0\\]'",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked, says):
    with pytest.raises(InvalidOptionError, match=says) as caught:
        prepare(AutotuneOptions(**{"model": "xgboost", "X": X, "y": Y, **asked}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        (AdaBoostClassifier(), {"fix": {"estimator": TREE}, "space": {"estimator__max_depth": (1, 3)}}),
        ("svm", {"fix": {"max_iter": -1}}),
        ("random_forest", {"fix": {"n_estimators": np.int64(10), "bootstrap": False}}),
        (
            "xgboost",
            {"X": pd.DataFrame(X, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]))},
        ),
        ("xgboost", {"X": pd.DataFrame({"a": X[:, 0], 0: 1.0})}),
        ("logistic", {"cv": np.int64(3), "holdout": np.float32(0.2)}),
        ("xgboost", {"X": pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(X[:, 1] > 0)})}),
        ("logistic", {"y": np.array(["no", "yes"])[Y], "metric": get_scorer("f1")}),
    ],
    ids=range(8),
)
def test_what_is_unusual_is_taken(tuned, model, asked):
    handle = tuned(model, **{"X": X, "y": Y, "trials": 3, "folds": 2, **asked})
    assert "FAIL" not in {trial.state.name for trial in handle.study.trials}
    assert handle.best_model is not None


def test_splits_that_can_be_read_once_are_the_same_for_all_models(compare):
    split = StratifiedKFold(3).split(X, Y)
    assert len(compare(["logistic", "knn"], name="c", cv=split).table) == 2


@pytest.mark.parametrize("name", ["eta", "colsample_bylevel", "n_estimators", "rate_drop", "sample_weight"])
def test_names_that_the_library_knows_are_taken(name):
    fixed = prepare(AutotuneOptions(model="xgboost", X=X, y=Y, fix={name: 1})).objective.evaluate.fixed
    assert set(fixed.values()) == {1}


def test_own_splits_that_can_be_read_once_only_are_told_apart():
    first, same, other = (
        prepare(AutotuneOptions(model="logistic", X=X, y=Y, cv=iter(split))).objective.fingerprint
        for split in (SPLIT, SPLIT, [(range(50), range(50, 90))])
    )
    assert first == same
    assert first["splits"] != other["splits"]


@pytest.fixture
def compare(tmp_path):
    def run(models, **options):
        storage = f"sqlite:///{tmp_path}/tuning.db"
        return autotune(models, X, Y, folds=2, trials=8, storage=storage, wait=True, **options)

    yield run
    background.shut_down_all()


def test_models_that_give_no_probabilities_are_compared_by_accuracy(compare):
    table = compare(["logistic", "svm"], name="c").table
    assert list(table.columns) == ["model", "study", "trials", "accuracy", "std"]
    assert table["accuracy"].is_monotonic_decreasing


def test_two_models_of_one_family_are_two(compare):
    models = [XGBClassifier(max_depth=1), XGBClassifier(max_depth=6)]
    assert sorted(compare(models, name="c").table["study"]) == ["c_xgboost@1", "c_xgboost_2@1"]
    assert sorted(compare(models).table["study"]) == [
        "xgboost_2_tuning_seed_33@1",
        "xgboost_tuning_seed_33@1",
    ]


@pytest.mark.parametrize(
    ("models", "options", "says"),
    [
        (["logistic", "lasso"], {}, "logistic by log_loss, lasso by root_mean_squared_error"),
        ([], {}, "the list of models is empty"),
        (["logistic", "knn"], {"refine": True}, "leave --more, --timeout and --refine out"),
    ],
)
def test_models_that_do_not_compare_are_named(compare, models, options, says):
    with pytest.raises(InvalidOptionError, match=says):
        compare(models, **options)


def test_a_time_may_be_written_as_on_the_line(tmp_path):
    storage = f"sqlite:///{tmp_path}/tuning.db"
    handle = autotune("logistic", X, Y, timeout="1s", folds=2, storage=storage, wait=True)
    assert handle.snapshot().note.startswith("stopped after the timeout of 1 s")


def test_no_trials_are_not_fifty(tmp_path):
    with pytest.raises(InvalidOptionError, match="--trials takes a whole number from 1"):
        autotune("logistic", X, Y, trials=0, storage=f"sqlite:///{tmp_path}/tuning.db")
