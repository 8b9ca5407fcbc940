# ruff: noqa: E501 - a setting is read as one row of a table
"""The search spaces of the known models, as data. A changed space gets the next version.

A dimension that does nothing is not searched: XGBoost's ``grow_policy`` gives the same
trees while only the depth is limited, and the number of bins is held where it is so
that the binned rows can be shared by all trials. The preset ``bluecast`` holds what
BlueCast searches, in its ranges and by its names, so that a study of BlueCast's that was
imported goes on in it; dimensions that do nothing there are left out, too.

The narrower ranges of the default preset stand around the libraries' own defaults,
with learning rates from 0.02 or 0.03 on: lower ones cost more rounds than they are
worth while searching (``benchmarks/autotune``). XGBoost's ``min_child_weight`` begins at 1,
and of several classes at 0.1, as the rows of which a tree is sure weigh next to nothing: with 1
the loss of ten well parted classes is a sixth higher. CatBoost's ``l2_leaf_reg``, which is added
to that weight, does the same to them (``benchmarks/autotune/leaves.py``).
From 1,000 rows on numbers are cut into 64 bins: the trees are as good as with the libraries'
own 254 or 256, and a trial costs a half to a third (``benchmarks/autotune/bins.py``). Of fewer
rows with many columns CatBoost's rounds cost as much as there are bins, so there it gets 32,
which cost a fifth and lose nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.problem import Task
from optuna_nb.models.spaces import Space, ranges

if TYPE_CHECKING:
    from optuna_nb.models.metrics import Metric
    from optuna_nb.models.problem import Problem

PRESETS = ("default", "bluecast")
CLASS_WEIGHT = "class_weight"  # "none" or "balanced", in every library's space
BALANCED_BLUECAST = "sample_weight"  # the same in BlueCast's words: True or False
ROUNDS_BLUECAST = "steps"  # its word for XGBoost's rounds, which it does not search either

BINS, FEW_BINS = 64, 32
MANY_ROWS = 1_000
MANY_COLUMNS = 16
_BINS = {"xgboost": "max_bin", "catboost": "border_count"}

_XGBOOST = Space(
    "xgboost@4",
    ranges(
        {
            "learning_rate": (0.03, 0.3, "log"),
            "max_depth": (1, 9),
            "min_child_weight": (1.0, 60.0, "log"),
            "subsample": (0.5, 1.0),
            "colsample_bytree": (0.3, 1.0),
            "reg_lambda": (0.1, 50.0, "log"),
            "reg_alpha": (1e-4, 10.0, "log"),
            "gamma": (1e-4, 5.0, "log"),
        }
    ),
    opening=(  # the cheapest first
        {"learning_rate": 0.2, "max_depth": 5, "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 0.6,
         "reg_lambda": 1.0, "reg_alpha": 1e-2, "gamma": 1e-4},
        {"learning_rate": 0.1, "max_depth": 2, "min_child_weight": 1.0, "subsample": 0.8, "colsample_bytree": 0.5,
         "reg_lambda": 1.0, "reg_alpha": 1e-2, "gamma": 1e-4},
        {"learning_rate": 0.1, "max_depth": 6, "min_child_weight": 1.0, "subsample": 0.7, "colsample_bytree": 0.5,
         "reg_lambda": 3.0, "reg_alpha": 1e-2, "gamma": 1e-3},
    ),
)  # fmt: skip
_XGBOOST_MANY = replace(  # of more than two classes
    _XGBOOST.overridden({"min_child_weight": (0.03, 60.0, "log")}, None),
    name="xgboost@5",
    opening=tuple({**setting, "min_child_weight": 0.1} for setting in _XGBOOST.opening),
)
_XGBOOST_BLUECAST = Space(
    "xgboost-bluecast@3",
    ranges(
        {
            "eta": (1e-3, 0.3, "log"),
            "max_depth": (1, 10),
            "alpha": (1e-8, 100.0, "log"),
            "lambda": (1.0, 100.0, "log"),
            "gamma": (1e-8, 10.0, "log"),
            "min_child_weight": (1.0, 100.0, "log"),
            "subsample": (0.1, 1.0),
            "colsample_bytree": (0.1, 1.0),
            "max_bin": (128, 1024),
            "grow_policy": ["depthwise", "lossguide"],
            BALANCED_BLUECAST: [True, False],
        }
    ),
    most_rounds=1000,  # its "steps", which all its trials have
)
_CATBOOST = Space(
    "catboost@3",
    ranges(
        {
            "learning_rate": (0.02, 0.3, "log"),
            "depth": (2, 8),
            "l2_leaf_reg": (0.1, 30.0, "log"),
            "random_strength": (0.01, 10.0, "log"),
            "bootstrap_type": ["MVS", "Bayesian"],
            "subsample": (0.5, 1.0),
            "bagging_temperature": (0.0, 5.0),
        },
        {"subsample": ("bootstrap_type", "MVS"), "bagging_temperature": ("bootstrap_type", "Bayesian")},
    ),
    opening=(
        {"learning_rate": 0.1, "depth": 4, "l2_leaf_reg": 3.0, "random_strength": 1.0, "bootstrap_type": "MVS",
         "subsample": 0.8},
        {"learning_rate": 0.1, "depth": 6, "l2_leaf_reg": 3.0, "random_strength": 1.0, "bootstrap_type": "MVS",
         "subsample": 0.8},
    ),
)  # fmt: skip
_CATBOOST_MANY = replace(
    _CATBOOST.overridden({"l2_leaf_reg": (0.03, 30.0, "log")}, None),
    name="catboost@4",
    opening=tuple(
        {**setting, "l2_leaf_reg": weight}
        for setting, weight in zip(_CATBOOST.opening, (0.1, 1.0), strict=True)
    ),
)
_CATBOOST_BLUECAST = Space(
    "catboost-bluecast@2",
    ranges(
        {
            "learning_rate": (1e-3, 0.3, "log"),
            "depth": (1, 10),
            "l2_leaf_reg": (1e-8, 100.0, "log"),
            "random_strength": (0.0, 10.0),
            "border_count": (32, 255),
            "bootstrap_type": ["Bayesian", "No"],
            "bagging_temperature": (0.0, 10.0),
            BALANCED_BLUECAST: [True, False],
        },
        {"bagging_temperature": ("bootstrap_type", "Bayesian")},
    ),
)
_FOREST = ranges({"max_features": (0.1, 1.0), "min_samples_leaf": (1, 50, "log"), "max_samples": (0.3, 1.0)})
_OPEN_FOREST = (
    {"max_features": 0.33, "min_samples_leaf": 3, "max_samples": 0.9},
    {"max_features": 0.6, "min_samples_leaf": 5, "max_samples": 0.7},
)
_SKLEARN = {
    "hist_gradient_boosting": Space(
        "hist_gradient_boosting@1",
        ranges(
            {
                "learning_rate": (0.02, 0.3, "log"),
                "max_leaf_nodes": (3, 127, "log"),
                "min_samples_leaf": (2, 100, "log"),
                "l2_regularization": (1e-3, 30.0, "log"),
                "max_features": (0.3, 1.0),
            }
        ),
        opening=(
            {"learning_rate": 0.1, "max_leaf_nodes": 15, "min_samples_leaf": 20, "l2_regularization": 1.0,
             "max_features": 0.8},
            {"learning_rate": 0.05, "max_leaf_nodes": 31, "min_samples_leaf": 40, "l2_regularization": 3.0,
             "max_features": 0.5},
        ),
    ),
    "random_forest": Space("random_forest@1", _FOREST, {"n_estimators": 200}, _OPEN_FOREST),
    "extra_trees": Space(
        "extra_trees@1", _FOREST, {"n_estimators": 200, "bootstrap": True}, _OPEN_FOREST
    ),
    "decision_tree": Space(
        "decision_tree@1", ranges({"max_depth": (1, 16), "min_samples_leaf": (1, 100, "log"), "ccp_alpha": (1e-6, 0.1, "log")})
    ),
    "logistic": Space("logistic@1", ranges({"C": (1e-4, 1e3, "log")}), {"max_iter": 1000}, ({"C": 0.1}, {"C": 10.0})),
    "ridge": Space("ridge@1", ranges({"alpha": (1e-4, 1e4, "log")}), {}, ({"alpha": 10.0}, {"alpha": 100.0})),
    "lasso": Space("lasso@1", ranges({"alpha": (1e-5, 1e2, "log")}), {"max_iter": 10_000}),
    "elastic_net": Space(
        "elastic_net@1", ranges({"alpha": (1e-5, 1e2, "log"), "l1_ratio": (0.0, 1.0)}), {"max_iter": 10_000}
    ),
    "svm": Space("svm@1", ranges({"C": (1e-2, 1e3, "log"), "gamma": (1e-4, 10.0, "log")}), {}, ({"C": 10.0, "gamma": 0.02},)),
    "knn": Space("knn@1", ranges({"n_neighbors": (1, 50, "log"), "weights": ["uniform", "distance"]})),
}  # fmt: skip
_WEIGHTED = {"hist_gradient_boosting", "random_forest", "extra_trees", "decision_tree", "logistic", "svm"}
_LIBRARIES = {
    ("xgboost", "default"): _XGBOOST,
    ("xgboost", "bluecast"): _XGBOOST_BLUECAST,
    ("catboost", "default"): _CATBOOST,
    ("catboost", "bluecast"): _CATBOOST_BLUECAST,
}
_MANY = {"xgboost": _XGBOOST_MANY, "catboost": _CATBOOST_MANY}


def find_space(model: str, preset: str, problem: Problem, metric: Metric) -> Space:
    """Return the search space of a known model.

    Class weights are searched where classes are unbalanced and the metric does not ask
    for honest probabilities: log loss and Brier score can only lose by them.

    Raises:
        InvalidOptionError: If there is no such preset for the model.
    """
    if preset not in PRESETS:
        raise InvalidOptionError(f"--preset takes {' or '.join(PRESETS)}, not {preset!r}", code="NB604")
    space = _LIBRARIES.get((model, preset))
    if preset == "default" and problem.task is Task.MULTICLASS:
        space = _MANY.get(model, space)
    if space is None:
        if preset != "default":
            raise InvalidOptionError(
                f"there is no preset {preset!r} of {model}: leave --preset out", code="NB604"
            )
        space = _SKLEARN[model]
    if preset == "default":
        space = replace(space, fixed={**space.fixed, **_shared_bins(model, problem)})
    weighted = problem.is_classification and problem.is_skewed and not metric.is_proper
    if any(param.name == BALANCED_BLUECAST for param in space.params):
        return space if problem.is_classification else space.overridden({BALANCED_BLUECAST: None}, None)
    if weighted and (model in _WEIGHTED or (model, preset) in _LIBRARIES):
        return _added(space)
    return space


def _shared_bins(model: str, problem: Problem) -> dict[str, int]:
    """Return into how many bins all trials of a study cut numbers; empty for as many as the library does."""
    if model in _BINS and problem.n_rows >= MANY_ROWS:
        return {_BINS[model]: BINS}
    if model == "catboost" and problem.X.shape[1] >= MANY_COLUMNS:
        return {_BINS[model]: FEW_BINS}
    return {}


def _added(space: Space) -> Space:
    weights = ranges({CLASS_WEIGHT: ["none", "balanced"]})
    opening = tuple({**setting, CLASS_WEIGHT: "none"} for setting in space.opening)
    return replace(
        space, name=f"{space.name}+class_weight", params=(*space.params, *weights), opening=opening
    )


SKLEARN_MODELS = tuple(_SKLEARN)
MODELS = ("xgboost", "catboost", *SKLEARN_MODELS)
