"""Each number of the estimator is the one of Optuna's own, to the last bit."""

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

from optuna_nb.tuning.tpe_estimator import TableEstimator
from optuna_nb.tuning.tpe_normal import log_mass, log_ndtr

SPACES = {
    "float": FloatDistribution(-1, 3),
    "log float": FloatDistribution(1e-7, 10, log=True),
    "stepped float": FloatDistribution(0.1, 2.5, step=0.05),
    "fine float": FloatDistribution(0, 3, step=0.001),
    "int": IntDistribution(1, 12),
    "wide int": IntDistribution(-7, 2000),
    "huge int": IntDistribution(0, 2**50),
    "stepped int": IntDistribution(3, 999, step=3),
    "log int": IntDistribution(1, 4000, log=True),
    "choice": CategoricalDistribution(["a", "b", None]),
}
DEFAULT = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)


def observed(distribution, count, random):
    if isinstance(distribution, CategoricalDistribution):
        return random.integers(len(distribution.choices), size=count)
    low, high = distribution.low, distribution.high
    x = np.exp(random.uniform(math.log(low), math.log(high), count)) if distribution.log else None
    x = random.uniform(low, high, count) if x is None else x
    if distribution.step:
        x = low + np.round((x - low) / distribution.step) * distribution.step
    x[: count // 50] = high  # on the very border
    return np.clip(x, low, high)


def assert_equal(observations, space, parameters=DEFAULT, weights=None):
    drawn = []
    for kind in (TableEstimator, _ParzenEstimator):
        estimator = kind(observations, space, parameters, weights)
        samples = estimator.sample(np.random.RandomState(7), 24)
        drawn.append((samples, estimator.log_pdf(samples)))
    (ours, density), (theirs, expected) = drawn
    assert list(ours) == list(theirs)
    for name in space:
        np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
    np.testing.assert_array_equal(density, expected, strict=True)


@pytest.mark.parametrize("count", [0, 1, 2, 25, 150, 2500])
@pytest.mark.parametrize("names", [*[[name] for name in SPACES], [*SPACES], [*SPACES][::-1]], ids=str)
def test_draws_and_densities_are_those_of_optuna(names, count):
    random = np.random.default_rng(count)
    space = {name: SPACES[name] for name in names}
    assert_equal({name: observed(d, count, random) for name, d in space.items()}, space)


@pytest.mark.parametrize("number", [7, 8, 9, 15, 16, 17, 64, 128, 129, 300])
def test_sums_over_many_parameters_are_those_of_optuna(number):
    random = np.random.default_rng(number)
    space = {f"x{i}": FloatDistribution(-1, 1) for i in range(number)}
    assert_equal({name: observed(d, 30, random) for name, d in space.items()}, space)


@pytest.mark.parametrize(
    "parameters",
    [
        DEFAULT._replace(consider_magic_clip=False),
        DEFAULT._replace(consider_endpoints=True),
        DEFAULT._replace(prior_weight=0.2),
        DEFAULT._replace(weights=lambda n: np.linspace(1, 2, n)),
    ],
    ids=["no magic clip", "endpoints", "prior", "weights"],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_settings_of_the_sampler_count(parameters):
    random = np.random.default_rng(1)
    space = {name: d for name, d in SPACES.items() if name != "huge int"}
    assert_equal({name: observed(d, 60, random) for name, d in space.items()}, space, parameters)


def test_weights_that_are_given_count():
    random = np.random.default_rng(1)
    observations = {name: observed(d, 40, random) for name, d in SPACES.items()}
    assert_equal(observations, SPACES, weights=random.uniform(size=40))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("at", [1.5, 40.0, -1e9, 1e20])
def test_observations_outside_of_a_range_that_has_shrunk_count_as_in_optuna(at):
    inside = np.linspace(0, 1, 50)
    for distribution in (FloatDistribution(0, 1), IntDistribution(0, 9), FloatDistribution(0, 1, step=0.1)):
        assert_equal({"x": np.append(inside, [at] * 3)}, {"x": distribution})


def test_negative_weights_are_refused_as_by_optuna():
    for parameters in (DEFAULT._replace(prior_weight=-1.0), DEFAULT._replace(weights=lambda n: -np.ones(n))):
        with pytest.raises(ValueError, match="negative"):
            TableEstimator({"x": np.linspace(0, 1, 9)}, {"x": FloatDistribution(0, 1)}, parameters)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_normal_distribution_is_that_of_optuna():
    random = np.random.default_rng(1)
    far = -np.exp(random.uniform(-30, 50, 3000))
    special = [-20.0, 0, -0.0, 6, 1, -1, 2**0.5, -(2**0.5), -39, -math.inf, math.inf, math.nan]
    for x in (random.uniform(-200, 40, 9000), random.normal(size=9000) * 3, far, np.array(special)):
        np.testing.assert_array_equal(log_ndtr(x), _truncnorm._log_ndtr(x))
        for few in (x[:100], x[100:140]):
            np.testing.assert_array_equal(log_ndtr(few), _truncnorm._log_ndtr(few))
    for size in (10, 1999, 2000, 9000):
        a, b = np.sort(random.normal(size=(2, size)) * 2, axis=0)
        np.testing.assert_array_equal(log_mass(a, b), _truncnorm._log_gauss_mass(a, b))
        a, b = -np.abs(a), np.abs(b) + 0.1
        np.testing.assert_array_equal(log_mass(a, b), _truncnorm._log_gauss_mass(a, b))
