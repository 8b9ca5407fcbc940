"""XGBoost: folds binned once for all trials, rounds found by early stopping.

The one file that imports xgboost. A ``QuantileDMatrix`` per fold holds the binned
training rows; the scoring rows are binned by the same cuts (``ref=``). Trials only
read them. Fits release the GIL.

The winner's fit on all rows is steadier than a trial's: where rows or columns are sampled,
each round takes the mean of several trees (``num_parallel_tree``), which differ by what
they sampled, and the rounds grow with the rows. It is still one plain model of XGBoost.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.categories import Labelled
from optuna_nb.models.learner import FoldFit, Learner, weight_argument
from optuna_nb.models.presets import BALANCED_BLUECAST, CLASS_WEIGHT, ROUNDS_BLUECAST
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

PARALLEL_TREES = 4  # of the winner in each round (benchmarks/autotune/winner.py)
MOST_MORE_ROUNDS = 1.25  # as for 5 folds: all rows are 5/4 of those of a fold
DEFAULTS = {
    "learning_rate": 0.3, "max_depth": 6, "min_child_weight": 1.0, "subsample": 1.0, "colsample_bytree": 1.0,
    "reg_lambda": 1.0, "reg_alpha": 0.0, "gamma": 0.0, "max_bin": 256, "grow_policy": "depthwise",
    "n_estimators": 100,
}  # fmt: skip
_SYNONYMS = {
    "eta": "learning_rate", "alpha": "reg_alpha", "lambda": "reg_lambda", "min_split_loss": "gamma",
    ROUNDS_BLUECAST: "n_estimators", "num_boost_round": "n_estimators",
}  # fmt: skip
_SAMPLED = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
_OBJECTIVE = {
    Task.BINARY: "binary:logistic",
    Task.MULTICLASS: "multi:softprob",
    Task.REGRESSION: "reg:squarederror",
}
_LOSS = {Task.BINARY: "logloss", Task.MULTICLASS: "mlogloss", Task.REGRESSION: "rmse"}
_STOPPING = frozenset({"early_stopping_rounds", "callbacks"})  # stopping early is ours
_NOT_OF_TRAIN = _STOPPING | {
    "n_jobs", "random_state", "verbosity", "missing", "eval_metric", "enable_categorical",
}  # fmt: skip
_SEEDS = frozenset({"random_state", "seed"})  # of the user's estimator; that of the study decides
_NATIVE = frozenset({  # parameters of the library that its scikit-learn classes do not name
    "lambda_bias", "refresh_leaf", "process_type", "updater", "seed", "seed_per_iteration", "nthread",
    "max_cached_hist_node", "sample_type", "normalize_type", "rate_drop", "one_drop", "skip_drop",
    "tweedie_variance_power", "huber_slope", "quantile_alpha", "expectile_alpha",
})  # fmt: skip


class XGBoostLearner(Learner):
    """XGBoost on the folds of one problem."""

    family = "xgboost"
    most_rounds = 2000
    slow_defaults = True  # 100 rounds of deep trees, whether they help or not
    synonyms = _SYNONYMS

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.extra = {name: value for name, value in self.extra.items() if name not in _SEEDS}
        known = {**DEFAULTS, CLASS_WEIGHT: "none", **_plain(self.extra)}
        spelled = {word: known[name] for word, name in _SYNONYMS.items()}
        self.defaults = {**spelled, BALANCED_BLUECAST: False, **known}
        self.baseline = {"n_estimators": known["n_estimators"]}
        self._shared: Shared[tuple[Any, Any]] = Shared(2 * len(self.folds))

    def takes(self, name: str) -> bool:
        """Tell whether there is such a parameter."""
        return name in self.defaults or name in _NATIVE or name in xgboost.XGBClassifier().get_params()

    def settle(self, space: Space, by_user: Collection[str]) -> None:
        """Refuse what trials cannot share rows for, and names of columns that XGBoost refuses."""
        super().settle(space, by_user)
        settings = {**self.extra, **space.fixed}
        choices = {it.name: set(getattr(it.distribution, "choices", ())) for it in space.params}
        methods = choices.get("tree_method", {settings.get("tree_method", "hist")})
        if methods - {"hist", "auto"} or "gblinear" in choices.get("booster", {settings.get("booster")}):
            raise InvalidOptionError(
                "trials share rows that are binned once, which is tree_method='hist' of trees: leave the"
                " other tree_method or booster out, or write a %%tune cell of your own",
                code="NB601",
            )
        names = getattr(self.problem.X, "columns", ()) if not self.recipe.is_users else ()
        if wrong := [name for name in names if set(name) & set("[]<")]:
            raise InvalidOptionError(
                f"XGBoost takes no [, ] or < in the name of a column, as in {wrong[0]!r}:"
                r" X.columns = X.columns.str.replace(r'[\[\]<]', '_', regex=True)",
                code="NB603",
            )

    def fit_fold(
        self,
        fold: int,
        params: Mapping[str, Any],
        threads: int,
        cancelled: threading.Event,
        limit: Limit | None = None,
    ) -> FoldFit:
        """Fit one fold; see :class:`Learner`."""
        rounds = _plain(params).get("n_estimators")
        values, weighted = self._weighting(params)
        values.pop("n_estimators", None)
        missing = float(values.get("missing", np.nan))
        values = {name: value for name, value in values.items() if name not in _NOT_OF_TRAIN}
        bins = int(values.setdefault("max_bin", 256))
        make = partial(self._matrices, fold, bins, missing, weighted=weighted)
        train, score = self._shared.get((fold, bins, weighted), make)
        native = {
            "objective": _OBJECTIVE[self.problem.task],
            "tree_method": "hist",
            "eval_metric": "mae" if self.metric.name == "mean_absolute_error" else _LOSS[self.problem.task],
            "nthread": threads,
            "seed": self.seed,
            **values,
        }
        if self.problem.task is Task.MULTICLASS:
            native["objective"] = _OBJECTIVE[Task.MULTICLASS]  # as XGBClassifier does with any other
            native["num_class"] = len(self.problem.classes)  # type: ignore[arg-type]
        patience: Patience | None = None
        if rounds is None:
            limit = limit if self._loss_counts else None
            patience = Patience(float(native.get("learning_rate") or 0.3), limit)
        booster = xgboost.Booster(native, [train, score])
        most = int(rounds or self.most_rounds)
        losses = boost(booster, train, score, most, patience=patience, cancelled=cancelled)
        curve = np.array(losses) if losses else None
        best = int(rounds or 1) if curve is None else int(curve.argmin()) + 1

        def predict(asked: int | None) -> NDArray[Any]:
            until = min(asked or best, booster.num_boosted_rounds())
            found: NDArray[Any] = booster.predict(score, iteration_range=(0, until))
            return np.column_stack([1 - found, found]) if self.problem.task is Task.BINARY else found

        return FoldFit(predict, best, curve, gave_up=patience is not None and patience.gave_up)

    @property
    def _loss_counts(self) -> bool:
        """Whether boosting is watched by the very metric that counts."""
        return self.metric.name in ("log_loss", "root_mean_squared_error", "mean_absolute_error")

    def _matrices(self, fold: int, bins: int, missing: float, *, weighted: bool) -> tuple[Any, Any]:
        rows = self.folds[fold]
        X_train, X_score = self.fold_rows(fold)
        y, weights = self.problem.y, self.problem.weights
        train_weights = None if weights is None else weights[rows.train]
        if weighted:
            train_weights = _times(_balanced(y[rows.train]), train_weights)
        common = {"max_bin": bins, "enable_categorical": True, "nthread": 1, "missing": missing}
        train = xgboost.QuantileDMatrix(X_train, y[rows.train], weight=train_weights, **common)
        score_weights = None if weights is None else weights[rows.score]
        score = xgboost.QuantileDMatrix(X_score, y[rows.score], weight=score_weights, ref=train, **common)
        return train, score

    def _weighting(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Turn our word for class weights into XGBoost's; with many classes the rows are weighted."""
        values = {**_plain(self.extra), **_plain(params)}
        balanced = values.pop(CLASS_WEIGHT, "none") == "balanced"
        if balanced and self.problem.task is Task.BINARY:
            counts = np.bincount(self.problem.y)
            values["scale_pos_weight"] = float(counts[0] / counts[1])
        return values, balanced and self.problem.task is Task.MULTICLASS

    def _arguments(self, params: Mapping[str, Any], rounds: int | None) -> dict[str, Any]:
        values, _ = self._weighting(params)
        values = {name: value for name, value in values.items() if name not in _STOPPING}
        varied = any(values.get(name, 1.0) < 1 for name in _SAMPLED)
        if varied and values.get("booster", "gbtree") == "gbtree":
            values.setdefault("num_parallel_tree", PARALLEL_TREES)
        if rounds is not None and "n_estimators" not in _plain(params):
            values.pop("n_estimators", None)
            values = {"n_estimators": self._rounds_of_all(rounds, values), **values}
        own: dict[str, Any] = {} if not self.problem.categorical else {"enable_categorical": True}
        return {**values, **own, "random_state": self.seed}

    def _rounds_of_all(self, rounds: int, values: Mapping[str, Any]) -> int:
        """Return the rounds of a fit on all rows, by those of a fold; a single tree a round gains nothing."""
        if values.get("num_parallel_tree", 1) == 1:
            return rounds
        more = self.problem.n_rows / max(len(fold.train) for fold in self.folds)
        return round(rounds * min(more, MOST_MORE_ROUNDS))

    def _kind(self) -> Any:
        return xgboost.XGBClassifier if self.problem.is_classification else xgboost.XGBRegressor

    def fit(
        self, params: Mapping[str, Any], rounds: int | None, X: Any, y: Any, weights: NDArray[Any] | None
    ) -> Any:
        """Fit the winner; see :class:`Learner`."""
        booster = self._kind()(**{"n_jobs": fitting_threads(np.size(X)), **self._arguments(params, rounds)})
        model = self.assemble(booster)
        if not self.problem.is_classification:
            return model.fit(X, y, **weight_argument(model, weights))
        labels, numbers = np.unique(np.asarray(y), return_inverse=True)
        if self._weighting(params)[1]:
            weights = _times(_balanced(numbers), weights)
        model.fit(X, numbers, **weight_argument(model, weights))
        return model if _are_numbers(labels) else Labelled(model, labels)

    def code(self, params: Mapping[str, Any], rounds: int | None) -> str:
        """Return Python that builds the model."""
        return self.write(
            "xgboost",
            self._kind().__name__,
            self._arguments(params, rounds),
            numbers_classes=self.problem.classes is not None and not _are_numbers(self.problem.classes),
            balances_rows=self._weighting(params)[1],
        )


def boost(
    booster: xgboost.Booster,
    train: xgboost.DMatrix,
    score: xgboost.DMatrix,
    rounds: int,
    *,
    patience: Patience | None,
    cancelled: threading.Event,
) -> list[float]:
    """Boost until the loss has stopped falling, or nobody waits for it any more.

    ``xgboost.train`` does the same by callbacks, whose cost counts where a round is cheap
    (``benchmarks/autotune/boosting.py``).

    Args:
        booster: A new one; it is changed.
        train: Rows to learn from.
        score: Rows to be watched by.
        rounds: At most so many.
        patience: Decides when it is over; None where nobody watches.
        cancelled: Ends it before the next round.

    Returns:
        The loss of the scoring rows after each round; nothing where nobody watches.
    """
    losses: list[float] = []
    for done in range(rounds):
        if cancelled.is_set():
            break
        booster.update(train, done)
        if patience is not None:
            said = booster.eval_set([(score, "score")], done)  # as in "[7]\tscore-rmse:0.53"
            losses.append(float(said.rpartition(":")[2]))
            if patience.is_over(losses[-1]):
                break
    return losses


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give each parameter the name that the scikit-learn classes of XGBoost have for it."""
    values = {_SYNONYMS.get(name, name): value for name, value in params.items()}
    if values.pop(BALANCED_BLUECAST, False):
        values[CLASS_WEIGHT] = "balanced"
    return values


def _are_numbers(labels: NDArray[Any]) -> bool:
    """Tell whether sorted labels are class numbers, as XGBoost takes them."""
    return labels.dtype.kind in "iu" and bool((labels == np.arange(len(labels))).all())


def _balanced(numbers: NDArray[Any]) -> NDArray[np.float64]:
    counts = np.bincount(numbers)  # 0 of a class that these rows lack
    weights: NDArray[np.float64] = (len(numbers) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[
        numbers
    ]
    return weights


def _times(a: NDArray[np.float64], b: NDArray[Any] | None) -> NDArray[np.float64]:
    return a if b is None else a * b
