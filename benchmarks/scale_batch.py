"""Whether asking TPE for several trials at once saves time, and what it costs in quality."""

from __future__ import annotations

import itertools
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import optuna
from measure import table
from optuna.samplers import RandomSampler

from optuna_nb.tuning.fast_tpe import FastTPESampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna.distributions import BaseDistribution

_PARAMS = 6
_AT_ONCE = 16
_SEEDS = 12


class SharedModel(FastTPESampler):
    """TPE that builds its two densities once for each batch, and draws every trial of the batch from them."""

    def __init__(self, size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._size = size
        self._left = 0
        self._model: Any = None

    def _sample(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._left == 0:
            if self._gamma is None:
                return super()._sample(study, trial, search_space)
            self._model = [
                self._build_parzen_estimator(study, search_space, trials, handle_below=below)
                for trials, below in zip(self._split(study, trial, self._gamma), (True, False), strict=True)
            ]
            self._left = self._size
        self._left -= 1
        good, other = self._model
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        chosen = self._compare(samples, self._compute_acquisition_func(samples, good, other))
        return {name: search_space[name].to_external_repr(value) for name, value in chosen.items()}


def batch(_: Path) -> str:
    """Compare batches of 16 from one model with 16 single questions under the constant liar."""
    makes: dict[str, Callable[[int], FastTPESampler]] = {
        "one at a time, constant liar": lambda seed: FastTPESampler(seed=seed),
        "16 from one model": lambda seed: SharedModel(_AT_ONCE, seed=seed),
    }
    rows: list[list[object]] = []
    costs = {name: _cost(make) for name, make in makes.items()}
    found = {name: [_best(make(seed), seed) for seed in range(_SEEDS)] for name, make in makes.items()}
    for name in makes:
        values = [[run[at] for run in found[name]] for at in (0, 1)]
        rows.append([name, costs[name], *(median(each) for each in values)])
    heads = ["asking", "ms of CPU per trial at 1,000 trials", "best of 160 trials", "best of 320 trials"]
    return (
        f"Asking TPE for several at once ({_PARAMS} parameters, {_AT_ONCE} trials in flight; the best value"
        f" is that of a narrow valley, lower is better, the median of {_SEEDS} seeds):\n\n"
        f"{table(heads, rows)}\n\n"
        "A batch saves a part of the sampler's time and finds worse values, and where trials end one by one"
        " there is no batch to ask for. So each trial is asked for alone, with those in flight in view."
    )


def valley(trial: optuna.Trial) -> float:
    """Depend on neighbouring parameters together."""
    x = [trial.suggest_float(f"x{i}", -2, 2) for i in range(_PARAMS)]
    return sum((a - 0.7) ** 2 + 2 * (b - a * a) ** 2 for a, b in itertools.pairwise(x))


def _cost(make: Callable[[int], FastTPESampler]) -> float:
    study = optuna.create_study(sampler=RandomSampler(seed=1))
    study.optimize(valley, n_trials=1000)
    study.sampler = make(1)
    _generation(study)
    times = []
    for _ in range(7):
        cpu = time.thread_time()
        _generation(study)
        times.append((time.thread_time() - cpu) / _AT_ONCE * 1e3)
    return median(times)


def _generation(study: optuna.Study) -> None:
    flying = []
    for _ in range(_AT_ONCE):
        trial = study.ask()
        flying.append((trial, valley(trial)))
    for trial, value in flying:
        study.tell(trial, value)


def _best(sampler: FastTPESampler, seed: int) -> tuple[float, float]:
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    study.optimize(valley, n_trials=_AT_ONCE)
    study.sampler = sampler
    found: list[float] = []
    for _ in range(2):
        for _ in range(10 - (not found)):
            _generation(study)
        found.append(study.best_value)
    return found[0], found[1]
