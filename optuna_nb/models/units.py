"""Ranges in the unit of a numeric target: a penalty of 1 is nothing to prices and all to daily returns.

What a split must gain (``gamma``) is measured in squares of the target, what an L1 penalty
takes off in the target itself. The ranges of the presets are for targets whose standard
deviation is near 1; for others they are moved by its power of ten. The penalties that are
left alone (``reg_lambda``, the L2 penalties of CatBoost and of linear models) have no unit.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import FloatDistribution

from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optuna_nb.models.spaces import Param, Space

_POWERS = {  # of the unit, in which a parameter grows with the target
    "xgboost": {"gamma": 2, "reg_alpha": 1},
    "svm": {"C": 1},
    "lasso": {"alpha": 1},
    "elastic_net": {"alpha": 1},
}
_HELD = {"svm": {"epsilon": 0.1}}  # in units, too; the library has it as a number
_TINY = 1e-3  # units that are no larger are nothing to
_BLIND = {"xgboost", "svm"}  # whose limits for a gain and for an end are numbers


def in_units(space: Space, model: str, y: NDArray[Any]) -> Space:
    """Return the space for a numeric target; for one whose deviation is near 1 it is the same.

    Args:
        space: Of a preset.
        model: Its name.
        y: The target, ``(n_rows,)``; it is not constant.
    """
    powers, unit = _POWERS.get(model, {}), _unit(y)
    if not powers or unit == 1 or (model == "elastic_net" and unit > 1):  # its L2 half has no unit
        return space
    factors = {name: unit**power for name, power in powers.items()}
    opening = tuple(
        {name: _times(value, factors.get(name)) for name, value in setting.items()}
        for setting in space.opening
    )
    held = {name: _times(value, unit) for name, value in _HELD.get(model, {}).items()}
    return replace(
        space,
        name=f"{space.name}, unit {unit:g}",
        params=tuple(_moved(param, factors.get(param.name)) for param in space.params),
        fixed={**space.fixed, **held},
        opening=opening,
    )


def check_unit(model: str, y: NDArray[Any]) -> None:
    """Refuse a target so small that the library would learn nothing of it, without a word.

    Raises:
        InvalidOptionError: If it is.
    """
    if model in _BLIND and _unit(y) <= _TINY:
        raise InvalidOptionError(
            f"y varies by {np.std(y):.1g} alone, which {model} takes for nothing: give it in a smaller unit,"
            f" y * {1 / _unit(y):g}, or take --model catboost",
            code="NB603",
        )


def _unit(y: NDArray[Any]) -> float:
    return float(10.0 ** round(math.log10(float(np.std(y)))))


def _moved(param: Param, factor: float | None) -> Param:
    old = param.distribution
    if factor is None or not isinstance(old, FloatDistribution):
        return param
    return replace(
        param, distribution=FloatDistribution(_times(old.low, factor), _times(old.high, factor), log=old.log)
    )


def _times(value: Any, factor: float | None) -> Any:
    return value if factor is None else float(f"{value * factor:.6g}")
