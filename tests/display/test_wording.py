"""How numbers, durations and names read."""

import math
from dataclasses import replace

import pytest

from display.example import study, trial
from optuna_nb.display import wording
from optuna_nb.records import StudyState


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.42, "0.42 s"),
        (12.4, "12 s"),
        (59.9, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds, said):
    assert wording.duration(seconds) == said


@pytest.mark.parametrize("seconds", [None, math.inf, math.nan])
def test_a_duration_that_is_not_known_is_a_dash(seconds):
    assert wording.duration(seconds) == wording.NOTHING


@pytest.mark.parametrize(
    ("per_second", "said"),
    [
        (12.34, "12.3 trials/s"),
        (1320.4, "1,320 trials/s"),
        (999.7, "1,000 trials/s"),
        (9.94, "596 trials/min"),
        (0.5, "30 trials/min"),
        (0.01, "36 trials/h"),
        (1e-5, "0.036 trials/h"),
        (0, wording.NOTHING),
    ],
)
def test_a_rate_is_per_minute_unless_that_is_very_much_or_too_little(per_second, said):
    assert wording.rate(per_second) == said


def test_numbers_of_a_column_share_their_decimals():
    assert wording.column([0.1, 0.0025, 0.03]) == ["0.10000", "0.00250", "0.03000"]


def test_numbers_of_very_different_size_keep_their_own_exponents():
    assert wording.column([1e-9, 2.5]) == ["1e-09", "2.5"]


def test_a_column_may_mix_numbers_text_truth_and_nothing():
    assert wording.column([0.5, "gini", True, None, 3]) == ["0.500", "gini", "True", "None", "3"]


def test_the_digits_of_a_column_are_those_of_the_study_and_not_of_the_rows():
    assert wording.column([16.4772], [0.02, 80.0]) == ["16.4772"]
    assert wording.column([16.4772, 4e-9], [1.5, 80.0]) == ["16.48", "4e-09"]
    assert wording.column([0.5, 0.0003], [0.0003, 0.99], is_linear=True) == ["0.50000", "0.00030"]
    assert wording.scores([1.5, None, 1e300], 0.98) == ["1.500000", wording.NOTHING, "1e+300"]
    assert wording.durations([0.02, 75.0], [0.01, 0.04]) == ["0.020 s", "1 min 15 s"]


def test_scores_keep_six_digits_and_stand_not_finite_values():
    assert wording.scores([0.98231, None, math.inf]) == ["0.982310", wording.NOTHING, "inf"]
    assert wording.scores([123456.7, 1.0]) == ["123457", "1"]


def test_durations_of_a_column_share_their_decimals():
    assert wording.durations([0.99, None, 1]) == ["0.99 s", wording.NOTHING, "1.00 s"]
    assert wording.durations([0.0123]) == ["0.012 s"]
    assert wording.durations([5, 185]) == ["5 s", "3 min 05 s"]


def test_a_name_loses_line_breaks_terminal_escapes_and_marks_that_turn_the_text_around():
    said = wording.clip("a\nb\x1b[31m\u202ec", 40)
    assert said == "a b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}c"


def test_a_long_name_is_cut_to_the_limit():
    assert wording.clip("x" * 10**6, 40) == "x" * 39 + "…"


@pytest.mark.parametrize("length", [100, 10**6])
def test_long_names_that_begin_alike_keep_their_ends(length):
    one, other = (wording.clip_middle("learning_rate_of_" + "x" * length + end, 24) for end in "ab")
    assert one == "learning_rat…xxxxxxxxxxa"
    assert other == one[:-1] + "b"
    assert wording.clip_middle("a" * 24, 24) == "a" * 24


def test_progress_says_what_is_done_and_what_is_to_go():
    trials = [trial(n, 0.5) for n in range(42)]
    assert wording.progress(study(trials)) == "42 of 100 done, 58 to go"
    assert wording.progress(study(trials, target=42)) == "42 of 42 done"
    assert wording.progress(study(trials, target=3)) == "42 done, 3 asked for"
    assert wording.progress(study(trials, target=None)) == "42 done, no limit"


def test_objectives_have_the_names_of_the_user_or_the_numbers_of_optuna():
    two = study([], directions=("minimize", "maximize"))
    assert [wording.objective(two, i) for i in (0, 1)] == ["objective 0", "objective 1"]
    named = replace(two, metric="seconds, auc")
    assert [wording.objective(named, i) for i in (0, 1)] == ["seconds", "auc"]
    assert wording.objective(replace(two, metric="auc"), 1) == "objective 1"
    assert wording.objective(study([]), 0) == "roc_auc"


def test_the_goal_names_each_objective_that_has_a_name():
    two = study([], directions=("maximize", "minimize"), metric="accuracy, seconds")
    assert wording.goal(two) == "maximize accuracy, minimize seconds"
    assert wording.goal(replace(two, metric=None)) == "maximize, minimize"
    assert wording.goal(study([])) == "maximize roc_auc"
    assert wording.goal(study([], metric=None)) == "maximize value"


def test_what_a_study_does_is_said_in_whole_words():
    assert {state.value: wording.state(state) for state in StudyState} == {
        "new": "has not begun",
        "running": "is running",
        "paused": "is paused",
        "stopping": "is stopping",
        "stopped": "was stopped",
        "completed": "has completed",
        "failed": "has failed",
        "interrupted": "was interrupted",
    }
