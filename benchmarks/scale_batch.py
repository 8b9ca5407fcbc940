"""What it saves to draw several trials from one model of TPE, and what it costs in quality."""

from __future__ import annotations

import itertools
import time
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import optuna
from measure import table
from optuna.samplers import RandomSampler

from optuna_nb.tuning.fast_tpe import FastTPESampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PARAMS = 6
_AT_ONCE = 16
_TRIALS = 320
_SEEDS = 32
_SIZES = (1, 4, 16)


def batch(_: Path) -> str:
    """Compare batches with single questions, all under the constant liar."""
    rows = [
        [
            size,
            _cost(size),
            *(median(_best(size, seed, end) for seed in range(_SEEDS)) for end in (_all_end, _one_ends)),
        ]
        for size in _SIZES
    ]
    heads = [
        "`--batch`",
        "ms of CPU per trial at 1,000 trials",
        "best value, trials end together",
        "best value, trials end one by one",
    ]
    return (
        f"Drawing several trials from one model of TPE ({_PARAMS} parameters, {_AT_ONCE} trials in flight;"
        f" the best value of {_TRIALS} trials is that of a narrow valley, lower is better, the median of"
        f" {_SEEDS} seeds):\n\n{table(heads, rows)}\n\n"
        "A batch saves time of the sampler. Where trials end together it costs nothing else; where they end"
        " one by one, a large batch does not see what the newest trials found. So it is off by default."
    )


def valley(trial: optuna.Trial) -> float:
    """Depend on neighbouring parameters together."""
    x = [trial.suggest_float(f"x{i}", -2, 2) for i in range(_PARAMS)]
    return sum((a - 0.7) ** 2 + 2 * (b - a * a) ** 2 for a, b in itertools.pairwise(x))


Flying = list[tuple[optuna.Trial, float]]


def _cost(size: int) -> float:
    study = optuna.create_study(sampler=RandomSampler(seed=1))
    study.optimize(valley, n_trials=1008)  # a multiple of every size
    study.sampler = FastTPESampler(seed=1, batch=size)
    times = []
    for _ in range(8):
        cpu = time.thread_time()
        flying: Flying = []
        _fill(study, flying)
        _all_end(study, flying, np.random.default_rng(1))
        times.append((time.thread_time() - cpu) / _AT_ONCE * 1e3)
    return median(times[1:])


def _best(size: int, seed: int, end: Callable[[optuna.Study, Flying, np.random.Generator], None]) -> float:
    study = optuna.create_study(sampler=RandomSampler(seed=seed))
    study.optimize(valley, n_trials=_AT_ONCE)
    study.sampler = FastTPESampler(seed=seed, batch=size)
    flying: Flying = []
    chance = np.random.default_rng(seed)
    while len(study.get_trials(deepcopy=False)) < _TRIALS:
        _fill(study, flying)
        end(study, flying, chance)
    _all_end(study, flying, chance)
    return study.best_value


def _fill(study: optuna.Study, flying: Flying) -> None:
    while len(flying) < _AT_ONCE:
        trial = study.ask()
        flying.append((trial, valley(trial)))


def _all_end(study: optuna.Study, flying: Flying, _: np.random.Generator) -> None:
    while flying:
        study.tell(*flying.pop(0))


def _one_ends(study: optuna.Study, flying: Flying, chance: np.random.Generator) -> None:
    study.tell(*flying.pop(int(chance.integers(len(flying)))))
