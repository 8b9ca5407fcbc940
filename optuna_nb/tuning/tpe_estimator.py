"""The Parzen estimator of TPE, computed for all parameters at once: Optuna's numbers, to the last bit.

``TPESampler`` takes another estimator by its ``_parzen_estimator_cls``. This one
keeps the kernels of all numerical parameters as rows of one array, and goes
through the densities parameter by parameter, in memory that fits the processor's
cache. What is rare goes to Optuna's own estimator, which is then made, too.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers._tpe.parzen_estimator import EPS, _ParzenEstimator
from optuna.samplers._tpe.probability_distributions import _unique_inverse_2d
from optuna.samplers._tpe.sampler import default_weights

from optuna_nb.tuning.tpe_normal import LOG_ROOT_2PI, log_mass, quantile

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers._tpe.parzen_estimator import _ParzenEstimatorParameters

_MOST_SUMMED = 128  # terms, from where on numpy sums in another order
_LANES = 8  # sums that numpy keeps side by side
_ALIKE = 2  # keys for each pair, at most
_MOST_UNIQUE = 2000  # kernels on a grid, from where on Optuna's erf is another one


_default_weights = lru_cache(1000)(partial(_ParzenEstimator._call_weights_func, default_weights))  # noqa: SLF001


class TableEstimator(_ParzenEstimator):
    """What ``_ParzenEstimator`` is; P numerical parameters, K kernels, of which the last is the prior."""

    def __init__(
        self,
        observations: dict[str, np.ndarray],
        search_space: dict[str, BaseDistribution],
        parameters: _ParzenEstimatorParameters,
        predetermined_weights: np.ndarray | None = None,
    ) -> None:
        self._arguments: Any = (observations, search_space, parameters, predetermined_weights)
        self._plain: _ParzenEstimator | None = None
        self._search_space = search_space
        if parameters.prior_weight < 0:
            super().__init__(*self._arguments)  # raises
        count = next(iter(observations.values())).size
        weights = predetermined_weights
        if weights is None:
            by_default = parameters.weights is default_weights
            weights = (
                _default_weights(count) if by_default else self._call_weights_func(parameters.weights, count)
            )
        weights = np.append(weights, [parameters.prior_weight]) if count else np.array([1.0])
        self._weights = weights / weights.sum()
        categorical: Any = self._calculate_categorical_distributions
        self._choices = {
            name: categorical(observations[name], name, distribution, parameters).weights
            for name, distribution in search_space.items()
            if isinstance(distribution, CategoricalDistribution)
        }
        self._axes = [_Axis(name, d) for name, d in search_space.items() if name not in self._choices]
        if self._axes:
            self._set_kernels(observations, count, parameters)

    def _set_kernels(
        self, observations: dict[str, np.ndarray], count: int, parameters: _ParzenEstimatorParameters
    ) -> None:
        """Place a kernel on each observation, as wide as the gap to its farther neighbour."""
        low, high = (
            np.array(ends)[:, np.newaxis] for ends in zip(*(a.ends for a in self._axes), strict=True)
        )
        shape = (len(self._axes), count + 1)
        self._mu, self._sigma = np.empty(shape), np.empty(shape)
        for row, axis in zip(self._mu, self._axes, strict=True):
            observed = observations[axis.name]
            row[:-1] = np.log(observed) if axis.log else observed
        mu, width = self._mu[:, :-1], high - low
        order = np.arange(len(mu))[:, np.newaxis], np.argsort(mu, axis=1)
        ordered = np.concatenate([low, mu[order], high], axis=1)
        gaps = ordered[:, 1:] - ordered[:, :-1]
        sigma = np.maximum(gaps[:, :-1], gaps[:, 1:])
        if not parameters.consider_endpoints and count > 1:
            sigma[:, 0], sigma[:, -1] = gaps[:, 1], gaps[:, -2]
        narrowest = width / min(100.0, 2.0 + count) if parameters.consider_magic_clip else EPS
        self._sigma[order] = np.minimum(np.maximum(sigma, narrowest), width)
        self._mu[:, -1:], self._sigma[:, -1:] = 0.5 * (low + high), width
        self._low = np.array([axis.low for axis in self._axes])[:, np.newaxis]
        self._high = np.array([axis.high for axis in self._axes])[:, np.newaxis]

    def sample(self, rng: np.random.RandomState, size: int) -> dict[str, np.ndarray]:
        """Draw so many samples."""
        active = rng.choice(len(self._weights), p=self._weights, size=size)
        drawn = {name: self._draw_choices(name, active, rng) for name in self._choices}
        if self._axes:
            mu, sigma = self._mu[:, active], self._sigma[:, active]
            uniform = rng.uniform(low=0, high=1, size=mu.shape)
            numbers = quantile(uniform, (self._low - mu) / sigma, (self._high - mu) / sigma) * sigma + mu
            for axis, row in zip(self._axes, numbers, strict=True):
                drawn[axis.name] = axis.on_grid(np.exp(row) if axis.log else row)
        return {name: drawn[name] for name in self._search_space}

    def _draw_choices(self, name: str, active: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        uniform = rng.rand(active.size)
        reached = np.cumsum(self._choices[name][active, :], axis=-1)
        reached[:, -1] = 1  # whatever rounding made of it
        return np.asarray((reached < uniform[:, np.newaxis]).sum(axis=-1), dtype=float)

    def log_pdf(self, samples_dict: dict[str, np.ndarray]) -> np.ndarray:
        """Return the log density of each sample."""
        total = self._log_densities(samples_dict)
        if total is None:
            if self._plain is None:
                self._plain = _ParzenEstimator(*self._arguments)
            return self._plain.log_pdf(samples_dict)
        total += np.log(self._weights[np.newaxis])
        most = total.max(axis=1)
        most[np.isneginf(most)] = 0
        total -= most[:, np.newaxis]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(np.exp(total, out=total).sum(axis=1)) + most)

    def _log_densities(self, samples: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the log density under each kernel, samples x K; None where Optuna's own code is due."""
        smooth = [row for row, axis in enumerate(self._axes) if not axis.step]
        if len(smooth) > _MOST_SUMMED:
            return None
        grids = self._masses_on_grids(samples)
        if grids is None:
            return None
        total = np.zeros((next(iter(samples.values())).size, self._weights.size))
        for name in self._search_space:
            if name in self._choices:
                total += np.log(self._choices[name]).T[samples[name].astype(np.int64)]
            elif name in grids:
                inside, mass = grids[name]
                total += inside
                total -= mass
        if smooth:
            densities = self._smooth(smooth, samples)
            if densities is None:
                return None
            total += densities
        return total

    def _masses_on_grids(
        self, samples: dict[str, np.ndarray]
    ) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
        """Return, for parameters on a grid, the mass of the samples' cells and of the whole range."""
        grids = {
            axis.name: _Grid(axis, self._mu[row], self._sigma[row], samples[axis.name])
            for row, axis in enumerate(self._axes)
            if axis.step
        }
        if any(grid.kernels >= _MOST_UNIQUE for grid in grids.values()):
            return None
        if not grids:
            return {}
        ends = [grid.ends() for grid in grids.values()]
        a, b = (np.concatenate(parts) for parts in zip(*ends, strict=True))
        borders = np.cumsum([part.size for part, _ in ends])[:-1]
        parts = np.split(log_mass(a, b, as_few=True), borders)
        return {name: grid.spread(part) for (name, grid), part in zip(grids.items(), parts, strict=True)}

    def _smooth(self, rows: list[int], samples: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the log density in all parameters without a grid, or None where a kernel has no width."""
        arrays = self._mu, self._sigma, self._low, self._high
        mu, sigma, low, high = arrays if len(rows) == len(self._axes) else (array[rows] for array in arrays)
        a, b = (low - mu) / sigma, (high - mu) / sigma
        if (a == b).any():
            return None
        mass, width = log_mass(a, b), np.log(sigma)
        sums = _Sum(len(rows))
        for i, row in enumerate(rows):
            axis = self._axes[row]
            x = samples[axis.name]
            x = np.log(x) if axis.log else x
            density = (x[:, np.newaxis] - mu[i]) / sigma[i]
            outside = None
            if x.min() < axis.low or x.max() > axis.high:  # by rounding
                outside = (density < a[i]) | (density > b[i])
            np.multiply(density, density, out=density)
            density *= -0.5
            density -= LOG_ROOT_2PI
            density -= mass[i]
            density -= width[i]
            if outside is not None:
                density[outside] = -np.inf
            sums.add(density)
        return sums.total()


class _Axis:
    """A numerical parameter, as the estimator sees it; ``low`` and ``high`` on the axis of the kernels."""

    def __init__(self, name: str, distribution: Any) -> None:
        self.name = name
        self.log: bool = distribution.log
        self.step: float = distribution.step or 0.0
        self.range = (distribution.low, distribution.high)
        self.whole = isinstance(distribution, IntDistribution) and not self.log
        low: float = distribution.low - self.step / 2
        high: float = distribution.high + self.step / 2
        self.low, self.high = (math.log(low), math.log(high)) if self.log else (low, high)
        self.ends = (np.log(low), np.log(high)) if self.log else (low, high)  # numpy's may differ

    def on_grid(self, x: np.ndarray) -> np.ndarray:
        """Move samples onto the grid, where there is one."""
        if not self.step:
            return x
        low, high = self.range
        return np.asarray(np.clip(low + np.round((x - low) / self.step) * self.step, low, high))


class _Grid:
    """The cells of a grid that were drawn, and the kernels over them: each different pair once."""

    def __init__(self, axis: _Axis, mu: np.ndarray, sigma: np.ndarray, x: np.ndarray) -> None:
        self._axis = axis
        self._cells, self._cell = np.unique(x, return_inverse=True)
        self._mu, self._sigma, self._kernel = _unique_inverse_2d(mu, sigma)
        self.kernels = self._mu.size
        self._keys = self._number_pairs() if axis.whole else None

    def _number_pairs(self) -> np.ndarray | None:
        """Number the pairs by distance and width; None where few pairs are alike.

        Between whole numbers and their halves, equal distances are equal to the last bit.
        """
        widths, width = np.unique(self._sigma, return_inverse=True)
        distance = 2 * (self._cells[:, np.newaxis] - self._mu)
        reach = np.abs(distance).max()
        if (2 * reach + 1) * widths.size > _ALIKE * distance.size or (distance != np.rint(distance)).any():
            return None
        return np.asarray((distance + reach).astype(np.int64) * widths.size + width)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both ends, flat: of each pair, and then of the range under each kernel."""
        axis = self._axis
        ends = self._cells - axis.step / 2, self._cells + axis.step / 2
        left, right = (np.log(end) for end in ends) if axis.log else ends
        pairs = [((end[:, np.newaxis] - self._mu) / self._sigma).ravel() for end in (left, right)]
        if self._keys is not None:
            place = np.full(self._keys.max() + 1, -1)
            place[self._keys.ravel()] = np.arange(self._keys.size)  # of one pair with each number
            self._used = np.flatnonzero(place >= 0)
            pairs = [pair[place[self._used]] for pair in pairs]
        low, high = ((end - self._mu) / self._sigma for end in (axis.low, axis.high))
        return np.append(pairs[0], low), np.append(pairs[1], high)

    def spread(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the masses of the cells, samples x K, and of the range, K."""
        inside, mass = found[: -self.kernels], found[-self.kernels :]
        if self._keys is not None:
            all_keys = np.empty(self._used[-1] + 1)
            all_keys[self._used] = inside
            inside = all_keys[self._keys]
        inside = inside.reshape(self._cells.size, self.kernels)
        return inside[np.ix_(self._cell, self._kernel)], mass[self._kernel]


class _Sum:
    """Adds arrays in the order in which numpy sums as many numbers: in eight lanes, from eight on."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._in_lanes = count - count % _LANES
        self._lanes: list[np.ndarray] = []
        self._seen = 0

    def add(self, term: np.ndarray) -> None:
        """Add one more."""
        if self._seen < self._in_lanes and self._seen < _LANES:
            self._lanes.append(term)
        elif self._seen < self._in_lanes:
            self._lanes[self._seen % _LANES] += term
        elif self._lanes:
            self._join()
            self._lanes[0] += term
        else:
            self._lanes = [term]
        self._seen += 1

    def _join(self) -> None:
        """Add up the lanes by twos."""
        while len(self._lanes) > 1:
            pairs = zip(self._lanes[::2], self._lanes[1::2], strict=True)
            self._lanes = [np.add(even, odd, out=even) for even, odd in pairs]

    def total(self) -> np.ndarray:
        """Return the sum of all."""
        self._join()
        return self._lanes[0]
