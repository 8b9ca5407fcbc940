"""Metrics in the sign that the field reads them."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    fbeta_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    mean_pinball_loss,
)

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.metrics import as_estimator, by_name, find_metric, target_of, task_of_metric
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


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        *((name, "regression") for name in ("rmse", "mae", "R2", "mape", "neg_mean_poisson_deviance")),
        *((name, "classification") for name in ("acc", "log_loss", "auc", "f1_macro", "ap", "mcc")),
        (make_scorer(mean_pinball_loss), "regression"),
        (make_scorer(fbeta_score, beta=2), "classification"),
        *((it, None) for it in (None, "rocauc", "mutual_info_score", weighs, make_scorer(weighs))),
    ],
)
def test_a_known_metric_tells_classes_from_numbers_and_no_other_does(metric, task):
    assert task_of_metric(metric) == task


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "f1", "log_loss", make_scorer(accuracy_score)])
def test_a_metric_of_classes_is_refused_where_y_is_continuous(metric):
    with pytest.raises(InvalidOptionError, match=r"scores classes and the problem is regression: take a --m"):
        find_metric(metric, NUMBERS)


@pytest.mark.parametrize("metric", ["rmse", "r2", make_scorer(mean_pinball_loss)])
def test_a_metric_of_numbers_is_refused_where_classes_are_text(metric):
    with pytest.raises(InvalidOptionError, match="scores numbers and y holds classes, as 'no': take a"):
        find_metric(metric, read_problem(X, ["no", "yes"] * 10))


def test_a_metric_of_numbers_sees_the_labels_of_a_classifier_and_not_the_numbers_of_its_classes():
    problem = read_problem(X, [30, 50] * 10)
    metric = find_metric("mae", problem)
    ready = as_estimator(np.tile([1.0, 0.0], (20, 1)), metric, problem)  # 30 for every row
    assert metric.score(ready, X, target_of(metric, problem)) == pytest.approx(10)


@pytest.mark.parametrize("name", ["log_loss", "brier_score", "d2_log_loss_score", "d2_brier_score"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_score_of_probabilities_knows_classes_that_the_scoring_rows_lack(name, classes):
    problem = read_problem(X, np.arange(20) % classes)
    metric = find_metric(name, problem)
    found = np.random.default_rng(0).dirichlet(np.ones(classes), size=20)
    ready = as_estimator(found, metric, problem)
    for rows in (
        problem.y < 2,
        problem.y < (2 if name.startswith("d2") else 1),
    ):  # nothing explains one class
        few = as_estimator(found[rows], metric, problem)
        assert np.isfinite(metric.score(few, X[rows], problem.y[rows]))
    plain = get_scorer(name if name.startswith("d2") else f"neg_{name}")
    assert metric.score(ready, X, problem.y) == pytest.approx(-metric.sign * plain(ready, X, problem.y))


def test_a_function_of_scikit_learn_is_the_metric_of_its_name():
    assert [by_name(it) for it in (accuracy_score, log_loss, "rmse", None)] == [
        *("accuracy_score", "log_loss", "rmse", None)
    ]
    made = make_scorer(accuracy_score)
    assert by_name(made) is made


def test_a_function_of_targets_and_predictions_is_no_scorer():
    def spread(y_true, y_pred):
        return float(abs(y_true - y_pred).max())

    with pytest.raises(InvalidOptionError, match=r"called with \(model, X, y\): give make_scorer\(spread\)"):
        find_metric(spread, NUMBERS)
