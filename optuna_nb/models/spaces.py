"""What a search space is: parameters as data, suggested to a trial, printed, overridden."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

_RANGE = (2, 3)  # low, high, and perhaps "log"
_RANGES = 'write (low, high), (low, high, "log") or a list of choices'


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter and where it is searched.

    Attributes:
        name: As the library calls it.
        distribution: Optuna's word for the range.
        when: ``(other, value)``: it is alive only where the other has this value.
    """

    name: str
    distribution: BaseDistribution
    when: tuple[str, Any] | None = None

    def suggest(self, trial: Trial) -> Any:
        """Ask the trial for a value."""
        it = self.distribution
        if isinstance(it, FloatDistribution):
            return trial.suggest_float(self.name, it.low, it.high, step=it.step, log=it.log)
        if isinstance(it, IntDistribution):
            return trial.suggest_int(self.name, it.low, it.high, step=it.step, log=it.log)
        if isinstance(it, CategoricalDistribution):
            return trial.suggest_categorical(self.name, it.choices)
        raise InvalidOptionError(
            f"{self.name}: {type(it).__name__} is no distribution of Optuna's", code="NB604"
        )

    def nearest(self, value: Any) -> Any:
        """Return the value of the range that is nearest to another one."""
        it = self.distribution
        if isinstance(it, CategoricalDistribution):
            return value if value in it.choices else it.choices[0]
        if not isinstance(value, (int, float)):
            return it.low  # type: ignore[attr-defined]
        return min(max(value, it.low), it.high)  # type: ignore[attr-defined]

    def describe(self) -> str:
        """Say where it is searched: ``0.01 to 0.3, log``."""
        it = self.distribution
        if isinstance(it, CategoricalDistribution):
            words = " or ".join(str(choice) for choice in it.choices)
        else:
            low, high = it.low, it.high  # type: ignore[attr-defined]
            words = f"{low:g} to {high:g}{', log' if it.log else ''}"  # type: ignore[attr-defined]
            words += ", whole" if isinstance(it, IntDistribution) else ""
        return words if self.when is None else f"{words} (where {self.when[0]} is {self.when[1]})"


@dataclass(frozen=True, slots=True)
class Space:
    """A versioned search space.

    Attributes:
        name: With its version, ``"xgboost@1"``.
        params: Searched, in the order that they are suggested; a condition comes first.
        fixed: Values that are not searched.
        opening: Settings that are known to be good, tried before the sampler's first.
        most_rounds: Boosting rounds of a trial at most; None for what the library's learner has.
    """

    name: str
    params: tuple[Param, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    opening: tuple[Mapping[str, Any], ...] = ()
    most_rounds: int | None = None

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Ask a trial for all parameters that are alive, and add the fixed ones."""
        values = dict(self.fixed)
        for param in self.params:
            if param.when is None or values.get(param.when[0]) == param.when[1]:
                values[param.name] = param.suggest(trial)
        return values

    def complete(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Return a setting as values of this space: the nearest ones, and no others."""
        values: dict[str, Any] = {}
        for param in self.params:
            held = {**self.fixed, **values}
            if param.when is not None and held.get(param.when[0]) != param.when[1]:
                continue
            if param.name in setting:
                values[param.name] = param.nearest(setting[param.name])
        return values

    def overridden(self, given: Mapping[str, Any] | None, fixed: Mapping[str, Any] | None) -> Space:
        """Replace single parameters.

        Args:
            given: Name to ``(low, high)``, ``(low, high, "log")``, a list, array or ``range`` of choices, a
                distribution of Optuna's, one value to fix, or None to leave it to the library.
            fixed: Name to the value that it has.

        Raises:
            InvalidOptionError: If a range cannot be understood.
        """
        changed = {param.name: param for param in self.params}
        held = dict(self.fixed)
        for name, value in (given or {}).items():
            held.pop(name, None)
            old = changed.pop(name, None)
            distribution = read_range(name, value)
            if distribution is not None:
                changed[name] = Param(name, distribution, None if old is None else old.when)
            elif value is not None:
                held[name] = _plain(value)
        for name, value in (fixed or {}).items():
            changed.pop(name, None)
            held[name] = value
        order = {param.name: k for k, param in enumerate(self.params)}
        params = tuple(sorted(changed.values(), key=lambda param: order.get(param.name, len(order))))
        return replace(self, params=params, fixed=held)

    def describe(self) -> str:
        """Print the space, one parameter a line."""
        width = max((len(name) for name in [*(p.name for p in self.params), *self.fixed]), default=0)
        lines = [f"  {param.name:<{width}}  {param.describe()}" for param in self.params]
        lines += [f"  {name:<{width}}  {value} (fixed)" for name, value in self.fixed.items()]
        return "\n".join([f"search space {self.name}:", *lines])


def read_range(name: str, value: Any) -> BaseDistribution | None:
    """Understand what a user writes for a range; None for a single value.

    Raises:
        InvalidOptionError: If it is meant as a range and is none.
    """
    if isinstance(value, (FloatDistribution, IntDistribution, CategoricalDistribution)):
        return value
    if isinstance(value, (list, range)) or (isinstance(value, np.ndarray) and value.ndim):
        return _read_choices(name, list(value))
    if isinstance(value, tuple):
        return _read_ends(name, value)
    if _is_many(value):
        raise InvalidOptionError(f"{name}: a {type(value).__name__} is no range; {_RANGES}", code="NB604")
    return None


def _is_many(value: Any) -> bool:
    """Tell whether a value stands for several, and not for a parameter: estimators may be counted, too."""
    if isinstance(value, (str, bytes, Mapping, np.ndarray)) or hasattr(value, "get_params"):
        return False
    return isinstance(value, Iterable) or hasattr(value, "rvs")


def _read_choices(name: str, given: list[Any]) -> CategoricalDistribution:
    choices = [_plain(it) for it in given]
    if not choices:
        raise InvalidOptionError(
            f"{name}: the list of choices is empty; give one value at least", code="NB604"
        )
    if odd := [it for it in choices if not (it is None or isinstance(it, (bool, int, float, str)))]:
        raise InvalidOptionError(
            f"{name}: {odd[0]!r} cannot be a choice, only numbers, text, True, False and None can:"
            " choose by a name in a %%tune cell",
            code="NB604",
        )
    return CategoricalDistribution(choices)


def _read_ends(name: str, value: tuple[Any, ...]) -> BaseDistribution:
    numbers, log = [_plain(it) for it in value[:2]], len(value) == max(_RANGE) and value[2] == "log"
    good = len(value) in _RANGE and (len(value) == min(_RANGE) or log)
    if not good or not all(isinstance(it, (int, float)) and not isinstance(it, bool) for it in numbers):
        raise InvalidOptionError(f"{name}: {value!r} is no range; {_RANGES}", code="NB604")
    low, high = numbers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InvalidOptionError(f"{name}: the range {value!r} has no end; give two numbers", code="NB604")
    if low > high or (log and low <= 0):
        raise InvalidOptionError(
            f"{name}: the range {value!r} is empty; put the lower number first{', above 0' if log else ''}",
            code="NB604",
        )
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _plain(value: Any) -> Any:
    """Return a number as Python has it, whatever it was: of numpy, or a fraction."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Real) and not isinstance(value, (int, float)):
        return float(value)
    return value


def ranges(
    given: Mapping[str, Any], conditions: Mapping[str, tuple[str, Any]] | None = None
) -> tuple[Param, ...]:
    """Make parameters of a table: name to range, in the words that users write."""
    made = []
    for name, value in given.items():
        distribution = read_range(name, value)
        if distribution is None:
            raise InvalidOptionError(f"{name}: {value!r} is no range", code="NB604")
        made.append(Param(name, distribution, (conditions or {}).get(name)))
    return tuple(made)


def is_count(value: Any) -> bool:
    """Tell whether a value is a whole number from 1 on, of whatever type."""
    return isinstance(value, (int, float, np.number)) and bool(value >= 1 and value == int(value))


def names(params: Sequence[Param]) -> list[str]:
    """Return the names of parameters."""
    return [param.name for param in params]
