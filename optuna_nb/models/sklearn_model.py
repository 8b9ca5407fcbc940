"""scikit-learn models, by name or the user's own: preprocessed folds are shared by all trials.

Histogram gradient boosting finds its rounds on a tenth of the training rows that it
sets apart itself; its scoring rows choose nothing.
"""

from __future__ import annotations

import inspect
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import ensemble, linear_model, neighbors, svm, tree
from sklearn.base import clone
from threadpoolctl import ThreadpoolController

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.answers import ask
from optuna_nb.models.learner import FoldFit, Learner, weight_argument
from optuna_nb.models.presets import CLASS_WEIGHT, MODELS
from optuna_nb.models.shared import Shared
from optuna_nb.models.threads import fitting_threads

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from optuna_nb.models.answers import Answers
    from optuna_nb.models.spaces import Space
    from optuna_nb.models.stopping import Limit

CLASSIFIERS = {
    "hist_gradient_boosting": ensemble.HistGradientBoostingClassifier,
    "random_forest": ensemble.RandomForestClassifier,
    "extra_trees": ensemble.ExtraTreesClassifier,
    "decision_tree": tree.DecisionTreeClassifier,
    "logistic": linear_model.LogisticRegression,
    "ridge": linear_model.RidgeClassifier,
    "svm": svm.SVC,
    "knn": neighbors.KNeighborsClassifier,
}
REGRESSORS = {
    "hist_gradient_boosting": ensemble.HistGradientBoostingRegressor,
    "random_forest": ensemble.RandomForestRegressor,
    "extra_trees": ensemble.ExtraTreesRegressor,
    "decision_tree": tree.DecisionTreeRegressor,
    "ridge": linear_model.Ridge,
    "lasso": linear_model.Lasso,
    "elastic_net": linear_model.ElasticNet,
    "svm": svm.SVR,
    "knn": neighbors.KNeighborsRegressor,
}
WITHOUT_PROBABILITIES = ("ridge", "svm")  # classifiers that only decide
MOST_ROUNDS = 1000
MOST_NEIGHBORS = 50  # of the search space of knn
FEWEST_SET_APART = 10  # rows of a fold, and of each class: a tenth of them stop the boosting
_OURS = frozenset({"n_jobs", "verbose", "random_state"})  # they change no score, or are the study's


class SklearnLearner(Learner):
    """One scikit-learn estimator on the folds of one problem.

    Args:
        family: Its name, ``"random_forest"``, or the name of the user's class.
        estimator: Unfitted; it is cloned.
        arguments: Of :class:`Learner`.
    """

    def __init__(self, family: str, estimator: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.family = family
        self._estimator = self._settled = estimator
        self.extra = {k: value for k, value in _said(estimator).items() if k not in _OURS}
        self._takes = set(estimator.get_params())
        self._boosts = (
            "n_iter_no_change" in self._takes
            and "max_iter" in self._takes
            and "l2_regularization" in self._takes
        )
        signature = inspect.signature(estimator.fit).parameters
        self._takes_weights = "sample_weight" in signature
        self.defaults = {**estimator.get_params(deep=False), CLASS_WEIGHT: "none"}
        self._number_the_defaults()
        self.baseline = {"max_iter": self.defaults["max_iter"]} if self._boosts else {}
        self._shared: Shared[tuple[Any, Any]] = Shared(2 * len(self.folds))

    def _number_the_defaults(self) -> None:
        """Say in numbers what a forest says in words, so that its trial shows what it did."""
        columns = self.problem.X.shape[1]
        words = {"sqrt": columns**-0.5, "log2": np.log2(columns) / columns, None: 1.0}
        for name in ("max_features", "max_samples"):
            value = self.defaults.get(name, 1.0)
            if value is None or isinstance(value, str):
                self.defaults = {**self.defaults, name: float(words.get(value, 1.0))}

    def takes(self, name: str) -> bool:
        """Tell whether there is such a parameter; of an estimator that is not known anything may be one."""
        return self.family not in MODELS or name in self._takes or name == CLASS_WEIGHT

    def answers(self, name: str) -> bool:
        """Tell whether a scorer may ask this method of the model."""
        return name == "predict" or (self.problem.is_classification and hasattr(self._settled, name))

    def settle(self, space: Space, by_user: Collection[str]) -> None:
        """Learn what no trial changes: a fixed parameter may let a model give probabilities."""
        self._settled = self.model(space.fixed)
        super().settle(space, by_user)
        if self._boosts:
            self._check_gaps()

    def _check_gaps(self) -> None:
        """Refuse columns of which a fold sees no value: scikit-learn's histograms end in an error there."""
        X = self.problem.X
        missing = np.isnan(X) if not hasattr(X, "iloc") else X.select_dtypes("number").isna().to_numpy()
        names = X.select_dtypes("number").columns if hasattr(X, "iloc") else range(X.shape[1])
        if self.recipe.is_users or not missing.any():
            return
        for number, fold in enumerate(self.folds, 1):
            for name, is_empty in zip(names, missing[fold.train].all(axis=0), strict=True):
                if is_empty:
                    raise InvalidOptionError(
                        f"column {name!r} has no value in the rows that fold {number} learns from, which"
                        f" {self.family} cannot take: drop it, or fill its gaps",
                        code="NB603",
                    )

    def default_space(self, preset: str) -> Space:
        """Return the search space of the model, as far as the rows allow."""
        space = super().default_space(preset)
        fewest = min(len(fold.train) for fold in self.folds)
        if self.family == "knn" and fewest < MOST_NEIGHBORS:
            space = space.overridden({"n_neighbors": (1, fewest, "log")}, None)
        return space

    @cached_property
    def _can_set_apart(self) -> bool:
        """Whether boosting can set a tenth of each fold's rows apart, with all classes on both sides."""
        if not self.problem.is_classification:
            return all(len(fold.train) >= FEWEST_SET_APART for fold in self.folds)
        counts = [np.bincount(self.problem.y[fold.train]) for fold in self.folds]
        counts = [it[it > 0] for it in counts]
        return all(it.min() > 1 and it.sum() >= FEWEST_SET_APART * len(it) for it in counts)

    def model(self, params: Mapping[str, Any], threads: int | None = None) -> Any:
        """Make the estimator of a trial, without preprocessing."""
        values = dict(params)
        if CLASS_WEIGHT in values:
            values[CLASS_WEIGHT] = None if values[CLASS_WEIGHT] == "none" else values[CLASS_WEIGHT]
        if "random_state" in self._takes:
            values.setdefault("random_state", self.seed)
        if (
            threads is not None
            and "n_jobs" in self._takes
            and ("n_estimators" in self._takes or self.family == "knn")
        ):
            values["n_jobs"] = threads
        return clone(self._estimator).set_params(**values)

    def fit_fold(
        self,
        fold: int,
        params: Mapping[str, Any],
        threads: int,
        cancelled: threading.Event,
        limit: Limit | None = None,  # noqa: ARG002 - it has no rounds that could be watched
    ) -> FoldFit:
        """Fit one fold; see :class:`Learner`."""
        rows = self.folds[fold]
        X_train, X_score = self._shared.get(fold, partial(self.fold_rows, fold))
        values = dict(params)
        stops = self._boosts and self._can_set_apart and "max_iter" not in values
        if stops:
            values |= {"max_iter": MOST_ROUNDS, "early_stopping": True, "n_iter_no_change": 20}
        model = self.model(values, threads)
        if isinstance(given := model.get_params(deep=False).get(CLASS_WEIGHT), dict):
            model.set_params(**{CLASS_WEIGHT: self.problem.by_number(given)})  # trials know class numbers
        weights = self.problem.weights
        extra: dict[str, Any] = {}
        if weights is not None and self._takes_weights:
            extra["sample_weight"] = weights[rows.train]
        if cancelled.is_set():
            return FoldFit(lambda _: np.empty(0))
        with _pools().limit(limits=threads, user_api="openmp"):  # of this thread alone
            model.fit(X_train, self.problem.y[rows.train], **extra)

            done: NDArray[Any] | Answers
            if self.problem.classes is None:
                done = np.asarray(model.predict(X_score))
            else:
                done = ask(model, X_score, len(self.problem.classes), self.metric.asks_of(model))
        return FoldFit(lambda _: done, int(model.n_iter_) if stops else None)

    def _params(self, params: Mapping[str, Any], rounds: int | None) -> dict[str, Any]:
        if not self._boosts or rounds is None:
            return dict(params)
        return {**params, "max_iter": rounds, "early_stopping": False}

    def fit(
        self, params: Mapping[str, Any], rounds: int | None, X: Any, y: Any, weights: NDArray[Any] | None
    ) -> Any:
        """Fit the winner; see :class:`Learner`."""
        threads = fitting_threads(np.size(X))
        model = self.assemble(self.model(self._params(params, rounds), threads))
        with _pools().limit(limits=threads, user_api="openmp"):
            return model.fit(
                X, np.asarray(y), **(weight_argument(model, weights) if self._takes_weights else {})
            )

    def code(self, params: Mapping[str, Any], rounds: int | None) -> str:
        """Return Python that builds the model."""
        kind = type(self._estimator)
        model = self.model(self._params(params, rounds))
        library = kind.__module__.split("._")[0]
        return self.write(library, kind.__name__, _said(model))


@cache
def _pools() -> ThreadpoolController:
    """Find the libraries' pools of threads, which takes 4 ms: as long as a fold of a small model."""
    return ThreadpoolController()


def _said(estimator: Any) -> dict[str, Any]:
    """Return the parameters in which an estimator differs from what its class makes by itself."""
    known = inspect.signature(type(estimator)).parameters
    plain = {name: parameter.default for name, parameter in known.items()}
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if not _same(value, plain.get(name, inspect.Parameter.empty))
    }


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
