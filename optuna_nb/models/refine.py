"""A second step around the best trial: a grid of 5 values from 0.9 to 1.1 of each parameter.

It works for the study of any objective: the objective runs as it is, with a trial that
suggests from the grid where it would suggest from the whole range. The child is a study
of its own, identified by the parent's code and data, its name and the centre.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.evaluation import LIBRARY_DEFAULTS, SETTING
from optuna_nb.models.winner import HOLDOUT
from optuna_nb.records import Opening
from optuna_nb.tuning.plain_data import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from optuna.samplers import GridSampler
    from optuna.trial import FrozenTrial, Trial

    from optuna_nb.records import Objective

FACTORS = (0.9, 0.95, 1.0, 1.05, 1.1)
DEFAULT_TRIALS = 25
MOST_POINTS = 1_000_000  # that a GridSampler gets: it makes them all, and looks through them after each trial
REFINES = "refines"  # attribute of the child: its parent, the parent's value, whether it is better
CENTRE = "centre of the grid"
_USUAL = {
    "xgboost": ("min_child_weight", "reg_lambda", "gamma", "learning_rate"),
    "catboost": ("l2_leaf_reg", "learning_rate"),
}


@dataclass(frozen=True, slots=True)
class Refinement:
    """A child study that is ready to run."""

    objective: Objective
    sampler: str | GridSampler
    trials: int
    grid: Mapping[str, tuple[float, ...]]


def prepare_refinement(
    parent: str,
    best: FrozenTrial,
    objective: Objective,
    *,
    names: Sequence[str] = (),
    fixed: Collection[str] = (),
    seed: int = 33,
    direction: str = "minimize",
    looks: int = 0,
) -> Refinement:
    """Make the child of a study.

    Args:
        parent: Its name, with the version.
        best: Its best trial, the centre.
        objective: What it tunes.
        names: Numeric parameters to refine; by default those that matter most for the
            model, or all numeric ones.
        fixed: Parameters that the parent does not vary; nor does the child, unless they are named.
        seed: Of the order of the grid.
        direction: Of the study.
        looks: How often the parent has looked at the rows that are held out.

    Raises:
        InvalidOptionError: If a name is no numeric parameter of the best trial.
    """
    numeric = {
        name: it for name, it in best.distributions.items() if not isinstance(it, CategoricalDistribution)
    }
    free = [name for name in numeric if name not in fixed]
    usual = [name for name in _USUAL.get(objective.model or "", ()) if name in free]
    chosen = list(names or usual or free)
    wrong = [name for name in chosen if name not in numeric]
    if wrong:
        known = ", ".join(numeric) or "none"
        raise InvalidOptionError(
            f"{wrong[0]} is no numeric parameter of {parent}; there are {known}", code="NB415"
        )
    grid = {name: _values(best.params[name], numeric[name]) for name in chosen}
    if all(len(values) == 1 for values in grid.values()):
        raise InvalidOptionError(
            f"{parent} has no number that could be finer: its ranges leave the best one no neighbour",
            code="NB415",
        )
    centre = dict(best.params)
    setting = LIBRARY_DEFAULTS if best.user_attrs.get(SETTING) == LIBRARY_DEFAULTS else CENTRE

    def finish(study: optuna.Study) -> None:
        if looks and HOLDOUT not in study.user_attrs:  # the parent has looked at the same rows
            study.set_user_attr(HOLDOUT, {"looks": looks})
        if objective.finish is not None:
            objective.finish(study)
        if not any(trial.state is TrialState.COMPLETE for trial in study.get_trials(deepcopy=False)):
            return
        better = is_better(study.best_value, best.values[0], direction)
        study.set_user_attr(REFINES, {"study": parent, "value": best.values[0], "is_better": better})

    identity = json.dumps(
        [centre, {name: list(values) for name, values in grid.items()}], sort_keys=True, default=str
    )
    child = replace(
        objective,
        evaluate=partial(_on_grid, objective.evaluate, grid, centre),
        finish=finish,
        code=f"refine({parent!r})\n\n{objective.code}",
        fingerprint={**objective.fingerprint, "parent": parent, "centre": combine(identity).hex()},
        opening=(Opening(centre, {SETTING: setting}, is_baseline=True),),
    )
    size = math.prod(map(len, grid.values()))
    sampler: str | GridSampler = "random"  # of so many points hardly one is drawn twice
    if size <= MOST_POINTS:
        sampler = optuna.samplers.GridSampler(
            {name: list(values) for name, values in grid.items()}, seed=seed
        )
    return Refinement(child, sampler, min(DEFAULT_TRIALS, size + 1), grid)


def is_better(value: float, other: float, direction: str) -> bool:
    """Tell whether a value beats another one."""
    return value > other if direction == "maximize" else value < other


def _values(centre: float, distribution: Any) -> tuple[float, ...]:
    """Return the values of the grid that the range holds, at least the centre."""
    low, high, step = distribution.low, distribution.high, distribution.step
    is_int = isinstance(distribution, IntDistribution)
    wanted = [centre * factor for factor in FACTORS if factor != 1]
    if step is not None and not (is_int and step == 1):  # only what the objective itself could suggest
        wanted = [low + round((number - low) / step) * step for number in wanted]
    elif is_int:
        wanted = [round(number) for number in wanted]
    return tuple(sorted({centre, *(number for number in wanted if low <= number <= high)}))


def _on_grid(
    evaluate: Callable[[Trial], Any],
    grid: Mapping[str, Sequence[float]],
    centre: Mapping[str, Any],
    trial: Trial,
) -> Any:
    return evaluate(GridTrial(trial, grid, centre))  # type: ignore[arg-type]


class GridTrial:
    """A trial that suggests from a grid around a centre; all else is the trial's own.

    Args:
        trial: Of the child study.
        grid: Values by parameter.
        centre: Value of every parameter of the parent's best trial.
    """

    def __init__(self, trial: Trial, grid: Mapping[str, Sequence[float]], centre: Mapping[str, Any]) -> None:
        self._trial = trial
        self._grid = grid
        self._centre = centre

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)

    def suggest_float(self, name: str, low: float, high: float, **kwargs: Any) -> float:
        """Suggest from the grid, or give the centre."""
        return float(self._suggest(name, lambda: self._trial.suggest_float(name, low, high, **kwargs)))

    def suggest_int(self, name: str, low: int, high: int, **kwargs: Any) -> int:
        """Suggest from the grid, or give the centre."""
        return int(self._suggest(name, lambda: self._trial.suggest_int(name, low, high, **kwargs)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Give the centre."""
        return self._suggest(name, lambda: self._trial.suggest_categorical(name, choices))

    def _suggest(self, name: str, otherwise: Any) -> Any:
        if name in self._grid:
            return self._trial.suggest_categorical(name, list(self._grid[name]))
        if name in self._centre:
            return self._trial.suggest_categorical(name, [self._centre[name]])
        return otherwise()
