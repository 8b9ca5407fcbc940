"""The line of text for a terminal."""

from dataclasses import replace

from display.example import boosting, study, trial
from optuna_nb.display import textbar
from optuna_nb.records import StudyState, TrialOutcome


def test_the_line_says_name_progress_best_rate_and_time_to_go():
    trials = [trial(n, 0.98) for n in range(42)]
    assert textbar.line(study(trials, rate=11.6)) == "churn@1 42/100 best 0.98 11.6 trials/s ETA 5 s"


def test_pruned_and_failed_trials_are_said_apart():
    trials = [trial(0, 0.5), trial(1, outcome=TrialOutcome.PRUNED), trial(2, outcome=TrialOutcome.FAILED)]
    assert "3/100 (1 pruned, 1 failed) best 0.5" in textbar.line(study(trials))


def test_a_study_that_is_not_running_says_its_state_and_no_time_to_go():
    line = textbar.line(study([trial(0, 0.5)], state=StudyState.COMPLETED, target=1))
    assert line == "churn@1 completed 1/1 best 0.5"


def test_a_study_without_a_limit_or_a_trial_has_a_line_too():
    assert textbar.line(study([], target=None, rate=None)) == "churn@1 0"


def test_a_name_cannot_steer_the_terminal():
    assert textbar.line(study([], name="a\r\x1b[2J\nb")).isprintable()


def test_several_objectives_each_have_their_best():
    trials = [trial(0, 1.0, 5.0), trial(1, 2.0, 9.0)]
    made = study(trials, directions=("minimize", "maximize"), rate=None)
    assert textbar.line(made) == "churn@1 2/100 best 1, 9"


def test_a_terminal_gets_a_bar_that_fits():
    snapshot = study(boosting(42))
    bar = textbar.bar(snapshot, 100)
    assert bar.startswith("churn@1  42%|█")
    assert "| 42/100 [1 min 23 s<" in bar
    for width in (20, 60, 80, 200):
        assert len(textbar.bar(snapshot, width)) < width
    assert "|" not in textbar.bar(study(boosting(42), target=None), 100)


def test_a_paused_study_says_what_goes_on_instead_of_a_time_to_go():
    paused = study([trial(n, 0.98) for n in range(42)], rate=11.6, state=StudyState.PAUSED)
    assert textbar.line(paused) == "churn@1 paused 42/100 best 0.98; `%tune resume churn` goes on"
    assert "trials/s" not in textbar.bar(paused, 120)
    assert "`%tune resume churn` goes on" in textbar.bar(paused, 120)


def test_a_name_with_an_at_in_it_is_named_whole_where_it_is_no_version():
    paused = replace(study([], rate=None, state=StudyState.PAUSED), name="team@exp")
    assert "`%tune resume team@exp` goes on" in textbar.line(paused)


def test_more_trials_than_are_asked_for_are_said_so():
    line = textbar.line(study([trial(n, 0.5) for n in range(14)], state=StudyState.COMPLETED, target=3))
    assert line == "churn@1 completed 14 done, 3 asked for best 0.5"
