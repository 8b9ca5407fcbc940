"""Metrics by scikit-learn's names, in the sign that the field reads them.

A scorer of scikit-learn is to be maximised, so a loss has a minus before it there.
Here ``log_loss`` is what it is, 0.31, and is minimised. Scorers are fed predictions
that were made before, so that any of them works with every library.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer
from sklearn.utils.metaestimators import available_if

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.answers import METHODS, Answers, Predicted, PredictedClasses, PredictedNumbers
from optuna_nb.models.problem import Problem, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALIASES = {
    "rmse": "neg_root_mean_squared_error",
    "mse": "neg_mean_squared_error",
    "mae": "neg_mean_absolute_error",
    "auc": "roc_auc",
    "acc": "accuracy",
    "roc": "roc_auc",
    "ap": "average_precision",
    "mape": "neg_mean_absolute_percentage_error",
    "msle": "neg_mean_squared_log_error",
    "rmsle": "neg_root_mean_squared_log_error",
    "mcc": "matthews_corrcoef",
    "logloss": "neg_log_loss",
    "brier_score": "neg_brier_score",
}
_PROPER = {"log_loss", "brier_score"}  # class weights only spoil these
_TOLD_CLASSES = {*_PROPER, "d2_log_loss_score", "d2_brier_score"}  # else those of a fold are all to them
_OF_CLASSES = ("._classification", "._ranking", "._scorer")  # modules of sklearn.metrics
_OF_NUMBERS = "._regression"


@dataclass(frozen=True, slots=True)
class Metric:
    """How predictions are scored.

    Attributes:
        name: What the score is called, without a ``neg_``.
        direction: ``"minimize"`` or ``"maximize"``.
        scorer: Called with an estimator, rows and target; greater is better.
        is_proper: Whether the score rewards honest probabilities and nothing else.
        speaks_labels: Whether the scorer is the user's own, which sees classes by their labels, or one of
            numbers, as rmse; others that have a name, or ask for a class and are told none, see class
            numbers, so that the last class is the one that f1 is of.
    """

    name: str
    direction: str
    scorer: Any
    is_proper: bool
    speaks_labels: bool = False

    @property
    def sign(self) -> float:
        """1 where less is better, -1 where more is."""
        return 1.0 if self.direction == "minimize" else -1.0

    @property
    def asks(self) -> tuple[str, ...]:
        """The methods of which a scorer asks the first that a model has; none where nobody knows."""
        asked = getattr(self.scorer, "_response_method", ())
        return tuple(asked) if isinstance(asked, (tuple, list)) else (asked.replace("default", "predict"),)

    def asks_of(self, model: Any) -> list[str]:
        """Return the methods of a classifier that a score is made of."""
        able = [name for name in METHODS if hasattr(model, name)]
        return [name for name in self.asks if name in able][:1] if self.asks else able

    def score(self, model: Any, X: Any, y: Any, weights: NDArray[Any] | None = None) -> float:
        """Score a fitted model in the natural sign."""
        extra = {} if weights is None else {"sample_weight": weights}
        value = float(self.scorer(model, X, y, **extra))
        return -value if self.direction == "minimize" else value


def find_metric(metric: Any, problem: Problem) -> Metric:
    """Find a metric by name or make one of a scorer.

    Args:
        metric: Name of any scikit-learn scorer, with or without ``neg_``; a scorer, or a
            function of (estimator, X, y) that returns a number, greater being better;
            None for log loss, or root mean squared error.
        problem: What is scored.

    Raises:
        InvalidOptionError: If there is no such metric, or it does not fit the problem.
    """
    found = _find(metric, problem)
    if problem.weights is not None and not _takes_weights(found.scorer):
        raise InvalidOptionError(
            f"{found.name} takes no sample_weight: leave the weights out, or take another --metric",
            code="NB606",
        )
    return found


def by_name(metric: Any) -> Any:
    """Return the name of a function of scikit-learn, which is no scorer, but one is called so.

    Anything else is returned as it is.
    """
    is_function = inspect.isfunction(metric) and metric.__module__.startswith("sklearn.metrics.")
    return metric.__name__ if is_function else metric


def task_of_metric(metric: Any) -> str | None:
    """Return what a metric of scikit-learn is for, ``"classification"`` or ``"regression"``.

    Args:
        metric: As :func:`find_metric` takes it. None, an unknown name and a function of
            the user's own say nothing, and neither do scores of clusters.
    """
    name = _spelled(metric) if isinstance(metric, str) else None
    function = getattr(metric if name is None else get_scorer(name), "_score_func", None)
    home = str(getattr(function, "__module__", ""))
    if not home.startswith("sklearn.metrics"):
        return None
    if home.endswith(_OF_NUMBERS):
        return "regression"
    return "classification" if home.endswith(_OF_CLASSES) else None


def _spelled(metric: str) -> str | None:
    """Return the name that scikit-learn has for a metric; None where it has no such metric."""
    names = get_scorer_names()
    plain = _plain(metric)
    spellings = (_ALIASES.get(plain), plain, f"neg_{plain}", plain.removesuffix("_score"))
    return next((it for it in spellings if it in names), None)


def _plain(metric: str) -> str:
    return metric.strip().lower().replace(" ", "_")


def _scores_labels(name: str, of: str | None, problem: Problem) -> bool:
    """Tell whether a metric is of numbers and the classes are numbers: 30 and 40 are 10 apart.

    Raises:
        InvalidOptionError: If it is of numbers and the classes are none, or it is of classes and y is not.
    """
    if of == "classification" and problem.classes is None:
        raise InvalidOptionError(
            f"{name} scores classes and the problem is {problem.task}: take a --metric of numbers, as rmse,"
            " or --problem classification",
            code="NB606",
        )
    if of != "regression" or problem.classes is None:
        return False
    if problem.classes.dtype.kind not in "iufb":
        raise InvalidOptionError(
            f"{name} scores numbers and y holds classes, as {problem.classes.tolist()[0]!r}: take a --metric"
            " of classes, as accuracy",
            code="NB606",
        )
    return problem.classes.dtype.kind != "b"


def _find(metric: Any, problem: Problem) -> Metric:
    if metric is None:
        metric = "root_mean_squared_error" if problem.task is Task.REGRESSION else "log_loss"
    of = task_of_metric(metric)
    if not isinstance(metric, str):
        if not callable(metric):
            raise InvalidOptionError(
                f"metric is of type {type(metric).__name__}: give the name of a scorer, as roc_auc",
                code="NB606",
            )
        if not _takes_model(metric):
            function = getattr(metric, "__name__", "f")
            raise InvalidOptionError(
                f"a metric is called with (model, X, y): give make_scorer({function}), with"
                " greater_is_better=False where less is better",
                code="NB606",
            )
        least = getattr(metric, "_sign", 1) < 0
        function = getattr(metric, "_score_func", metric)
        name = getattr(function, "__name__", type(metric).__name__)
        direction = "minimize" if least else "maximize"
        _scores_labels(name, of, problem)
        return Metric(name, direction, metric, name in _PROPER, speaks_labels=not _needs_last_class(metric))
    known = _spelled(metric)
    if known is None:
        from difflib import get_close_matches

        names = [name.removeprefix("neg_") for name in get_scorer_names()]
        near = get_close_matches(_plain(metric), [*_ALIASES, *names], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; take one of sklearn.metrics.get_scorer_names()"
        raise InvalidOptionError(f"no metric is called {metric!r}{hint}", code="NB606")
    if known == "roc_auc" and problem.task is Task.MULTICLASS:
        known = "roc_auc_ovr"
    elif known in ("f1", "precision", "recall", "jaccard") and problem.task is Task.MULTICLASS:
        raise InvalidOptionError(
            f"{known} is for two classes and y has more: take {known}_macro or {known}_weighted",
            code="NB606",
        )
    name = known.removeprefix("neg_")
    direction = "minimize" if known.startswith("neg_") else "maximize"
    numeric = _scores_labels(name, of, problem)
    scorer = get_scorer(known)
    if name in _TOLD_CLASSES and problem.classes is not None:
        scorer = _told_classes(scorer, len(problem.classes))
    return Metric(name, direction, scorer, is_proper=name in _PROPER, speaks_labels=numeric)


def _told_classes(scorer: Any, count: int) -> Any:
    """Return a scorer of probabilities that knows all class numbers: scoring rows may lack some."""
    return make_scorer(
        scorer._score_func,  # noqa: SLF001 - scikit-learn has no public name for it
        response_method="predict_proba",
        greater_is_better=scorer._sign > 0,  # noqa: SLF001 - likewise
        labels=list(range(count)),
    )


def _takes_weights(scorer: Any) -> bool:
    try:
        known = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    except ValueError:
        return True  # of what is not Python nobody knows
    return "sample_weight" in known or any(it.kind is it.VAR_KEYWORD for it in known.values())


def _takes_model(scorer: Any) -> bool:
    """Tell whether a scorer can be called with a model, rows and targets."""
    try:
        inspect.signature(scorer).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:
        return True  # of what is not Python nobody knows
    return True


def _needs_last_class(scorer: Any) -> bool:
    """Tell whether a scorer of scikit-learn is of one class, and nobody has said of which."""
    if not hasattr(scorer, "_score_func") or "pos_label" in getattr(scorer, "_kwargs", {}):
        return False
    return "pos_label" in inspect.signature(scorer._score_func).parameters  # noqa: SLF001


def target_of(metric: Metric, problem: Problem) -> NDArray[Any]:
    """Return the target as a metric sees it: class numbers, labels or numbers, ``(n_rows,)``."""
    return problem.labels if metric.speaks_labels else problem.y


def as_estimator(predictions: NDArray[Any] | Answers, metric: Metric, problem: Problem) -> Predicted:
    """Wrap predictions for a scorer."""
    if problem.classes is None:
        return PredictedNumbers(predictions)
    numbers = np.arange(len(problem.classes))
    return PredictedClasses(predictions, problem.classes if metric.speaks_labels else numbers)


class Numbered(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier of labels, seen by a scorer of class numbers.

    Args:
        estimator: Fitted on labels.
        labels: The label of each class number.
    """

    def __init__(self, estimator: Any, labels: Any) -> None:
        self.estimator = estimator
        self.labels = labels
        self.classes_ = np.arange(len(labels))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Numbered:  # noqa: ARG002 - scikit-learn's signature
        """Return itself: it is fitted."""
        return self

    def predict(self, X: Any) -> Any:
        """Return one class number a row."""
        return np.searchsorted(self.labels, np.ravel(self.estimator.predict(X)))

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return one probability a row and class, in the order of the class numbers."""
        found = self.estimator.predict_proba(X)
        ordered = np.zeros((len(found), len(self.labels)))
        ordered[:, np.searchsorted(self.labels, self.estimator.classes_)] = found
        return ordered

    @available_if(lambda self: hasattr(self.estimator, "decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:
        """Return the distance of each row to the border between classes."""
        return self.estimator.decision_function(X)
