"""What a library must do to be tuned: fit one fold of shared data, and fit the winner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.presets import find_space
from optuna_nb.models.python import code_of
from optuna_nb.models.rows import take_rows
from optuna_nb.models.spaces import is_count

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from optuna_nb.models.answers import Answers
    from optuna_nb.models.folds import Fold
    from optuna_nb.models.metrics import Metric
    from optuna_nb.models.problem import Problem
    from optuna_nb.models.spaces import Space
    from optuna_nb.models.stopping import Limit

_ROUNDS = frozenset({"n_estimators", "num_boost_round", "iterations", "num_trees", "steps"})
CATEGORIES_IMPORT = "from optuna_nb.models.categories import Categories"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a model is made of besides its parameters.

    Attributes:
        steps: Unfitted preprocessing, fitted anew on the training rows of each fold.
        steps_code: The same as Python.
        imports: What that Python needs.
        extra: Parameters of the user's own estimator.
        is_users: Whether the steps are those of the user's own pipeline.
    """

    steps: tuple[Any, ...] = ()
    steps_code: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    extra: Mapping[str, Any] | None = None
    is_users: bool = False


@dataclass(frozen=True, slots=True)
class FoldFit:
    """One fitted fold.

    Attributes:
        predict: Given a number of boosting rounds, or None for the best one, returns the
            predictions of the scoring rows: ``(n_rows, n_classes)`` or ``(n_rows,)``; or all
            answers where the metric needs more than probabilities.
        rounds: Boosting rounds that the model had at its best.
        curve: Loss of the scoring rows after each round, where they stopped the boosting;
            None where they had no part in that.
        gave_up: Whether boosting ended as it would have missed the limit.
        chosen: Parameters that the library chose by itself, and would choose otherwise for
            another number of rounds: the fit on all rows is told them.
    """

    predict: Callable[[int | None], NDArray[Any] | Answers]
    rounds: int | None = None
    curve: NDArray[Any] | None = None
    gave_up: bool = False
    chosen: Mapping[str, Any] = field(default_factory=dict)


class Learner(ABC):
    """A model family with the data of one study. Every method may be called from several threads.

    Args:
        problem: The rows that are tuned on.
        folds: How they are split.
        metric: What counts.
        recipe: What the model is made of.
        seed: Of the model's random numbers.
    """

    family = ""
    synonyms: ClassVar[Mapping[str, str]] = {}  # other names of parameters, and the plain ones
    most_rounds: int  # boosting rounds of a trial at most, where folds end their boosting early
    slow_defaults: ClassVar[bool] = False  # whether what is known to be good goes before them
    defaults: Mapping[str, Any]  # what the library does when it is left alone
    baseline: Mapping[str, Any]  # parameters of a fit that leaves it alone, its rounds among them

    def __init__(
        self, problem: Problem, folds: Sequence[Fold], metric: Metric, recipe: Recipe, seed: int
    ) -> None:
        self.problem = problem
        self.folds = folds
        self.metric = metric
        self.recipe = recipe
        self.extra = dict(recipe.extra or {})
        self.seed = seed
        self.settled: frozenset[str] = frozenset()  # parameters that the user has fixed

    def settle(self, space: Space, by_user: Collection[str]) -> None:
        """Learn what no trial changes.

        Args:
            space: What is searched, and the parameters that all trials share.
            by_user: Names of those that the user has fixed.

        Raises:
            InvalidOptionError: If a fixed number of rounds is no whole number, or the metric asks what
                the model cannot answer.
        """
        self.settled = frozenset(by_user)
        if (asked := self.metric.asks) and not any(map(self.answers, asked)):
            if asked == ("predict_proba",) and self.problem.is_classification:
                raise InvalidOptionError(
                    f"{self.family} gives no probabilities, as {self.metric.name} needs: take --metric"
                    " accuracy or roc_auc",
                    code="NB606",
                )
            raise InvalidOptionError(
                f"{self.metric.name} asks for {' or '.join(asked)}, and {self.family} has none for"
                f" {self.problem.task}: take another --metric, or make_scorer without response_method",
                code="NB606",
            )
        for name in _ROUNDS & space.fixed.keys():
            if (value := space.fixed[name]) is not None and not is_count(value):
                raise InvalidOptionError(f"{name}={value!r}: give a whole number, 1 or more", code="NB604")
        if space.most_rounds is not None:
            self.most_rounds = space.most_rounds

    def answers(self, name: str) -> bool:
        """Tell whether a scorer may ask this method of the model."""
        return name == "predict" or (name == "predict_proba" and self.problem.is_classification)

    @abstractmethod
    def takes(self, name: str) -> bool:
        """Tell whether the model has a parameter of that name; true where nobody can tell."""

    def default_space(self, preset: str) -> Space:
        """Return the search space of the model; what the user's estimator sets itself is not fixed."""
        space = find_space(self.family, preset, self.problem, self.metric)
        own = {self.synonyms.get(name, name) for name in self.extra}
        return replace(space, fixed={k: value for k, value in space.fixed.items() if k not in own})

    def fold_rows(self, fold: int) -> tuple[Any, Any]:
        """Return training and scoring rows of a fold, preprocessed by what the training rows say."""
        rows = self.folds[fold]
        train, score = (take_rows(self.problem.X, part) for part in (rows.train, rows.score))
        for step in self.recipe.steps:
            fitted = clone(step)
            train = fitted.fit_transform(train, self.problem.y[rows.train])
            score = fitted.transform(score)
        return train, score

    def assemble(self, model: Any) -> Any:
        """Put unfitted preprocessing before a model; a model alone stays alone."""
        steps = [(f"step_{k}", clone(step)) for k, step in enumerate(self.recipe.steps, 1)]
        return Pipeline([*steps, ("model", model)]) if steps else model

    def write(
        self,
        library: str,
        kind: str,
        arguments: Mapping[str, Any],
        *,
        numbers_classes: bool = False,
        balances_rows: bool = False,
    ) -> str:
        """Write the Python that builds a model, ending with ``model = ...``.

        Args:
            library: To import from.
            kind: Of the model.
            arguments: Its parameters.
            numbers_classes: Whether the model takes classes 0, 1 and so on, and y holds others.
            balances_rows: Whether rows are weighted so that all classes weigh the same.
        """
        inner, said = "", []
        imports = {f"from {library} import {kind}", *self.recipe.imports}
        for name, value in arguments.items():
            if made := code_of(value):
                inner += f"    {name}={made[0]},\n"
                imports |= made[1]
            else:
                inner += f"    {name}={name},\n"
                said.append(f"# {name} is that of your own {kind}: it has no text")
        call = f"{kind}(\n{inner})" if arguments else f"{kind}()"
        last = kind
        if numbers_classes:
            said.append(
                f"# {kind} takes classes 0, 1, ...: a vote of one numbers them, and says their labels"
            )
            imports.add("from sklearn.ensemble import VotingClassifier")
            call, last = f'VotingClassifier([("model", {call})], voting="soft")', "VotingClassifier"
        if self.recipe.steps:
            imports.add("from sklearn.pipeline import make_pipeline")
            call = f"make_pipeline({', '.join(self.recipe.steps_code)}, {call})"
        weights = ['compute_sample_weight("balanced", y)'] if balances_rows else []
        weights += ["sample_weight / np.mean(sample_weight)"] if self.problem.weights is not None else []
        if weights:
            name = f"{last.lower()}__sample_weight" if self.recipe.steps else "sample_weight"
            said.append(f"# it was fitted with sample_weight: model.fit(X, y, {name}={' * '.join(weights)})")
        if self.problem.weights is not None:
            imports.add("import numpy as np")
        if balances_rows:
            imports.add("from sklearn.utils.class_weight import compute_sample_weight")
        return "\n".join([*sorted(imports), "", *said, f"model = {call}"])

    @abstractmethod
    def fit_fold(
        self,
        fold: int,
        params: Mapping[str, Any],
        threads: int,
        cancelled: threading.Event,
        limit: Limit | None = None,
    ) -> FoldFit:
        """Fit the training rows of a fold, stopping early by its scoring rows.

        Args:
            fold: Its number.
            params: Of the trial; with a number of rounds nothing stops early.
            threads: Of the model.
            cancelled: Set when the result is no longer wanted; fitting may end at once.
            limit: Boosting may end once its loss will stay above.
        """

    @abstractmethod
    def fit(
        self, params: Mapping[str, Any], rounds: int | None, X: Any, y: Any, weights: NDArray[Any] | None
    ) -> Any:
        """Return a model that is fitted on rows and labels as the user has them."""

    @abstractmethod
    def code(self, params: Mapping[str, Any], rounds: int | None) -> str:
        """Return Python that builds the model, its last line ``model = ...``."""


def weight_argument(model: Any, weights: NDArray[Any] | None) -> dict[str, Any]:
    """Return the argument of ``fit`` that hands weights to the last step."""
    if weights is None:
        return {}
    if isinstance(model, Pipeline):
        return {f"{model.steps[-1][0]}__sample_weight": weights}
    return {"sample_weight": weights}
