"""The faster random sampler draws what Optuna's draws, bit for bit."""

from __future__ import annotations

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from optuna_nb.tuning.fast_random import FastRandomSampler
from optuna_nb.tuning.sampling import make_sampler

FLOATS = st.floats(-1e300, 1e300, allow_nan=False)
POSITIVE = st.floats(1e-300, 1e300, exclude_min=True)
SMALL = st.integers(-(10**6), 10**6)
LARGE = st.integers(-(2**62), 2**62)


def ranges(numbers):
    return st.tuples(numbers, numbers).map(sorted)


DISTRIBUTIONS = st.one_of(
    ranges(FLOATS).map(lambda r: FloatDistribution(*r)),
    ranges(POSITIVE).map(lambda r: FloatDistribution(*r, log=True)),
    st.tuples(ranges(st.floats(-1e3, 1e3)), st.floats(1e-3, 1)).map(
        lambda r: FloatDistribution(r[0][0], r[0][0] + 10 * r[1], step=r[1])
    ),
    st.tuples(st.one_of(ranges(SMALL), ranges(LARGE)), st.integers(1, 1000)).map(
        lambda r: IntDistribution(r[0][0], r[0][0] + (r[0][1] - r[0][0]) // r[1] * r[1], step=r[1])
    ),
    ranges(st.integers(1, 2**62)).map(lambda r: IntDistribution(*r, log=True)),
    st.lists(st.one_of(st.text(), SMALL, st.none()), min_size=1, max_size=20).map(CategoricalDistribution),
)


def exactly(value):
    return value.hex() if isinstance(value, float) else (type(value), value)


@given(st.lists(DISTRIBUTIONS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
@pytest.mark.filterwarnings("ignore:The distribution is specified by:UserWarning")
def test_draws_are_those_of_optuna_to_the_last_bit(distributions, seed):
    ours, theirs = FastRandomSampler(seed), RandomSampler(seed)
    for distribution in distributions * 5:
        drawn = [it.sample_independent(None, None, "x", distribution) for it in (ours, theirs)]
        assert exactly(drawn[0]) == exactly(drawn[1])
        assert type(drawn[0]) in (type(drawn[1]), float)


@pytest.mark.parametrize("log", [False, True])
def test_the_upper_end_of_a_range_without_step_is_not_drawn(log):
    narrow = FloatDistribution(1, math.nextafter(1, 2), log=log)
    sampler = FastRandomSampler(1)
    assert {sampler.sample_independent(None, None, "x", narrow) for _ in range(100)} == {1}


def test_every_integer_of_a_range_is_drawn_as_often():
    sampler = FastRandomSampler(1)
    drawn = [sampler.sample_independent(None, None, "x", IntDistribution(2, 8, step=3)) for _ in range(3000)]
    assert {value: round(drawn.count(value) / 3000, 1) for value in set(drawn)} == {2: 0.3, 5: 0.3, 8: 0.3}


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_a_range_too_wide_for_floats_is_refused_as_by_optuna():
    wide = FloatDistribution(-1.7e308, 1.7e308)
    for sampler in (RandomSampler(1), FastRandomSampler(1)):
        with pytest.raises(OverflowError, match="valid bounds"):
            sampler.sample_independent(None, None, "x", wide)


def test_a_study_ends_the_same_with_either_sampler():
    def objective(trial):
        x = trial.suggest_float("x", 1e-5, 1, log=True)
        depth = (
            trial.suggest_int("depth", 1, 10) if trial.suggest_categorical("kind", ["a", "b"]) == "a" else 0
        )
        return x + depth

    ours, theirs = (optuna.create_study(sampler=kind(seed=3)) for kind in (FastRandomSampler, RandomSampler))
    for study in (ours, theirs):
        study.optimize(objective, n_trials=50)
    assert [trial.params for trial in ours.trials] == [trial.params for trial in theirs.trials]
    assert ours.best_value.hex() == theirs.best_value.hex()


def test_random_by_name_is_the_faster_one():
    assert type(make_sampler("random", seed=1, directions=["minimize"]).sampler) is FastRandomSampler
