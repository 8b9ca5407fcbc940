"""Optuna's TPE in less time: the same draws, but for the rounding of the last digits.

Parameters are equal to 1e-9, unless two candidates are equally good to the last digits
(then the other one may be taken) or a grid has more than 1e9 cells.

Two things take Optuna long. It computes the normal distribution number by number
in Python: :class:`ArrayEstimator` asks SciPy for whole arrays. And it reads each
parameter of each finished trial anew for every draw: here they enter a table of
numbers once, and a trial whose parameters are drawn one by one splits the others
into good and bad once: what ends meanwhile counts from the next trial on.

The hooks are those that Optuna's own variants of TPE use (c-TPE in OptunaHub,
``package/samplers/ctpe``): the class of the estimator, which users may replace as
``TPESampler`` says where it sets it, and ``_sample``. With an Optuna whose TPE has
other names or arguments, importing this module fails, and ``tpe`` is Optuna's
sampler as it is, which ``plaintpe`` always is.

A batch goes further: so many trials that follow each other are drawn from one model.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _unique_inverse_2d,
)
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_gamma_multiobjective
from optuna.trial import TrialState
from scipy.special import log_ndtr, ndtri_exp

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    _Split = tuple[list[FrozenTrial], list[FrozenTrial]] | None  # good, and other
    _Model = tuple[dict[str, BaseDistribution], list[_ParzenEstimator]]

_ARGUMENTS = (  # of what is taken from Optuna, as they are known here
    (TPESampler._sample, "self, study, trial, search_space"),  # noqa: SLF001
    (TPESampler._get_params, "self, trial, study"),  # noqa: SLF001
    (TPESampler._compute_acquisition_func, "self, samples, mpe_below, mpe_above"),  # noqa: SLF001
    (TPESampler._compare, "samples, acquisition_func_vals"),  # noqa: SLF001
    (_split_trials, "study, trials, n_below"),
    (_ParzenEstimator, "observations, search_space, parameters, predetermined_weights"),
)
for _taken, _names in _ARGUMENTS:
    if ", ".join(inspect.signature(_taken).parameters) != _names:
        _msg = f"the TPE of this Optuna is another one: {_taken.__name__}"
        raise ImportError(_msg)
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_BATCHES = 8  # that are kept, as those in flight may draw by turns


class ArrayEstimator(_ParzenEstimator):
    """Optuna's mixture of truncated normals, one for each observation and one for the prior, on arrays."""

    def sample(self, rng: np.random.RandomState, size: int) -> dict[str, np.ndarray]:
        """Draw so many samples, with the random numbers that Optuna would use."""
        weights, distributions = self._mixture_distribution
        kernel = rng.choice(len(weights), p=weights, size=size)
        drawn, numerical = {}, {}
        for name, distribution in zip(self._search_space, distributions, strict=True):
            if isinstance(distribution, _BatchedCategoricalDistributions):
                reached = np.cumsum(distribution.weights[kernel], axis=-1)[:, :-1]
                drawn[name] = (reached < rng.rand(size)[:, np.newaxis]).sum(axis=-1).astype(float)
            else:
                numerical[name] = distribution
        if numerical:
            mu, sigma, low, high = _kernels(numerical.values(), kernel)
            rows = _quantile(rng.uniform(size=mu.shape), low, high) * sigma + mu
            drawn |= {name: _in_range(numerical[name], x) for name, x in zip(numerical, rows, strict=True)}
        return {name: drawn[name] for name in self._search_space}

    def log_pdf(self, samples_dict: dict[str, np.ndarray]) -> np.ndarray:
        """Return the log density of each sample."""
        weights, distributions = self._mixture_distribution
        smooth = {}
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.zeros((next(iter(samples_dict.values())).size, weights.size))
            for name, distribution in zip(self._search_space, distributions, strict=True):
                if isinstance(distribution, _BatchedCategoricalDistributions):
                    total += np.log(distribution.weights).T[samples_dict[name].astype(np.int64)]
                elif distribution.step:
                    total += _log_density_on_grid(distribution, samples_dict[name])
                else:
                    smooth[name] = distribution
            if smooth:
                mu, sigma, low, high = _kernels(smooth.values())
                total -= (_log_mass(low, high) + np.log(sigma) + _LOG_ROOT_2PI).sum(axis=0)
                for row, (name, distribution) in enumerate(smooth.items()):
                    x = np.log(samples_dict[name]) if distribution.is_log else samples_dict[name]
                    z = x[:, np.newaxis] - mu[row]
                    z /= sigma[row]
                    z *= z
                    z *= 0.5
                    total -= z
            total += np.log(weights)  # last, as Optuna rounds so
            total[~(total < np.inf)] = -np.inf  # under kernels that lie too far outside to have a mass
            most = total.max(axis=1, keepdims=True)
            most[np.isneginf(most)] = 0
            total -= most
            return np.asarray(np.log(np.exp(total, out=total).sum(axis=1)) + most[:, 0])


def _kernels(distributions: Any, kernel: Any = slice(None)) -> tuple[np.ndarray, ...]:
    """Return middle and width of kernels, and both ends in those units: parameters x kernels."""
    mu = np.array([d.mu[kernel] for d in distributions])
    sigma = np.array([d.sigma[kernel] for d in distributions])
    low = np.array([[d.adapted_low] for d in distributions])
    high = np.array([[d.adapted_high] for d in distributions])
    return mu, sigma, (low - mu) / sigma, (high - mu) / sigma


def _in_range(distribution: Any, x: np.ndarray) -> np.ndarray:
    x = np.exp(x) if distribution.is_log else x
    low, high, step = distribution.low, distribution.high, distribution.step
    return np.asarray(np.clip(low + np.round((x - low) / step) * step if step else x, low, high))


def _log_density_on_grid(distribution: Any, x: np.ndarray) -> np.ndarray:
    """Return the log mass of the cells that were drawn, samples x kernels; equal pairs are computed once."""
    cells, cell = np.unique(x, return_inverse=True)
    mu, sigma, kernel = _unique_inverse_2d(distribution.mu, distribution.sigma)
    ends = [cells - distribution.step / 2, cells + distribution.step / 2]
    ends = [np.log(end) for end in ends] if distribution.is_log else ends
    low, high = ((end[:, np.newaxis] - mu) / sigma for end in ends)
    low_end, high_end = ((end - mu) / sigma for end in (distribution.adapted_low, distribution.adapted_high))
    mass = _log_mass(low, high) - _log_mass(low_end, high_end)
    return np.asarray(mass[np.ix_(cell, kernel)])


def _log_mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the logarithm of the normal mass between; right of the middle it is computed on the left."""
    right = low > 0
    if right.any():
        low, high = np.where(right, -high, low), np.where(right, -low, high)
    upper = log_ndtr(high)
    return np.asarray(upper + np.log1p(-np.exp(log_ndtr(low) - upper)))


def _quantile(q: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the ``q``-quantiles of standard normals cut off at both ends."""
    right = low > 0
    low, high = np.where(right, -high, low), np.where(right, -low, high)
    with np.errstate(divide="ignore"):
        log_q = np.log(np.where(right, 1 - q, q))
        x = ndtri_exp(np.logaddexp(log_ndtr(low), log_q + _log_mass(low, high)))
    return np.asarray(np.where(right, -x, x))


class _Table(NamedTuple):
    """Parameters of trials as Optuna computes with them; threads may share it."""

    space: dict[str, BaseDistribution]
    rows: np.ndarray  # finished trials by number; NaN where they are not known
    running: dict[int, tuple[FrozenTrial, np.ndarray]]


class FastTPESampler(TPESampler):
    """TPE as Optuna draws it; takes the arguments of :class:`optuna.samplers.TPESampler`.

    Args:
        batch: trials that are drawn from one model. Those with numbers from k * batch to
            (k + 1) * batch - 1 know nothing of each other, so that a resume draws the same;
            where fewer trials than ``n_startup_trials`` came before, they are drawn at random.
    """

    def __init__(self, *args: Any, batch: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batch = batch
        self._parzen_estimator_cls = ArrayEstimator
        self._tables: dict[tuple[object, ...], _Table] = {}
        self._batches: dict[object, tuple[_Split, dict[tuple[str, ...], _Model]]] = {}  # the newest

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        densities = self._densities(study, trial, search_space)
        if densities is None:
            draw = self._random_sampler.sample_independent
            return {name: draw(study, trial, name, it) for name, it in search_space.items()}
        good, other = densities
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        chosen = self._compare(samples, self._compute_acquisition_func(samples, good, other))
        return {name: search_space[name].to_external_repr(value) for name, value in chosen.items()}

    def _densities(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> list[_ParzenEstimator] | None:
        """Return what the batch knows of good and of other trials, None where that is too little."""
        batch = range(first := trial.number - trial.number % self._batch, first + self._batch)
        this = study._storage, study._study_id, trial._trial_id if self._batch == 1 else first  # noqa: SLF001
        known_batch = self._batches.get(this)
        if known_batch is None:
            for oldest in list(self._batches)[: 1 - _BATCHES]:
                self._batches.pop(oldest, None)  # another thread may have dropped it
            known_batch = self._batches[this] = self._split(study, batch), {}
        split, models = known_batch
        if split is None:
            return None
        known, densities = models.get(tuple(search_space), ({}, []))
        if known != search_space:
            densities = [
                self._density(study, search_space, trials, good=trials is split[0]) for trials in split
            ]
            models[tuple(search_space)] = dict(search_space), densities
        return densities

    def _split(self, study: Study, batch: range) -> _Split:
        finished = (TrialState.COMPLETE, TrialState.PRUNED)
        states = (*finished, TrialState.RUNNING) if self._constant_liar else finished
        trials = study._get_trials(deepcopy=False, states=states, use_cache=not self._constant_liar)  # noqa: SLF001
        trials = [trial for trial in trials if trial.number not in batch]
        count = sum(trial.state != TrialState.RUNNING for trial in trials)
        if len(batch) > 1 and count < self._n_startup_trials:
            return None
        default = default_gamma if len(study.directions) == 1 else default_gamma_multiobjective
        return _split_trials(study, trials, (self._gamma or default)(count))

    def _density(
        self,
        study: Study,
        search_space: dict[str, BaseDistribution],
        trials: list[FrozenTrial],
        *,
        good: bool,
    ) -> _ParzenEstimator:
        observed = self._observed(study, search_space, trials)
        weights = np.ones(len(observed)) if good and len(study.directions) > 1 else None
        observations = dict(zip(search_space, observed.T, strict=True))
        return self._parzen_estimator_cls(
            observations, search_space, self._parzen_estimator_parameters, weights
        )

    def _observed(
        self, study: Study, search_space: dict[str, BaseDistribution], trials: list[FrozenTrial]
    ) -> np.ndarray:
        """Return the parameters of the trials that have them all, trials x parameters."""
        numbers = np.fromiter((trial.number for trial in trials), int, len(trials))
        table = self._table(study, search_space, numbers.max(initial=-1) + 1)
        found = table.rows[numbers]
        for row in np.flatnonzero(np.isnan(found[:, 0])).tolist():
            trial = trials[row]
            known, values = table.running.get(trial.number, (None, None))
            if known is not trial:  # a storage puts another object in the place of a trial that changes
                params = self._get_params(trial, study)
                if not search_space.keys() <= params.keys():
                    continue
                values = np.array([d.to_internal_repr(params[name]) for name, d in search_space.items()])
                if trial.state.is_finished():
                    table.rows[trial.number] = values
                    table.running.pop(trial.number, None)
                else:
                    table.running[trial.number] = trial, values
            found[row] = values
        return np.asarray(found[~np.isnan(found[:, 0])])

    def _table(self, study: Study, search_space: dict[str, BaseDistribution], count: int) -> _Table:
        key = (study._storage, study._study_id, *search_space)  # noqa: SLF001
        table = self._tables.get(key)
        if table is None or table.space != search_space:
            table = self._tables[key] = _Table(dict(search_space), np.empty((0, len(search_space))), {})
        if len(table.rows) < count:
            more = np.full((count + 64, len(search_space)), np.nan)
            table = self._tables[key] = table._replace(rows=np.append(table.rows, more, axis=0))
        return table
