"""Folds whose training rows lack a class, as those of groups or of the user's own may."""

import threading

import numpy as np
import pytest
from catboost import CatBoostClassifier
from sklearn.model_selection import TimeSeriesSplit
from sklearn.svm import LinearSVC

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.models.folds import split_holdout
from optuna_nb.models.problem import read_problem

CLASSES = np.repeat([0, 1, 2], 60)
X = np.random.default_rng(0).normal(size=(180, 3)) + np.eye(3)[CLASSES] * 8


def halves(missing, y):
    """Return one split: half of the rows of two classes learn, the other half scores."""
    rows = np.flatnonzero(y != missing)
    return [(rows[::2], rows[1::2])]


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize(
    ("model", "options"),
    [
        *((name, {}) for name in ("ridge", "svm", "logistic", "knn")),
        (LinearSVC(), {"space": {"C": (0.1, 10.0, "log")}}),
        ("xgboost", {"fix": {"class_weight": "balanced", "n_estimators": 9, "min_child_weight": 1}}),
        ("catboost", {"fix": {"class_weight": "balanced", "iterations": 5}}),
    ],
)
def test_a_model_is_right_about_the_classes_that_a_fold_holds(trial, model, options, missing):
    cv = halves(missing, CLASSES)
    asked = AutotuneOptions(model=model, X=X, y=CLASSES, cv=cv, metric="accuracy", **options)
    assert prepare(asked).objective.evaluate(trial)[0] > 0.95


@pytest.mark.parametrize("model", ["ridge", "catboost"])
def test_only_rows_of_a_class_that_a_fold_lacks_are_wrong(trial, model):
    known, unknown = np.flatnonzero(CLASSES != 1), np.flatnonzero(CLASSES == 1)
    cv = [(known[::2], np.append(known[1::2], unknown))]
    asked = AutotuneOptions(model=model, X=X, y=CLASSES, cv=cv, metric="accuracy")
    assert prepare(asked).objective.evaluate(trial)[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("weights", [[0.2, 1.0, 1.8], {0: 0.2, 1: 1.0, 2: 1.8}], ids=["list", "dict"])
def test_weights_of_classes_stay_with_their_class_in_catboost(weights, missing):
    y = np.where(np.arange(180) % 3, CLASSES, (CLASSES + 1) % 3)  # so hard that weights count
    params = {"iterations": 20, "depth": 3, "learning_rate": 0.1}

    def predicted(model, by_row=None):
        asked = AutotuneOptions(model=model, X=X, y=y, cv=halves(missing, y), sample_weight=by_row)
        learner = prepare(asked).objective.evaluate.learner
        return learner.fit_fold(0, params, 1, threading.Event()).predict(None)

    by_class = predicted(CatBoostClassifier(class_weights=weights))
    by_row = predicted(CatBoostClassifier(), np.array([0.2, 1.0, 1.8])[y])
    np.testing.assert_allclose(by_class, by_row, atol=1e-9)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_balanced_rows_weigh_the_same_whichever_class_is_lacking(missing):
    from optuna_nb.models.xgboost_model import _balanced

    assert _balanced(CLASSES[missing != CLASSES]) == pytest.approx(np.ones(120))


@pytest.mark.parametrize("model", ["logistic", "xgboost", "catboost"])
def test_a_fold_that_learns_from_one_class_is_refused(model):
    y = np.repeat(["no", "yes"], 90)
    with pytest.raises(InvalidOptionError, match="fold 1 of 5 learns from one class only, 'no': take"):
        prepare(AutotuneOptions(model=model, X=X, y=y, cv=TimeSeriesSplit(5)))


def test_a_holdout_that_takes_all_rows_of_a_class_is_refused():
    groups = np.where(CLASSES == 1, 99, np.arange(180) % 3)
    problem = read_problem(X, np.array(list("abc"))[CLASSES], groups=groups)
    with pytest.raises(InvalidOptionError, match=r"--holdout 0\.5 leaves no row of class 'b' to learn from"):
        split_holdout(problem, 0.5, seed=1)


@pytest.mark.parametrize("model", ["logistic", "xgboost"])
def test_scoring_rows_may_lack_a_class_by_default(trial, model):
    y = np.concatenate([np.arange(120) % 3, np.arange(60) % 2])  # sorted in time: the last class has gone
    asked = AutotuneOptions(model=model, X=X, y=y, cv=TimeSeriesSplit(2), race=False)
    assert np.isfinite(prepare(asked).objective.evaluate(trial)).all()
