"""The faster TPE draws what Optuna's draws, to nine digits."""

from __future__ import annotations

import math
import sys
import threading

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import default_weights

import optuna_nb
from optuna_nb.tuning.fast_tpe import ArrayEstimator, FastTPESampler
from optuna_nb.tuning.sampling import make_sampler

SPACES = {
    "float": FloatDistribution(-1, 3),
    "log float": FloatDistribution(1e-7, 10, log=True),
    "stepped float": FloatDistribution(0.1, 2.5, step=0.05),
    "fine float": FloatDistribution(0, 3, step=0.001),
    "int": IntDistribution(1, 12),
    "wide int": IntDistribution(-7, 2000),
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


def assert_alike(observations, space, parameters=DEFAULT, weights=None):
    ours, theirs = (
        kind(observations, space, parameters, weights) for kind in (ArrayEstimator, _ParzenEstimator)
    )
    drawn = theirs.sample(np.random.RandomState(7), 24)
    samples = ours.sample(np.random.RandomState(7), 24)
    assert list(samples) == list(drawn)
    for name in space:
        np.testing.assert_allclose(samples[name], drawn[name], rtol=1e-9)
    np.testing.assert_allclose(ours.log_pdf(drawn), theirs.log_pdf(drawn), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 2, 25, 150, 2500])
@pytest.mark.parametrize("names", [*[[name] for name in SPACES], [*SPACES], [*SPACES][::-1]], ids=str)
def test_draws_and_densities_are_those_of_optuna(names, count):
    random = np.random.default_rng(count)
    space = {name: SPACES[name] for name in names}
    assert_alike({name: observed(d, count, random) for name, d in space.items()}, space)


@pytest.mark.parametrize("number", [7, 8, 9, 15, 16, 17, 64, 128, 129, 300])
def test_densities_over_many_parameters_are_those_of_optuna(number):
    random = np.random.default_rng(number)
    space = {f"x{i}": FloatDistribution(-1, 1) for i in range(number)}
    assert_alike({name: observed(d, 30, random) for name, d in space.items()}, space)


def test_an_integer_of_many_cells_is_drawn_as_by_optuna():
    space = {"huge int": IntDistribution(0, 2**50)}
    observations = {"huge int": observed(space["huge int"], 60, np.random.default_rng(1))}
    ours, theirs = (
        kind(observations, space, DEFAULT).sample(np.random.RandomState(7), 200)["huge int"]
        for kind in (ArrayEstimator, _ParzenEstimator)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_negative_weights_are_refused_as_by_optuna():
    for parameters in (DEFAULT._replace(prior_weight=-1.0), DEFAULT._replace(weights=lambda n: -np.ones(n))):
        with pytest.raises(ValueError, match="negative"):
            ArrayEstimator({"x": np.linspace(0, 1, 9)}, {"x": FloatDistribution(0, 1)}, parameters)


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
    assert_alike({name: observed(d, 60, random) for name, d in SPACES.items()}, SPACES, parameters)


def test_weights_that_are_given_count():
    random = np.random.default_rng(1)
    observations = {name: observed(d, 40, random) for name, d in SPACES.items()}
    assert_alike(observations, SPACES, weights=random.uniform(size=40))


@pytest.mark.parametrize("at", [1.5, 40.0, -1e9, 1e20])
def test_observations_outside_of_a_range_that_has_shrunk_break_nothing(at):
    observations = {"x": np.append(np.linspace(0, 1, 50), [at] * 3)}
    for distribution in (FloatDistribution(0, 1), IntDistribution(0, 9), FloatDistribution(0, 1, step=0.1)):
        estimator = ArrayEstimator(observations, {"x": distribution}, DEFAULT)
        samples = estimator.sample(np.random.RandomState(7), 200)
        assert 0 <= samples["x"].min() <= samples["x"].max() <= distribution.high
        assert np.isfinite(estimator.log_pdf(samples)).all()


def mixed(trial):
    x = trial.suggest_float("x", -5, 5)
    log = trial.suggest_float("log", 1e-4, 10, log=True)
    step = trial.suggest_float("step", 0, 1, step=0.25)
    depth = trial.suggest_int("depth", 1, 12)
    kind = trial.suggest_categorical("kind", ["a", None, 3])
    if kind == "a":
        x += trial.suggest_float("extra", 0, 1)
    trial.report(x, depth)
    if trial.number % 5 == 3:
        raise optuna.TrialPruned
    if trial.number % 11 == 7:
        raise ValueError("no luck")
    trial.set_constraint("far", abs(x) - 4)
    return (x - 1) ** 2 + log + step * depth + (kind is None)


def several(trial):
    x = trial.suggest_float("x", 0, 1)
    return x, 1 - x**2


def trials(sampler, objective, directions, n=60):
    study = optuna.create_study(sampler=sampler, directions=directions)
    study.optimize(objective, n_trials=n, catch=ValueError)
    return [(t.number, t.state, t.params, t.values) for t in study.trials]


def approximately(value):
    """Compare floats to nine digits, wherever they are."""
    if isinstance(value, dict):
        return {name: approximately(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(approximately(each) for each in value)
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::UserWarning")
@pytest.mark.parametrize("objective", [mixed, several])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    "options",
    [{}, {"multivariate": False}, {"multivariate": True, "group": True}, {"constant_liar": False}],
    ids=str,
)
def test_every_draw_is_the_one_of_optuna(objective, direction, options):
    directions = [direction] if objective is mixed else [direction, "maximize"]
    fast = trials(FastTPESampler(seed=3, **options), objective, directions)
    assert fast == approximately(trials(TPESampler(seed=3, **options), objective, directions))


def test_every_draw_is_the_one_of_optuna_with_other_trials_in_flight():
    def run(sampler):
        study = optuna.create_study(sampler=sampler)
        for number in range(40):
            late, early = study.ask(), study.ask()
            for trial in (late, early):
                trial.suggest_float("x", 0, 1)
                trial.suggest_categorical("kind", [True, False])
            study.tell(early, early.params["x"])
            study.tell(late, late.params["x"] * number)
        return [t.params for t in study.trials]

    assert run(FastTPESampler(seed=1)) == approximately(run(TPESampler(seed=1)))


def test_a_distribution_that_changes_is_read_anew():
    def objective(trial):
        high = 5 if trial.number < 20 else 9
        return trial.suggest_float("x", 0, high) + trial.suggest_int("n", 0, high)

    expected = trials(TPESampler(seed=1), objective, ["minimize"])
    assert trials(FastTPESampler(seed=1), objective, ["minimize"]) == approximately(expected)


def test_a_sampler_that_serves_two_studies_mixes_nothing_up():
    ours, theirs = FastTPESampler(seed=1), TPESampler(seed=1)
    for low in (0, 100):

        def objective(trial, low=low):
            return trial.suggest_float("x", low, 200)

        expected = trials(theirs, objective, ["minimize"], 30)
        assert trials(ours, objective, ["minimize"], 30) == approximately(expected)


def test_with_an_optuna_that_is_another_inside_it_is_the_sampler_of_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna_nb.tuning.fast_tpe", None)
    assert type(make_sampler("tpe", seed=1, directions=["minimize"]).sampler) is TPESampler
    with pytest.raises(
        optuna_nb.OptunaNBError, match=r"--batch does not work with Optuna \d.*: leave it out"
    ):
        make_sampler("tpe", seed=1, directions=["minimize"], batch=4)


def test_it_is_the_sampler_of_optuna_too_where_only_arguments_are_others(monkeypatch):
    monkeypatch.delitem(sys.modules, "optuna_nb.tuning.fast_tpe")
    monkeypatch.setattr(TPESampler, "_get_params", lambda self, trial: trial.params)
    assert type(make_sampler("tpe", seed=1, directions=["minimize"]).sampler) is TPESampler
    monkeypatch.delattr(TPESampler, "_get_params")
    assert type(make_sampler("tpe", seed=1, directions=["minimize"]).sampler) is TPESampler


def test_threads_that_share_a_sampler_do_not_disturb_each_other():
    study = optuna.create_study(sampler=FastTPESampler(seed=1))
    errors = []

    def work():
        try:
            study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=20)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(study.trials) == 80


def drawn_in_batches(values):
    """Return the parameters of trials whose values are given, eight from one model."""
    study = optuna.create_study(sampler=FastTPESampler(seed=1, batch=8))
    study.optimize(
        lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 9) + values[trial.number],
        n_trials=len(values),
    )
    return [trial.params for trial in study.trials]


def test_trials_of_a_batch_know_nothing_of_each_other():
    plain, other = np.zeros(40), np.zeros(40)
    other[17] = 100  # the batch is 16 to 23
    assert drawn_in_batches(plain)[:24] == drawn_in_batches(other)[:24]
    assert drawn_in_batches(plain)[24:] != drawn_in_batches(other)[24:]


def test_a_batch_goes_on_where_it_was_interrupted(tmp_path):
    def objective(trial):
        return (trial.suggest_float("x", 0, 1) - 0.3) ** 2 + trial.suggest_int("n", 1, 9)

    def params(file, *totals):
        for trials in totals:  # a kernel each, as nothing of the sampler is kept
            handle = optuna_nb.tune(
                objective, name="s", trials=trials, seed=1, batch=8, storage=f"sqlite:///{file}", wait=True
            )
        return [trial.params for trial in handle.study.trials]

    assert params(tmp_path / "a.db", 13, 21, 30) == params(tmp_path / "b.db", 30)


def test_a_batch_is_for_tpe_alone():
    with pytest.raises(optuna_nb.OptunaNBError, match=r"--batch is for `--sampler tpe`"):
        optuna_nb.tune(lambda _: 0.0, name="s", sampler="random", batch=4)


def test_candidates_that_tie_are_told_apart_as_by_optuna():
    def objective(trial):
        return trial.suggest_categorical("a", [True, False]) + trial.suggest_categorical("b", [True, False])

    for seed in (4, 5, 8, 23):
        expected = trials(TPESampler(seed=seed), objective, ["minimize"], 90)
        assert trials(FastTPESampler(seed=seed), objective, ["minimize"], 90) == expected
