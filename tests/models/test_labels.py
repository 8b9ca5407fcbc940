"""Classes have the user's labels wherever the user meets them: scorers, weights, the holdout."""

import re

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, get_scorer, make_scorer

from optuna_nb.errors import InvalidOptionError

LABELS = [np.array(["no", "yes"]), np.array([1, 2]), np.array([0, 1])]


@pytest.fixture
def skewed():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    return X, (X[:, 0] + rng.normal(scale=0.7, size=400) > 1).astype(int)


@pytest.mark.parametrize("metric", [get_scorer("f1"), make_scorer(f1_score)], ids=["known", "made"])
def test_a_scorer_that_was_told_no_class_is_of_the_last_one(tuned, skewed, metric):
    X, y = skewed[0], LABELS[1][skewed[1]]
    found, named = (
        tuned("logistic", X, y, trials=2, folds=2, metric=it, holdout=0.3) for it in (metric, "f1")
    )
    assert found.best_value == named.best_value
    assert found.study.user_attrs["holdout"] == named.study.user_attrs["holdout"]


@pytest.mark.parametrize("metric", ["f1", "precision", "average_precision", "brier_score", "roc_auc"])
@pytest.mark.parametrize("labels", LABELS, ids=lambda it: str(it[1]))
def test_a_metric_of_one_class_is_of_the_last_one_in_trials_and_holdout(tuned, skewed, metric, labels):
    X, y = skewed
    handle, numbers = (
        tuned("logistic", X, target, trials=2, folds=2, metric=metric, holdout=0.3)
        for target in (labels[y], y)
    )
    assert handle.best_value == numbers.best_value
    found, known = (it.study.user_attrs["holdout"]["score"] for it in (handle, numbers))
    assert found == pytest.approx(known)


@pytest.mark.parametrize("labels", [*LABELS, np.array([False, True])], ids=lambda it: str(it[1]))
def test_weights_of_classes_mean_the_same_in_whatever_order_they_are_named(tuned, skewed, labels):
    X, y = skewed
    no, yes = labels.tolist()
    given = [{no: 1.0, yes: 3.0}, {yes: 3.0, no: 1.0}, {yes: 3.0}]
    made = [
        tuned(
            "catboost",
            X,
            labels[y],
            trials=1,
            folds=2,
            holdout=0.3,
            fix={"class_weights": it, "iterations": 20},
            name=f"study{k}",
        )
        for k, it in enumerate(given)
    ]
    assert len({handle.best_value for handle in made}) == 1
    assert made[0].best_value < 0.5
    assert {it.study.user_attrs["holdout"]["score"] < 0.5 for it in made} == {True}
    assert (made[1].best_model.predict(X) == labels[y]).mean() > 0.85


def test_a_weight_of_what_is_no_class_is_refused(tuned, skewed):
    X, y = skewed[0], LABELS[0][skewed[1]]
    with pytest.raises(
        InvalidOptionError, match="class_weights names 0, which is no class of y: those are 'no'"
    ):
        tuned("catboost", X, y, fix={"class_weights": {0: 1, 1: 2}})


def yes_alone(estimator, X, y):
    """Half a point for each "yes" that is found; any other target scores nothing."""
    return float(np.mean((y == "yes") & (estimator.predict(X) == "yes"))) / 2


@pytest.mark.parametrize("metric", [yes_alone, make_scorer(f1_score, pos_label="yes")])
def test_a_scorer_of_the_users_own_sees_labels(tuned, skewed, metric):
    X, y = skewed[0], LABELS[0][skewed[1]]
    handle = tuned("logistic", X, y, trials=2, folds=2, metric=metric, holdout=0.3)
    assert handle.best_value > 0.02
    assert handle.study.user_attrs["holdout"]["score"] > 0.02


@pytest.mark.parametrize(
    "model",
    [
        lambda weights: LogisticRegression(class_weight=weights),
        lambda weights: CatBoostClassifier(class_weights=weights, iterations=20, depth=2),
    ],
    ids=["logistic", "catboost"],
)
def test_weights_of_classes_are_named_by_their_labels(tuned, skewed, model):
    X, y = skewed
    named = tuned(model({"no": 1.0, "yes": 9.0}), X, LABELS[0][y], trials=2, folds=2)
    numbered = tuned(model({0: 1.0, 1: 9.0}), X, y, trials=2, folds=2)
    assert named.best_value == numbered.best_value
    assert np.array_equal(named.best_model.predict(X) == "yes", numbered.best_model.predict(X) == 1)


def rebuilt(handle, X, y, **names):
    """Run the printed code, and what it says of the fit."""
    code = handle.study.user_attrs["code"]
    names |= {"X": X, "y": y}
    exec(code, names)  # noqa: S102 - it is what a reader would run
    said = re.search(r"model\.fit\(.*\)$", code, re.MULTILINE)
    return eval(said[0] if said else "model.fit(X, y)", names)  # noqa: S307 - likewise


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([-1, 1]), np.array([False, True])])
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text"])
def test_the_printed_code_of_xgboost_takes_the_users_labels_and_predicts_them(tuned, skewed, labels, text):
    X, y = pd.DataFrame(skewed[0], columns=list("abc")), labels[skewed[1]]
    X = X.assign(t=np.where(X["a"] > 0, "u", "v")) if text else X
    handle = tuned("xgboost", X, y, trials=2, folds=2)
    model = rebuilt(handle, X, y)
    np.testing.assert_allclose(model.predict_proba(X), handle.best_model.predict_proba(X), rtol=1e-5)
    assert np.array_equal(model.predict(X), handle.best_model.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [np.arange(3), np.array(list("abc"))], ids=["numbers", "text"])
@pytest.mark.parametrize("text", [False, True])
def test_the_printed_code_of_xgboost_balances_rows_of_many_classes(tuned, skewed, labels, weighted, text):
    X = pd.DataFrame(skewed[0], columns=list("abc"))
    X = X.assign(t=np.where(X["a"] > 0, "u", "v")) if text else X
    y = labels[np.digitize(X["a"] + X["b"], [0.9, 1.9])]
    weights = np.linspace(1, 3, len(y)) if weighted else None
    options = {"fix": {"class_weight": "balanced", "n_estimators": 9}, "sample_weight": weights}
    handle = tuned("xgboost", X, y, trials=1, folds=2, metric="f1_macro", **options)
    model = rebuilt(handle, X, y, sample_weight=weights)
    np.testing.assert_allclose(model.predict_proba(X), handle.best_model.predict_proba(X), rtol=1e-5)
    assert text or handle.best_model.feature_importances_.shape == (3,)
