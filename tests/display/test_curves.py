"""The tab Learning curves: whose lines it draws, and that it says so."""

import re

from display.example import PlayedStudy, study, trial
from optuna_nb.display.tabs.catalogue import TABS
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.records import Curve, TrialOutcome


def drawn(made, curves):
    class Source(type(PlayedStudy(1, 1).reader())):
        def numbers_with_steps(self, newest=400):
            return sorted(curves, reverse=True)

        def curves(self, numbers):
            outcomes = {t.number: t.outcome for t in made.trials}
            return [Curve(n, outcomes[n], curves[n]) for n in numbers if n in curves]

    return TABS["curves"][1](made, Source(PlayedStudy(1, 1)), Choices())


def rising(count, steps=9):
    return {n: tuple((step, n + step / steps) for step in range(steps)) for n in range(count)}


def steps_below(html):
    return re.findall(r'text-anchor="middle"[^>]*>([^<]+)</text>', html)


def test_steps_are_whole_numbers_and_the_only_one_has_its_number_below():
    made = study([trial(n, n / 9) for n in range(4)])
    assert steps_below(drawn(made, rising(4, steps=1))) == ["0"]
    assert steps_below(drawn(made, rising(4, steps=3))) == ["0", "1", "2"]
    assert steps_below(drawn(made, {0: ((7, 0.5),)})) == ["7"]


def test_a_curve_of_one_step_can_be_seen():
    html = drawn(study([trial(n, n / 9) for n in range(4)]), rising(4, steps=1))
    assert html.count("h0") == 3
    assert html.count("<circle") == 1  # the best


def test_pruned_trials_are_spoken_of_only_where_there_are_some():
    made = study([trial(n, n / 9) for n in range(4)])
    assert "pruned" not in drawn(made, rising(4)).partition("<p")[2]
    pruned = study([*made.trials, trial(4, outcome=TrialOutcome.PRUNED)])
    assert "1 pruned dashed and crossed where they ended" in drawn(pruned, rising(5))


def test_the_curves_say_of_how_many_trials_they_are_and_which_have_none():
    made = study([trial(n, n / 99) for n in range(40)])
    html = drawn(made, rising(40))
    assert "18 of 40 trials" in html
    assert "The others are older, or have reported no step." in html
    assert ">4 trials: the 4 best in colour" in drawn(study(made.trials[:4]), rising(4))


def test_the_curve_of_the_best_trial_stands_out_from_those_of_the_other_leaders():
    html = drawn(study([trial(n, n / 99) for n in range(12)]), rising(12))
    widths = re.findall(r'stroke="var\(--onb-accent,currentColor\)" stroke-width="([\d.]+)"', html)
    assert sorted(widths) == ["1.5"] * 5 + ["2", "3.0"]  # the ring is 2 wide
    assert "trial 11 the thick line with a ring" in html
    assert "complete, the best<" in html
    all_pruned = [trial(n, outcome=TrialOutcome.PRUNED) for n in range(4)]
    assert "best" not in drawn(study(all_pruned), rising(4)).partition("<p")[2]


def test_whole_parameters_have_whole_numbers_below():
    made = study([trial(n, n / 9, params={"depth": 1 + n % 3}) for n in range(9)])
    html = TABS["parameters"][1](made, PlayedStudy(1, 1).reader(), Choices())
    assert steps_below(html.partition("<h4>Slices")[2]) == ["1", "2", "3"]
