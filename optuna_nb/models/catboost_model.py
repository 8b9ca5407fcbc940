"""CatBoost: folds quantized once for all trials, rounds found by early stopping.

The one file that imports catboost. A ``Pool`` per fold is quantized once, the scoring
rows by the same borders; trials only read them, that of the library's defaults among them,
whose 1,000 rounds would else take much of a short study. Fits release the GIL. Building a pool
of strings holds it, so text columns come as pandas categories, which are read by their codes.

A callback is handed all losses so far after each round, which takes longer and longer: with
1,000 rounds on few rows as long as the trees do. So the loss is asked for in every fifth round
only, and that of the training rows never.

The winner's fit on all rows is steadier than a trial's: it learns at a quarter of the trial's
rate, in four times its rounds (``benchmarks/autotune/winner.py``).
"""

from __future__ import annotations

import inspect
import tempfile
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import catboost
import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.learner import FoldFit, Learner, weight_argument
from optuna_nb.models.presets import BALANCED_BLUECAST, CLASS_WEIGHT
from optuna_nb.models.problem import Task
from optuna_nb.models.shared import Shared
from optuna_nb.models.stopping import Patience
from optuna_nb.models.threads import fitting_threads

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from optuna_nb.models.spaces import Space
    from optuna_nb.models.stopping import Limit

ROUNDS_OF_DEFAULTS = 1000  # by which CatBoost chooses the learning rate that it is not given
PERIOD = 5  # rounds from one known loss to the next
SLOWER = 4  # that the winner learns on all rows, in as many times the rounds
_LOSS = {Task.BINARY: "Logloss", Task.MULTICLASS: "MultiClass", Task.REGRESSION: "RMSE"}
DEFAULTS = {
    "depth": 6, "l2_leaf_reg": 3.0, "random_strength": 1.0, "bootstrap_type": "MVS", "subsample": 0.8,
    "border_count": 254, "learning_rate": 0.1, CLASS_WEIGHT: "none", BALANCED_BLUECAST: False,
}  # fmt: skip
_ALIASES = {
    "n_estimators": "iterations",
    "num_trees": "iterations",
    "num_boost_round": "iterations",
    "max_bin": "border_count",
    "reg_lambda": "l2_leaf_reg",
    "max_depth": "depth",
    "eta": "learning_rate",
    "random_state": "random_seed",
}
_OURS = frozenset({"cat_features", "thread_count", "verbose", "silent", "logging_level", "random_seed"})
_STOPPING = frozenset(  # stopping early is ours
    {"early_stopping_rounds", "od_type", "od_wait", "od_pval", "use_best_model", "metric_period"}
)


class CatBoostLearner(Learner):
    """CatBoost on the folds of one problem."""

    family = "catboost"
    most_rounds = 1500
    slow_defaults = True  # a low learning rate, up to ten times the rounds of what is known to be good
    synonyms = _ALIASES

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._check_categories(self.extra.get("cat_features"))
        self.extra = {
            plain: value
            for name, value in self.extra.items()
            if (plain := _ALIASES.get(name, name)) not in _OURS
        }
        self.defaults = {**DEFAULTS, **self.extra}
        self.baseline = {}
        self._shared: Shared[tuple[Any, Any]] = Shared(2 * len(self.folds))

    def _check_gaps(self) -> None:
        """Refuse gaps that CatBoost cannot read."""
        frame = self.problem.X
        for name in () if self.recipe.is_users else getattr(frame, "columns", ()):
            if isinstance(frame[name].dtype, pd.BooleanDtype) and frame[name].isna().any():
                raise InvalidOptionError(
                    f"column {name!r} holds True, False and gaps, which CatBoost takes as a category only:"
                    f" X[{name!r}] = X[{name!r}].astype('category')",
                    code="NB603",
                )

    def _check_categories(self, named: Any) -> None:
        """Refuse to take for numbers what the user's estimator takes for categories."""
        if named is None or self.recipe.is_users:
            return
        known = list(getattr(self.problem.X, "columns", ()))
        meant = [known[it] if isinstance(it, (int, np.integer)) and it < len(known) else it for it in named]
        if others := [it for it in meant if it not in self.problem.categorical]:
            raise InvalidOptionError(
                f"cat_features names {others[0]!r}, which holds numbers: make it a category,"
                f" X[{others[0]!r}] = X[{others[0]!r}].astype('category'), and leave cat_features out",
                code="NB603",
            )

    def takes(self, name: str) -> bool:
        """Tell whether there is such a parameter."""
        known = inspect.signature(catboost.CatBoostClassifier.__init__).parameters
        return name in self.defaults or name in _ALIASES or name in known

    @cached_property
    def _categories(self) -> list[str]:
        """The columns that hold categories when they reach the model."""
        if not self.recipe.is_users:
            return list(self.problem.categorical)
        rows, _ = self.fold_rows(0)
        texts = ("string", "categorical", "mixed", "mixed-integer")
        return [
            name for name in getattr(rows, "columns", ()) if infer_dtype(rows[name], skipna=True) in texts
        ]

    def settle(self, space: Space, by_user: Collection[str]) -> None:
        """Let the library's defaults share the bins of all trials."""
        super().settle(space, by_user)
        self._check_categories(space.fixed.get("cat_features"))
        self._check_gaps()
        self._native(space.fixed)  # says at once what cannot be
        self.baseline = {name: space.fixed[name] for name in ("border_count",) if name in space.fixed}

    def fit_fold(
        self,
        fold: int,
        params: Mapping[str, Any],
        threads: int,
        cancelled: threading.Event,
        limit: Limit | None = None,
    ) -> FoldFit:
        """Fit one fold; see :class:`Learner`."""
        values = self._native(params)
        bins = int(values.get("border_count", 254))
        train, score = self._shared.get((fold, bins), partial(self._pools, fold, bins))
        rounds = values.pop("iterations", None)
        values = {name: value for name, value in values.items() if name not in _STOPPING}
        values |= self._of_all_classes(fold, values)
        loss = values.get("loss_function") or _LOSS[self.problem.task]
        rates_itself = rounds is None and "learning_rate" not in values
        patience: Patience | None = None
        if rounds is None:
            watched = limit if self._loss_counts else None
            patience = Patience(float(values.get("learning_rate", 0.1)), watched, PERIOD)
            values |= {"use_best_model": False, "metric_period": PERIOD}
        model = catboost.CatBoost(
            {
                **values,
                "loss_function": f"{loss}:hints=skip_train~true" if loss in _LOSS.values() else loss,
                "iterations": int(rounds or (ROUNDS_OF_DEFAULTS if rates_itself else self.most_rounds)),
                "random_seed": self.seed,
                "thread_count": threads,
                "allow_writing_files": False,
                "logging_level": "Silent",
            }
        )
        if cancelled.is_set():
            return FoldFit(lambda _: np.empty(0))
        ending = _Ending(cancelled, patience, str(loss))
        model.fit(train, eval_set=score if rounds is None else None, callbacks=[ending])
        curve = None if rounds else _all_rounds(model, str(loss))
        chosen = {"learning_rate": float(model.learning_rate_), "iterations": ROUNDS_OF_DEFAULTS}
        best = int(model.tree_count_ if curve is None else curve.argmin() + 1)
        kind = "Probability" if self.problem.is_classification else "RawFormulaVal"

        def predict(asked: int | None) -> NDArray[Any]:
            until = min(asked or best, int(model.tree_count_))
            found: NDArray[Any] = model.predict(
                score, prediction_type=kind, ntree_end=until, thread_count=threads
            )
            return found

        gave_up = patience is not None and patience.gave_up
        return FoldFit(predict, best, curve, gave_up=gave_up, chosen=chosen if rates_itself else {})

    @property
    def _loss_counts(self) -> bool:
        """Whether boosting is watched by the very metric that counts."""
        return self.metric.name in ("log_loss", "root_mean_squared_error")

    def _pools(self, fold: int, bins: int) -> tuple[Any, Any]:
        rows = self.folds[fold]
        X_train, X_score = self.fold_rows(fold)
        y, weights = self.problem.y, self.problem.weights
        pools = [
            catboost.Pool(
                X,
                y[part],
                weight=None if weights is None else weights[part],
                cat_features=self._categories or None,
                thread_count=1,
            )
            for X, part in ((X_train, rows.train), (X_score, rows.score))
        ]
        if self._categories:
            # A quantized pool of categories may be learned from, but the loss that CatBoost reports
            # for one while it trains is wrong (.62 for .49): the scoring rows stay as they are.
            pools[0].quantize(border_count=bins, used_ram_limit=None)
            return pools[0], pools[1]
        with tempfile.TemporaryDirectory(prefix="optuna_nb") as folder:
            borders = str(Path(folder, "borders.tsv"))
            pools[0].quantize(border_count=bins, used_ram_limit=None)
            pools[0].save_quantization_borders(borders)
            if Path(borders).stat().st_size:
                pools[1].quantize(input_borders=borders)
        return pools[0], pools[1]

    def _native(self, params: Mapping[str, Any]) -> dict[str, Any]:
        given = {_ALIASES.get(name, name): value for name, value in {**self.extra, **params}.items()}
        values = {name: value for name, value in given.items() if name not in _OURS}
        balanced = bool(values.pop(BALANCED_BLUECAST, False))
        if values.pop(CLASS_WEIGHT, "none") == "balanced" or balanced:
            values["auto_class_weights"] = "Balanced"
        if isinstance(weights := values.get("class_weights"), dict):
            values["class_weights"] = self._in_order(weights)
        if values.get("bootstrap_type") in ("Bayesian", "No"):
            values.pop("subsample", None)
        if values.get("bootstrap_type", "Bayesian") != "Bayesian":
            values.pop("bagging_temperature", None)
        return values

    def _in_order(self, given: Mapping[Any, float]) -> list[float]:
        """Return one weight a class, in the order of the classes: CatBoost takes that of a dict for theirs.

        Raises:
            InvalidOptionError: If it names what is no class.
        """
        classes = () if self.problem.classes is None else self.problem.classes.tolist()
        if unknown := [label for label in given if label not in classes]:
            raise InvalidOptionError(
                f"class_weights names {unknown[0]!r}, which is no class of y: those are"
                f" {', '.join(map(repr, classes[:5]))}",
                code="NB604",
            )
        return [given.get(label, 1.0) for label in classes]

    def _of_all_classes(self, fold: int, values: Mapping[str, Any]) -> dict[str, Any]:
        """Say how many classes there are where the training rows of a fold lack one."""
        y, classes = self.problem.y, self.problem.classes
        if classes is None or len(present := np.unique(y[self.folds[fold].train])) == len(classes):
            return {}
        found: dict[str, Any] = {"classes_count": len(classes)}
        if weights := values.get("class_weights"):  # CatBoost counts them off by the classes it meets
            lacking = np.setdiff1d(np.arange(len(classes)), present)
            found["class_weights"] = [weights[k] for k in (*present, *lacking)]
        return found

    def _arguments(self, params: Mapping[str, Any], rounds: int | None) -> dict[str, Any]:
        values = {name: value for name, value in self._native(params).items() if name not in _STOPPING}
        if rounds is not None:
            if "iterations" not in values and "learning_rate" in params.keys() - self.settled:
                values["learning_rate"] /= SLOWER
                rounds *= SLOWER
            values["iterations"] = rounds
        own: dict[str, Any] = {"random_seed": self.seed, "verbose": False, "allow_writing_files": False}
        if self._categories:
            own["cat_features"] = self._categories
        return {**values, **own}

    def _kind(self) -> Any:
        return catboost.CatBoostClassifier if self.problem.is_classification else catboost.CatBoostRegressor

    def fit(
        self, params: Mapping[str, Any], rounds: int | None, X: Any, y: Any, weights: NDArray[Any] | None
    ) -> Any:
        """Fit the winner; see :class:`Learner`."""
        threads = {"thread_count": fitting_threads(np.size(X))}
        kind = OneLabelEachClassifier if self.problem.task is Task.MULTICLASS else self._kind()
        model = self.assemble(kind(**threads, **self._arguments(params, rounds)))
        return model.fit(X, np.asarray(y), **weight_argument(model, weights))

    def code(self, params: Mapping[str, Any], rounds: int | None) -> str:
        """Return Python that builds the model."""
        return self.write("catboost", self._kind().__name__, self._arguments(params, rounds))


class OneLabelEachClassifier(catboost.CatBoostClassifier):  # type: ignore[misc]
    """CatBoost's classifier, with the labels of several classes in one dimension, ``(n,)``.

    CatBoost returns a column, ``(n, 1)``, which compares with the ``(n,)`` of scikit-learn to a square.
    """

    def predict(self, data: Any, prediction_type: str = "Class", *args: Any, **kwargs: Any) -> Any:
        """Predict as CatBoost does."""
        found = super().predict(data, prediction_type, *args, **kwargs)
        is_column = prediction_type == "Class" and np.ndim(found) == 2 and np.shape(found)[1] == 1  # noqa: PLR2004
        return found.ravel() if is_column else found


def _known(metrics: Mapping[str, Mapping[str, list[float]]], loss: str) -> list[float]:
    """Return the losses so far; a metric of the user's own may stand before them."""
    found = metrics["validation"]
    return found.get(loss) or next(iter(found.values()))


def _all_rounds(model: Any, loss: str) -> NDArray[np.float64]:
    """Return the loss after each round: known in the 1st, the 6th and so on, and straight lines between."""
    known = _known(model.get_evals_result(), loss)
    rounds = np.minimum(np.arange(len(known)) * PERIOD, model.tree_count_ - 1)
    curve: NDArray[np.float64] = np.interp(np.arange(rounds[-1] + 1), rounds, known)
    return curve


class _Ending:
    """Ends training when the loss has stopped falling, or nobody waits for it any more."""

    def __init__(self, cancelled: threading.Event, patience: Patience | None, loss: str) -> None:
        self._cancelled = cancelled
        self._patience = patience
        self._loss = loss
        self._seen = 0

    def after_iteration(self, info: Any) -> bool:
        """Tell CatBoost whether to go on."""
        if self._cancelled.is_set():
            return False
        if self._patience is None:
            return True
        losses = _known(info.metrics, self._loss)
        if len(losses) == self._seen:
            return True
        self._seen = len(losses)
        return not self._patience.is_over(losses[-1])
