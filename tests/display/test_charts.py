"""The charts: that marks stand for what they say, and nothing is cut off or left out without a word."""

import math
import re

import pytest

from display.example import study, trial
from optuna_nb.display import figures, parts, plane, scale, svg

WIDE = 0.636 * 11.5  # a digit of DejaVu Sans, the broadest font that charts meet


def history(trials, **fields):
    return svg.history(figures.history(study(trials, **fields), label="roc_auc"))


def cut_off(html):
    """Return the texts that end at a place and begin left of the drawing."""
    ended = re.findall(
        r'<text x="([\d.]+)"[^>]*text-anchor="end"[^>]*>(?:<title>.*?</title> )?([^<]*)</text>', html
    )
    return [text for at, text in ended if len(text) * WIDE > float(at)]


def test_a_trial_that_breaks_a_constraint_is_hollow_in_the_history_and_the_key_says_so():
    trials = [trial(n, n / 20, feasible=n < 8) for n in range(12)]
    html = history(trials)
    assert len(re.findall(r"M[\d. ]+h0", html)) == 8 + 2 * 4  # a hollow dot is two
    assert ">infeasible<" in html
    assert figures.history(study(trials)).best[-1] == (7, 7 / 20)
    assert ">infeasible<" not in history(trials[:8])


def test_the_numbers_beside_a_history_are_whole_however_many_digits_tell_them_apart():
    for begin, step in ((0.48232, 1e-7), (1234567.0, 1e-4), (-123456.0, 1e-3)):
        html = history([trial(n, begin + n * step) for n in range(9)])
        assert cut_off(html) == []
        shown = re.findall(r'text-anchor="end"[^>]*>(-?[\d.e]+)</text>', html)
        assert len(set(shown)) == len(shown) > 1


def test_the_numbers_beside_any_other_chart_are_whole_too():
    html = plane.Plane(scale.Scale(0, 1), scale.Scale(0.4823271, 0.4823277)).draw("", title="x")
    assert cut_off(html) == []
    assert "\N{HORIZONTAL ELLIPSIS}" not in html
    choices = plane.Plane(scale.Scale(0, 1), scale.scale_of(["convolution_of_three", "none"]))
    assert cut_off(choices.draw("", title="x")) == []


def test_a_bold_title_ends_within_its_chart():
    drawn = plane.Plane(scale.Scale(0, 1), scale.Scale(0, 1)).draw("", title="n" * 90)
    [title] = re.findall(r'font-weight="600">.*?</title> ([^<]+)</text>', drawn)
    assert 2 + len(title) * 8 <= plane.THIRD


def test_the_key_of_a_history_has_a_row_of_its_own_where_the_title_is_long():
    trials = [trial(n, n / 20, feasible=n % 2 == 0) for n in range(30)]
    trials[3] = trial(3, -1e9)
    trials[5] = trial(5, -math.inf)
    series = figures.history(study(trials), label="the_area_under_a_curve_of_some_length")
    assert 'translate(754 27.5)">' in svg.history(series)
    assert 'translate(754 9.5)">' in history(trials)


def test_values_that_are_not_finite_are_full_triangles_at_the_edge_and_are_counted():
    html = history([trial(n, -math.inf if n in {3, 5} else n / 9) for n in range(9)])
    assert ">2 not finite<" in html
    path = re.findall(r'<path d="([^"]+)" fill="var\(--onb-point,gray\)" stroke=', html)[-1]
    assert path.count("l3 5l3 -5z") == 2  # they point down
    assert "not finite" not in history([trial(n, n / 9) for n in range(9)])


def test_the_ring_is_around_the_trial_that_the_headline_names_also_where_its_value_is_infinite():
    trials = [trial(n, math.inf if n == 2 else n / 9) for n in range(9)]
    made = study(trials, best=trials[2])
    assert figures.history(made).best[-1] == (2, math.inf)
    assert figures.best_value(made, 0) == math.inf
    assert "nan" not in history(trials)
    down = figures.history(study(trials, directions=("minimize",)))
    assert down.best[-1] == (0, 0.0)
    assert down.infinite == ((2, math.inf),)


def test_a_study_without_any_finite_value_says_so():
    for state in ("running", "completed"):
        html = parts.charts(study([trial(n, math.inf) for n in range(3)], state=type(study([]).state)(state)))
        assert "No finite value, of 3 completed trials" in html
        assert "min-height" not in html


def test_a_history_in_a_narrow_page_begins_with_its_newest_trials():
    html = history([trial(n, n / 9) for n in range(9)])
    assert re.match(r'<div class="onb-scroll"[^>]* style="direction:rtl"><svg[^>]*direction:ltr', html)
    assert float(re.search(r"min-width:(\d+)px", html)[1]) * 11.5 / 826 >= 9  # pixels of its text


@pytest.mark.parametrize("width", [260, 400, 826])
def test_no_chart_is_shown_so_narrow_that_its_text_has_less_than_nine_pixels(width):
    drawn = plane.Plane(scale.Scale(0, 1), scale.Scale(0, 1), width=width).draw("", title="x")
    assert float(re.search(r"min-width:(\d+)px", drawn)[1]) * 11.5 / width >= 9
    assert drawn.startswith('<div class="onb-scroll"') == (width > 260)


def test_points_beyond_the_scale_of_any_chart_are_triangles_at_its_edge():
    drawing = plane.Plane(scale.Scale(0, 1), scale.Scale(0, 1))
    drawn = drawing.dots([(0.1, 0.5), (0.2, -3.0), (0.3, 9.0), (0.4, 1.0)])
    assert drawn.count("h0") == 2
    assert (drawn.count("l3 -5l3 5z"), drawn.count("l3 5l3 -5z")) == (1, 1)
