"""Ranges in the unit of a numeric target: a penalty of 1 is nothing to prices and all to daily returns.

With squares as the loss, what a split must gain (``gamma``) is measured in squares of the
target, what an L1 penalty takes off in the target itself. The ranges of the presets are for
targets whose standard deviation is near 1; for others they are moved by its power of ten.
What has no unit is left alone: ``reg_lambda``, the L2 penalties of CatBoost and of linear
models, and everything where another loss was asked for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import FloatDistribution

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.problem import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna_nb.models.problem import Problem
    from optuna_nb.models.spaces import Param, Space

_POWERS = {  # of the unit, in which a parameter grows with the target
    "xgboost": {"gamma": 2, "reg_alpha": 1},
    "decision_tree": {"ccp_alpha": 2},
    "svm": {"C": 1},
    "lasso": {"alpha": 1},
    "elastic_net": {"alpha": 1},
    "hist_gradient_boosting": {},
}
_HELD = {  # what the library has as a number, and its power
    "svm": {"epsilon": (0.1, 1), "tol": (1e-3, 1)},
    "hist_gradient_boosting": {"tol": (1e-7, 2)},
}
_LOSSES = {  # the parameter that names another loss than squares, and its words for these
    "xgboost": ("objective", (None, "reg:squarederror")),
    "decision_tree": ("criterion", (None, "squared_error", "friedman_mse")),
    "hist_gradient_boosting": ("loss", (None, "squared_error")),
}
_FOR_SMALL = {"elastic_net", "hist_gradient_boosting"}  # what they have suits large targets, too
_LARGEST = 1e12  # a unit; XGBoost reads numbers in single precision
_LEAST_GAIN = 1e-5  # of a whole study, in squares; XGBoost splits nothing that gains less than a tenth


def in_units(space: Space, model: str, problem: Problem, said: Mapping[str, Any]) -> Space:
    """Return a preset's space for a numeric target; for one whose deviation is near 1 it is the same.

    Args:
        space: Of the default preset.
        model: Its name.
        problem: Rows and target; rows without weight do not count.
        said: What the user says of the model, by names of the space.
    """
    if model not in _POWERS or not _is_of_squares(model, problem, said):
        return space
    unit = _unit(problem)
    if unit == 1 or (model in _FOR_SMALL and unit > 1):
        return space
    factors = {name: unit**power for name, power in _POWERS[model].items()}
    opening = tuple(
        {name: _times(value, factors.get(name)) for name, value in setting.items()}
        for setting in space.opening
    )
    held = {
        name: _times(value, unit**power)
        for name, (value, power) in _HELD.get(model, {}).items()
        if name not in said
    }
    return replace(
        space,
        name=f"{space.name}, unit {unit:g}",
        params=tuple(_moved(param, factors.get(param.name)) for param in space.params),
        fixed={**space.fixed, **held},
        opening=opening,
    )


def check_unit(model: str, problem: Problem, said: Mapping[str, Any]) -> None:
    """Refuse a target so small that XGBoost would learn nothing of it, without a word.

    Raises:
        InvalidOptionError: If it is.
    """
    if model != "xgboost" or not _is_of_squares(model, problem, said):
        return
    deviation = _deviation(problem)
    if deviation > 0 and problem.n_rows * deviation**2 < _LEAST_GAIN:
        raise InvalidOptionError(
            f"y varies by {deviation:.1g} alone, which XGBoost takes for nothing: give it in a smaller unit,"
            f" as y * {1 / _unit(problem):g}, or take another model",
            code="NB603",
        )


def _is_of_squares(model: str, problem: Problem, said: Mapping[str, Any]) -> bool:
    if problem.task is not Task.REGRESSION:
        return False
    name, words = _LOSSES.get(model, ("", (None,)))
    loss = said.get(name)
    return (loss is None or isinstance(loss, str)) and loss in words


def _deviation(problem: Problem) -> float:
    y, weights = problem.y, problem.weights
    scale = float(np.abs(y).max()) or 1.0  # so that squares are in range
    mean = np.average(y / scale, weights=weights)
    return float(np.sqrt(np.average((y / scale - mean) ** 2, weights=weights))) * scale


def _unit(problem: Problem) -> float:
    """Return the power of ten nearest to the deviation; 1 where there is none."""
    deviation = _deviation(problem)
    if not 1 / _LARGEST < deviation < _LARGEST:
        return 1.0
    return float(10.0 ** round(math.log10(deviation)))


def _moved(param: Param, factor: float | None) -> Param:
    old = param.distribution
    if factor is None or not isinstance(old, FloatDistribution):
        return param
    return replace(
        param, distribution=FloatDistribution(_times(old.low, factor), _times(old.high, factor), log=old.log)
    )


def _times(value: Any, factor: float | None) -> Any:
    return value if factor is None else float(f"{value * factor:.6g}")
