"""When a trial is given up by its first folds."""

import numpy as np
import pytest

from optuna_nb.models.racing import expected, is_hopeless, limit_of_first
from optuna_nb.models.stopping import Limit, Patience


def rivals(rng, noise=0.01, count=8, folds=5):
    return (
        0.3
        + rng.normal(0, 0.1, folds)
        + rng.normal(0, 0.005, (count, 1))
        + rng.normal(0, noise, (count, folds))
    )


def test_a_trial_far_behind_ends_after_one_fold_and_one_on_par_goes_on():
    known = rivals(np.random.default_rng(1))
    effects = known.mean(axis=0)

    assert is_hopeless(effects[:1] + 0.2, known)
    assert not is_hopeless(effects[:1], known)
    assert not is_hopeless(effects[:1] - 0.2, known)


def test_a_hard_first_fold_is_not_held_against_a_trial():
    known = np.array([[0.9, 0.1, 0.1], [0.91, 0.1, 0.12], [0.89, 0.11, 0.11]])

    assert not is_hopeless(np.array([0.9]), known)
    assert expected(np.array([0.9]), known) == pytest.approx(known.mean(), abs=0.01)


def test_nothing_is_given_up_without_two_rivals_or_when_all_folds_are_known():
    known = rivals(np.random.default_rng(2))

    assert not is_hopeless(np.array([9.0]), known[:1])
    assert not is_hopeless(np.array([9.0]), np.empty((0, 0)))
    assert not is_hopeless(np.full(5, 9.0), known)


def test_an_equal_trial_is_given_up_in_about_one_case_of_twenty():
    rng = np.random.default_rng(3)
    given_up = 0
    for _ in range(1000):
        fold_effects, noise = rng.normal(0, 0.1, 5), rng.normal(0, 0.01, (9, 5))
        all_equal = 0.3 + fold_effects + noise
        all_equal -= noise.mean(axis=1, keepdims=True)  # no trial is better than another over all folds
        given_up += is_hopeless(all_equal[0, :1], all_equal[1:])

    assert 20 <= given_up <= 90


def test_scaling_the_metric_changes_no_decision():
    rng = np.random.default_rng(4)
    known = rivals(rng)
    for _ in range(50):
        losses = known.mean(axis=0)[:2] + rng.normal(0, 0.02, 2)
        assert is_hopeless(losses, known) == is_hopeless(losses * 1000, known * 1000)


def test_a_fold_without_a_finite_score_is_hopeless():
    assert is_hopeless(np.array([np.inf]), rivals(np.random.default_rng(5)))


def test_the_limit_of_the_first_fold_is_where_a_trial_becomes_hopeless():
    known = rivals(np.random.default_rng(6))
    limit = limit_of_first(known)

    assert is_hopeless(np.array([limit + 1e-6]), known)
    assert not is_hopeless(np.array([limit - 1e-6]), known)


def test_with_one_split_the_limit_is_the_best_score_so_far():
    assert limit_of_first(np.array([[0.4], [0.5]])) == 0.4
    assert limit_of_first(np.empty((0, 1))) is None


def rounds_until_the_end(curve, limit=None, rate=0.1, *, in_haste=False, period=1):
    patience = Patience(rate, None if limit is None else Limit(limit, in_haste), period)
    for k in range(0, len(curve), period):
        if patience.is_over(curve[k]):
            return k + 1, patience.gave_up
    return len(curve), False


def test_boosting_ends_when_the_loss_has_stopped_falling_for_as_much_learning_at_any_rate():
    flat = [1.0] * 500

    assert rounds_until_the_end(flat, rate=0.3) == (16, False)
    assert rounds_until_the_end(flat, rate=0.1) == (31, False)
    assert rounds_until_the_end(flat, rate=0.001) == (101, False)


@pytest.mark.parametrize("rate", [0.3, 0.1, 0.04, 0.001])
def test_a_loss_that_is_known_in_every_fifth_round_ends_boosting_as_soon(rate):
    rounds = np.arange(1000)
    valley = 0.3 + np.exp(-rounds / 20) + 1e-3 * rounds

    for curve in (np.ones(500), valley):
        often, seldom = (rounds_until_the_end(curve, rate=rate, period=period)[0] for period in (1, 5))
        assert abs(seldom - often) <= 5


@pytest.mark.parametrize("period", [1, 5])
def test_a_curve_that_will_miss_the_limit_is_given_up_and_a_slow_one_that_will_reach_it_is_not(period):
    rounds = np.arange(1000)
    slow = 0.3 + 0.4 * np.exp(-rounds / 200)

    assert rounds_until_the_end(slow, limit=0.25, rate=0.02, period=period)[1]
    assert rounds_until_the_end(slow, limit=0.25, rate=0.02, period=period)[0] < 800
    assert not rounds_until_the_end(slow, limit=0.31, rate=0.02, period=period)[1]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_loss_that_falls_as_a_power_of_the_rounds_is_not_given_up_while_it_may_reach_the_limit(power):
    curve = 0.3 + 0.5 * np.arange(1, 1_500) ** -power

    assert not rounds_until_the_end(curve, limit=curve.min(), rate=0.03)[1]
    assert rounds_until_the_end(curve, limit=0.2, rate=0.03)[1]


def test_in_haste_a_slow_loss_is_given_up_although_it_would_reach_the_limit():
    curve = 0.3 + 0.5 * np.arange(1, 1_500) ** -0.5

    assert rounds_until_the_end(curve, limit=curve.min(), rate=0.03, in_haste=True)[1]
    assert not rounds_until_the_end(curve, limit=curve.min(), rate=0.03)[1]
    assert not rounds_until_the_end(curve, limit=0.4, rate=0.03, in_haste=True)[1]
