"""Optuna's TPE with the finished trials kept as a table: the same draws, to the last bit, in less time.

Optuna reads every parameter of every finished trial anew for each trial, in
Python. Here a trial enters a table of numbers once; the split into good and
other trials, and the observations of both, are then numpy index operations.
Studies with several directions, and those with too few complete trials, are
split by Optuna's own code. The estimator (``tpe_estimator``) serves them all.

As the draws are equal, a study may go on with ``plaintpe``, which is Optuna's
sampler as it is, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from optuna_nb.tuning.tpe_estimator import TableEstimator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


@dataclass(slots=True)
class TrialTable:
    """Finished trials as columns, in the order of their numbers."""

    trials: list[FrozenTrial] = field(default_factory=list)
    values: np.ndarray = field(default_factory=lambda: np.empty(0))  # NaN: not complete, or infeasible
    columns: dict[str, tuple[BaseDistribution, np.ndarray]] = field(default_factory=dict)  # NaN: not drawn

    def follow(self, trials: Sequence[FrozenTrial], search_space: dict[str, BaseDistribution]) -> None:
        """Take in what is new in ``trials``, which are sorted by number and never change."""
        start = self._common(trials)
        self._resize(len(trials))
        for name, distribution in search_space.items():
            known = self.columns.get(name)
            if known is None or known[0] != distribution:
                self.columns[name] = (distribution, np.full(self.values.size, np.nan))
                self._fill(name, trials, 0)
        for row, trial in enumerate(trials[start:], start):
            good = trial.state == TrialState.COMPLETE and not _violation(trial)
            self.values[row] = trial.value if good else np.nan
        for name in self.columns:
            self._fill(name, trials, start)
        self.trials = list(trials)

    def _common(self, trials: Sequence[FrozenTrial]) -> int:
        """Return how many trials at the head are the ones that are known."""
        known = len(self.trials)
        if trials[:known] == self.trials:  # compares identities first, 7 ns a trial
            return known
        return next(
            (i for i, (a, b) in enumerate(zip(self.trials, trials, strict=False)) if a is not b),
            min(known, len(trials)),
        )

    def _resize(self, rows: int) -> None:
        if self.values.size < rows:
            more = np.full(max(rows, 64), np.nan)
            self.values = np.append(self.values, more)
            self.columns = {n: (d, np.append(column, more)) for n, (d, column) in self.columns.items()}

    def _fill(self, name: str, trials: Sequence[FrozenTrial], start: int) -> None:
        distribution, column = self.columns[name]
        for row, trial in enumerate(trials[start:], start):
            column[row] = _internal(distribution, name, trial.params)

    def split(self, n_below: int, *, maximize: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the rows of the best trials and of all others, or None where there are too few."""
        rows = len(self.trials)
        values = self.values[:rows]
        complete = np.flatnonzero(~np.isnan(values))
        if complete.size < n_below:
            return None
        keys = -values[complete] if maximize else values[complete]
        below = np.zeros(rows, dtype=bool)
        below[complete[np.argsort(keys, kind="stable")[:n_below]]] = True
        return np.flatnonzero(below), np.flatnonzero(~below)

    def observations(
        self,
        rows: np.ndarray,
        search_space: dict[str, BaseDistribution],
        running: Sequence[tuple[int, dict[str, Any]]] = (),
    ) -> dict[str, np.ndarray]:
        """Return the internal values of the trials that drew all parameters of the space, by number.

        Args:
            rows: Rows of the table.
            search_space: The parameters that are wanted.
            running: Number and parameters of trials in flight that count, too.
        """
        columns = [self.columns[name][1][rows] for name in search_space]
        if running:
            numbers = [*(self.trials[row].number for row in rows), *(number for number, _ in running)]
            order = np.argsort(numbers, kind="stable")
            columns = [
                np.append(column, [_internal(search_space[name], name, params) for _, params in running])[
                    order
                ]
                for name, column in zip(search_space, columns, strict=True)
            ]
        drawn = np.logical_and.reduce([~np.isnan(column) for column in columns])
        return {
            name: _as_optuna(column if drawn.all() else column[drawn], distribution)
            for (name, distribution), column in zip(search_space.items(), columns, strict=True)
        }


def _internal(distribution: BaseDistribution, name: str, params: Mapping[str, Any]) -> float:
    return distribution.to_internal_repr(params[name]) if name in params else np.nan


def _as_optuna(column: np.ndarray, distribution: BaseDistribution) -> np.ndarray:
    return column.astype(int) if isinstance(distribution, CategoricalDistribution) else column


def _violation(trial: FrozenTrial) -> float:
    constraints = trial.constraints
    return sum(value for value in constraints.values() if value > 0) if constraints else 0.0


class FastTPESampler(TPESampler):
    """TPE as Optuna draws it, reading finished trials from a table: parameters equal to the last bit.

    Takes the arguments of :class:`optuna.samplers.TPESampler`. One instance
    serves one study; its threads may share it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parzen_estimator_cls = TableEstimator
        self._tables: list[TrialTable] = []  # at rest; a thread takes one out, as no two may fill it at once

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        observed = self._observe(study, trial, search_space)
        if observed is None:
            return super()._sample(study, trial, search_space)
        good, other = (
            self._parzen_estimator_cls(values, search_space, self._parzen_estimator_parameters)
            for values in observed
        )
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        chosen = self._compare(samples, self._compute_acquisition_func(samples, good, other))
        return {name: search_space[name].to_external_repr(value) for name, value in chosen.items()}

    def _observe(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
        """Return what good and other trials drew, or None where Optuna's own path is to be taken."""
        if len(study.directions) > 1 or self._gamma is None:  # Optuna chooses its gamma at the first draw
            return None
        running, trials = self._trials(study, trial)
        try:
            table = self._tables.pop()
        except IndexError:
            table = TrialTable()
        table.follow(trials, search_space)
        split = table.split(self._gamma(len(trials)), maximize=study.direction == StudyDirection.MAXIMIZE)
        observed = None
        if split is not None:
            good, other = split
            observed = (
                table.observations(good, search_space),
                table.observations(other, search_space, running),
            )
        self._tables.append(table)
        return observed

    def _trials(
        self, study: Study, trial: FrozenTrial
    ) -> tuple[list[tuple[int, dict[str, Any]]], list[FrozenTrial]]:
        """Return what counts of the other trials in flight, and the finished trials by number."""
        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        if not self._constant_liar:
            return [], study._get_trials(deepcopy=False, states=finished, use_cache=True)  # noqa: SLF001
        trials = study._get_trials(deepcopy=False, use_cache=False)  # noqa: SLF001
        running = [t for t in trials if t.state == TrialState.RUNNING and t.number != trial.number]
        return (
            [(t.number, self._get_params(t, study)) for t in running],
            [t for t in trials if t.state in finished],
        )
