"""What is drawn of many trials, and what must not get lost on the way."""

import math
import random
import re
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from display.example import boosting, study, trial
from optuna_nb.display import figures, plane, scale
from optuna_nb.records import TrialOutcome, thinned

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300)


@given(values, st.integers(4, 60))
def test_thinning_keeps_the_extremes_and_the_ends(series, limit):
    points = list(enumerate(series))
    kept = thinned(points, limit)
    assert len(kept) <= max(limit, 4)
    assert kept == sorted(set(kept))
    assert min(v for _, v in kept) == min(series)
    assert max(v for _, v in kept) == max(series)
    assert (kept[0], kept[-1]) == (points[0], points[-1])


@given(values, st.sampled_from(["minimize", "maximize"]))
def test_best_so_far_only_improves_and_ends_at_the_best(series, direction):
    found = figures.history(study([trial(n, v) for n, v in enumerate(series)], directions=(direction,)))
    best = [v for _, v in found.best]
    assert best == sorted(set(best), reverse=direction == "minimize")
    assert best[-1] == (min(series) if direction == "minimize" else max(series))


def test_the_best_of_ten_thousand_trials_is_drawn():
    rng = random.Random(1)  # noqa: S311 - a made-up study, no secret
    trials = [trial(n, rng.random()) for n in range(10_000)]
    trials[7_777] = trial(7_777, 2.0)
    found = figures.history(study(trials))
    assert (7_777, 2.0) in found.points
    assert found.best[-1] == (7_777, 2.0)
    assert len(found.points) <= 480


def test_an_infeasible_trial_is_drawn_but_is_never_the_best():
    found = figures.history(study([trial(0, 0.5), trial(1, 0.9, feasible=False)]))
    assert found.points == ((0, 0.5), (1, 0.9))
    assert found.best == ((0, 0.5),)


def test_values_that_are_not_finite_are_not_drawn():
    found = figures.history(study([trial(0, math.inf), trial(1, math.nan), trial(2, 0.5)]))
    assert found.points == ((2, 0.5),)


def test_pruned_and_failed_trials_are_told_apart():
    trials = [trial(0, 0.5), trial(1, outcome=TrialOutcome.PRUNED), trial(2, outcome=TrialOutcome.FAILED)]
    found = figures.history(study(trials))
    assert (found.pruned, found.failed, found.last) == ((1,), (2,), 2)


def test_a_bad_value_far_out_does_not_press_the_good_ones_into_a_line():
    losses = [0.3 + n / 1000 for n in range(30)]
    losses[3] = 35.0
    found = figures.history(study([trial(n, v) for n, v in enumerate(losses)], directions=("minimize",)))
    assert found.high < 1
    assert found.outliers == 1
    assert found.low == 0.3


def test_the_history_of_an_empty_study_is_empty():
    found = figures.history(study([]))
    assert (found.points, found.best, found.last) == ((), (), -1)


def test_the_top_follows_the_direction_and_ranks_nan_last():
    trials = [trial(0, 0.2), trial(1, math.nan), trial(2, 0.9), trial(3, 0.5, feasible=False)]
    assert [t.number for t in figures.top(study(trials), 9)] == [2, 0, 1]
    assert [t.number for t in figures.top(study(trials, directions=("minimize",)), 9)] == [0, 2, 1]


def test_the_top_of_several_objectives_is_the_pareto_front():
    trials = [
        trial(0, 1.0, 5.0),
        trial(1, 2.0, 9.0),
        trial(2, 2.0, 4.0),
        trial(3, 0.5, 1.0),
        trial(4, 0.6, 0.5),
    ]
    front = figures.top(study(trials, directions=("minimize", "maximize")), 9)
    assert sorted(t.number for t in front) == [0, 1, 3]


def test_a_history_of_ten_thousand_trials_takes_a_small_part_of_a_poll():
    snapshot = study(boosting(10_000), target=10_000)
    begin = time.process_time()
    figures.history(snapshot)
    assert time.process_time() - begin < 0.2


def test_a_front_of_ten_thousand_trials_is_found_in_time_and_thinned_evenly():
    trials = [trial(n, n / 1e4, n / 1e4) for n in range(10_000)]
    begin = time.thread_time()  # threads that other tests left behind do not count
    front = figures.top(study(trials, directions=("minimize", "maximize")), 5)
    assert time.thread_time() - begin < 0.5
    assert [t.number for t in front] == [0, 2500, 5000, 7499, 9999]


def test_three_objectives_have_a_front_too():
    trials = [
        trial(0, 1.0, 1.0, 1.0),
        trial(1, 2.0, 0.5, 1.0),
        trial(2, 2.0, 2.0, 2.0),
        trial(3, 0.5, 3.0, 3.0),
    ]
    front = figures.top(study(trials, directions=("minimize",) * 3), 9)
    assert [t.number for t in front] == [3, 0, 1]


def test_the_best_value_of_each_objective_follows_its_direction():
    made = study(
        [trial(0, 1.0, 5.0), trial(1, 2.0, 9.0), trial(2, 0.1, 0.1, feasible=False)],
        directions=("minimize", "maximize"),
    )
    assert (figures.best_value(made, 0), figures.best_value(made, 1)) == (1.0, 9.0)
    assert figures.best_value(study([]), 0) is None


@pytest.mark.parametrize("value", [sys.float_info.max, -sys.float_info.max, 5e-324, 1e-322])
def test_the_largest_and_the_smallest_numbers_have_a_scale(value):
    for low, high in ((value, value), (min(value, 0.0), max(value, 0.0))):
        ticks = scale.Scale(*scale.padded(low, high)).ticks()
        assert all(0 <= place <= 1 for place, _ in ticks)


def test_powers_of_ten_have_an_exponent_only_where_they_would_be_long():
    texts = [text for _, text in scale.Scale(-5.0, 6.0, log=True).ticks(20)]
    assert texts == ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1", "10", "100", "1000", "10000", "1e5", "1e6"]
    assert scale.tick_texts([1e6, 1.5e6]) == ["1e6", "1.5e6"]
    assert scale.tick_texts([-2e-9, 0.0, 2e-12]) == ["-2e-9", "0", "2e-12"]


def test_the_last_tick_of_a_chart_lies_within_it():
    drawn = plane.Plane(scale.Scale(0.0, 3.0, log=True), scale.Scale(0.0, 1.0), width=330)
    places = re.findall(r'<text x="([\d.]+)"[^>]*middle[^>]*>([^<]+)<', drawn.draw("", title="x"))
    at, text = places[-1]
    assert text == "1000"
    assert float(at) + len(text) * 7 / 2 <= drawn.width  # of letters 7 wide, as in DejaVu Sans


def test_a_logarithmic_scale_has_ticks_only_where_there_are_numbers():
    for values in ([5e-324, 1e-310, 1e-20], [1e5, 1e150, 1e308]):
        drawn = scale.scale_of(values)
        assert drawn.log
        assert all(float(text) > 0 for _, text in drawn.ticks())
