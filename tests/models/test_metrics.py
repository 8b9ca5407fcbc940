"""Metrics in the sign that the field reads them."""

import numpy as np
import pytest
from sklearn.metrics import (
    fbeta_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    mean_pinball_loss,
)

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.metrics import as_estimator, find_metric
from optuna_nb.models.problem import read_problem

X = np.arange(40.0).reshape(20, 2)
BINARY = read_problem(X, [0, 1] * 10)
NUMBERS = read_problem(X, np.linspace(0.5, 9, 20))
WEIGHTED = read_problem(X, np.linspace(0.5, 9, 20), sample_weight=np.ones(20))
LOG_LOSS = find_metric("log_loss", BINARY)


@pytest.mark.parametrize(
    ("name", "shown", "direction"),
    [
        ("neg_log_loss", "log_loss", "minimize"),
        ("log_loss", "log_loss", "minimize"),
        ("roc_auc", "roc_auc", "maximize"),
        ("rmse", "root_mean_squared_error", "minimize"),
        ("r2", "r2", "maximize"),
        (make_scorer(mean_pinball_loss, greater_is_better=False), "mean_pinball_loss", "minimize"),
        (make_scorer(fbeta_score, beta=2), "fbeta_score", "maximize"),
    ],
)
def test_the_name_has_no_minus_and_the_direction_is_right(name, shown, direction):
    metric = find_metric(name, BINARY)

    assert (metric.name, metric.direction) == (shown, direction)


def test_a_loss_is_a_positive_number_and_equals_the_function_of_scikit_learn():
    probabilities = np.column_stack([np.linspace(0.9, 0.1, 20), np.linspace(0.1, 0.9, 20)])

    found = LOG_LOSS.score(as_estimator(probabilities, LOG_LOSS, BINARY), X, BINARY.y)

    assert found == pytest.approx(log_loss(BINARY.y, probabilities), abs=1e-12)


@pytest.mark.parametrize(
    "name", ["roc_auc", "accuracy", "average_precision", "f1", "balanced_accuracy", "neg_brier_score"]
)
def test_predictions_made_before_score_as_a_fitted_model_does(name):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(X, BINARY.y)
    ready = as_estimator(model.predict_proba(X), LOG_LOSS, BINARY)

    assert get_scorer(name)(ready, X, BINARY.y) == pytest.approx(get_scorer(name)(model, X, BINARY.y))


def test_sample_weights_count():
    metric = find_metric("rmse", NUMBERS)
    ready = as_estimator(np.zeros(20), LOG_LOSS, NUMBERS)
    heavy = np.where(np.arange(20) == 0, 1.0, 0.0)

    assert metric.score(ready, X, NUMBERS.y, heavy) == pytest.approx(0.5)


def test_every_scorer_of_scikit_learn_is_known():
    for name in get_scorer_names():
        assert find_metric(name, BINARY).direction in ("minimize", "maximize")


@pytest.mark.parametrize(
    ("name", "scorer"),
    [
        *(("acc", "accuracy"), ("Accuracy", "accuracy"), ("accuracy_score", "accuracy"), ("auc", "roc_auc")),
        *(("roc", "roc_auc"), ("roc_auc_score", "roc_auc"), ("f1_score", "f1"), ("mcc", "matthews_corrcoef")),
        *(("logloss", "log_loss"), ("mse", "mean_squared_error"), ("mae", "mean_absolute_error")),
        *(("mape", "mean_absolute_percentage_error"), ("r2_score", "r2"), ("brier_score", "brier_score")),
        *(("rmsle", "root_mean_squared_log_error"), ("mutual_info_score", "mutual_info_score")),
    ],
)
def test_a_metric_has_the_names_that_people_call_it(name, scorer):
    assert find_metric(name, BINARY).name == scorer


def weighs_not(estimator, X, y):
    return 1.0


def weighs(estimator, X, y, sample_weight=None):
    return 1.0


def takes_all(estimator, X, y, **options):
    return 1.0


@pytest.mark.parametrize(
    "metric", ["max_error", "mutual_info_score", weighs_not, make_scorer(lambda y, found: 1.0)]
)
def test_a_metric_that_takes_no_weights_is_refused_with_them(metric):
    with pytest.raises(InvalidOptionError, match="takes no sample_weight: leave the weights out"):
        find_metric(metric, WEIGHTED)
    assert find_metric(metric, NUMBERS).direction


@pytest.mark.parametrize("metric", ["rmse", None, weighs, takes_all, make_scorer(mean_pinball_loss)])
def test_a_metric_that_takes_weights_gets_them(metric):
    ready = as_estimator(np.zeros(20), LOG_LOSS, WEIGHTED)
    assert find_metric(metric, WEIGHTED).score(ready, X, NUMBERS.y, WEIGHTED.weights) >= 0


def test_a_misspelt_metric_names_the_nearest():
    with pytest.raises(InvalidOptionError, match="did you mean roc_auc"):
        find_metric("rocauc", BINARY)
