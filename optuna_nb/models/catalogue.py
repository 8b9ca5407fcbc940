"""Which model the user means: a name, an estimator, or a pipeline that ends in one."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.learner import Recipe
from optuna_nb.models.preprocessing import find_recipe
from optuna_nb.models.presets import MODELS
from optuna_nb.models.python import written
from optuna_nb.models.sklearn_model import CLASSIFIERS, REGRESSORS, SklearnLearner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.models.folds import Fold
    from optuna_nb.models.learner import Learner
    from optuna_nb.models.metrics import Metric
    from optuna_nb.models.problem import Problem

_ALIASES = {
    "xgb": "xgboost",
    "cat": "catboost",
    "hgb": "hist_gradient_boosting",
    "rf": "random_forest",
    "logistic_regression": "logistic",
    "svc": "svm",
    "svr": "svm",
    "elasticnet": "elastic_net",
    "tree": "decision_tree",
}
_CLASSES = {
    "XGBClassifier": "xgboost",
    "XGBRegressor": "xgboost",
    "CatBoostClassifier": "catboost",
    "CatBoostRegressor": "catboost",
    **{kind.__name__: name for table in (CLASSIFIERS, REGRESSORS) for name, kind in table.items()},
}
_LIBRARIES = {
    "xgboost": ("optuna_nb.models.xgboost_model", "XGBoostLearner"),
    "catboost": ("optuna_nb.models.catboost_model", "CatBoostLearner"),
}


@dataclass(frozen=True, slots=True)
class Model:
    """What the user named.

    Attributes:
        name: Of a known model, or of the class of the user's estimator.
        estimator: The user's own, unfitted; None for a name.
        steps: What stands before it in the user's pipeline.
    """

    name: str
    estimator: Any = None
    steps: tuple[Any, ...] | None = None

    @property
    def task(self) -> str | None:
        """``"classification"`` or ``"regression"`` where the estimator says so."""
        if self.name == "logistic":
            return "classification"
        if self.name in ("lasso", "elastic_net"):
            return "regression"
        if self.estimator is None:
            return None
        if is_classifier(self.estimator):
            return "classification"
        return "regression" if is_regressor(self.estimator) else None

    @property
    def is_known(self) -> bool:
        """Whether there is a search space for it."""
        return self.name in MODELS


def find_model(model: Any) -> Model:
    """Understand what the user gave for a model.

    Raises:
        InvalidOptionError: If it is no model, or its library is not installed.
    """
    if isinstance(model, str):
        plain = model.strip().lower().replace("-", "_").replace(" ", "_")
        name = _ALIASES.get(plain, _CLASSES.get(model.strip(), plain))
        if name not in MODELS:
            near = get_close_matches(plain, [*MODELS, *_ALIASES], n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(MODELS)}, and any estimator"
            raise InvalidOptionError(f"no model is called {model!r}: {hint}", code="NB601")
        require(name)
        return Model(name)
    if isinstance(model, type):
        raise InvalidOptionError(
            f"{model.__name__} is a class: make a model of it, {model.__name__}()", code="NB601"
        )
    if isinstance(model, Pipeline):
        if not model.steps:
            raise InvalidOptionError("the Pipeline is empty: its last step is the model", code="NB601")
        last = find_model(model.steps[-1][1])
        steps = tuple(step for _, step in model.steps[:-1] if step not in (None, "passthrough"))
        return replace(last, steps=(*steps, *(last.steps or ())))
    if not (hasattr(model, "fit") and hasattr(model, "predict") and hasattr(model, "get_params")):
        kind = type(model).__name__
        raise InvalidOptionError(
            f"model is of type {kind}: give a name as xgboost, an estimator or a Pipeline", code="NB601"
        )
    return Model(_CLASSES.get(type(model).__name__, type(model).__name__), model)


def require(name: str) -> None:
    """Refuse a model whose library is not there.

    Raises:
        InvalidOptionError: Naming the extra to install.
    """
    if name in _LIBRARIES and importlib.util.find_spec(name) is None:
        raise InvalidOptionError(
            f'{name} is not installed: pip install "optuna-nb[lab]", or pip install {name}',
            code="NB118",
        )


def make_learner(
    model: Model,
    problem: Problem,
    folds: Sequence[Fold],
    metric: Metric,
    seed: int,
    *,
    whole: Problem | None = None,
) -> Learner:
    """Bring a model and the folds together.

    Args:
        model: What is tuned.
        problem: The rows that trials see.
        folds: Of these.
        metric: What scores them.
        seed: Of the model.
        whole: All rows, where trials do not see them all: what stands before the winner knows all gaps.

    Raises:
        InvalidOptionError: If the model is not for this kind of problem.
    """
    bare = model.estimator is not None and not problem.categorical  # the user's own stays as it is
    recipe = find_recipe(model.name, whole or problem) if model.is_known and not bare else Recipe()
    if model.steps is not None:
        recipe = Recipe(model.steps, *written(model.steps), is_users=True)
    if model.name in _LIBRARIES:
        given = {} if model.estimator is None else model.estimator.get_params()
        extra = {name: value for name, value in given.items() if not _is_default(name, value)}
        home, kind = _LIBRARIES[model.name]
        made: Learner = getattr(importlib.import_module(home), kind)(
            problem, folds, metric, replace(recipe, extra=extra), seed
        )
        return made
    estimator = model.estimator
    if estimator is None:
        table = CLASSIFIERS if problem.is_classification else REGRESSORS
        if model.name not in table:
            raise InvalidOptionError(
                f"{model.name} is not for {problem.task}: take one of {', '.join(table)}",
                code="NB601",
            )
        estimator = table[model.name]()
    return SklearnLearner(model.name, estimator, problem, folds, metric, recipe, seed)


def _is_default(name: str, value: Any) -> bool:
    """Whether a parameter of the user's estimator says nothing: libraries fill in objectives themselves."""
    if name == "objective":
        return value in ("binary:logistic", "reg:squarederror")
    return value is None or value != value or (name == "enable_categorical" and value is False)  # noqa: PLR0124 - NaN
