"""The tab Parameters: which trials its charts colour, mark and leave out, and what they say of it."""

import math
import re

import pytest

from display.example import PlayedStudy, boosting, study, trial
from optuna_nb.display import importance
from optuna_nb.display.tabs.catalogue import TABS
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.display.wording import NOTHING

ACCENT = re.escape('stroke="var(--onb-accent,currentColor)"')


def drawn(made, chart=""):
    """Return the tab, or what it says and draws below one of its headings."""
    html = TABS["parameters"][1](made, PlayedStudy(1, 1).reader(), Choices())
    return html if not chart else html.partition(f"<h4>{chart}")[2].partition("<h4>")[0]


def forbidden():
    """Make trials of which the better half breaks a constraint."""
    return [trial(n, n / 40, params={"x": n, "y": n}, feasible=n < 20) for n in range(40)]


def ends(html, look):
    """Return how high the lines of one look end on the last axis, from the top."""
    paths = re.findall(rf'<path d="([^"]+)" fill="none" {look}', html)
    return sorted(float(line.rpartition(" ")[2]) for path in paths for line in path.split("M")[1:])


def test_parallel_coordinates_colour_only_trials_that_keep_their_constraints():
    html = drawn(study(forbidden()), "Parallel")
    coloured, dotted = ends(html, ACCENT), ends(html, r'[^>]*stroke-dasharray="2 4"')
    assert (len(set(coloured)), len(dotted)) == (3, 20)
    assert min(coloured) > max(dotted)  # below them
    assert "the 3 best trials in colour, trial 19 the thick line, infeasible ones dotted" in html
    assert "dotted" not in drawn(study(boosting(40)), "Parallel")
    nothing = [trial(n, n / 9, params={"x": n, "y": n}, feasible=False) for n in range(9)]
    assert "no trial keeps its constraints" in drawn(study(nothing), "Parallel")


def test_the_contour_is_strongest_where_the_best_feasible_trials_are_and_marks_the_others():
    html = drawn(study(forbidden()), "Contour")
    shades = [(float(x), float(o)) for x, o in re.findall(r'<rect x="([\d.]+)".*?opacity="([\d.]+)"', html)]
    assert max(shades, key=lambda pair: pair[1])[0] < 826 / 2
    assert max(shades)[0] < 826 / 2
    assert html.count("h0") == 2 * 20
    assert "infeasible" in html


def test_slices_draw_what_breaks_a_constraint_hollow_and_name_the_mark_only_then():
    html = drawn(study(forbidden()), "Slices")
    assert html.count("h0") == 2 * (20 + 2 * 20)
    assert html.count(">infeasible<") == 1
    assert ">infeasible<" not in drawn(study(boosting(40)))


def test_slices_mark_values_beyond_the_scale_as_the_history_does():
    trials = [trial(n, -9.0 if n in {3, 30} else 0.5 + n / 99, params={"x": n, "y": -n}) for n in range(60)]
    html = drawn(study(trials), "Slices")
    assert html.count("l3 5l3 -5z") == 2 * 2  # in each slice, pointing down
    assert html.count(">beyond the scale<") == 1
    assert "beyond" not in drawn(study([trial(n, n / 9, params={"x": n}) for n in range(9)]))


def branches(best):
    """Make trials of two branches, each with a parameter of its own, and the best one of one branch."""
    kinds = [("tree", "line")[n % 2] for n in range(40)] + [best]
    own = {"tree": "depth", "line": "slope"}
    params = [{"kind": kind, own[kind]: n / 40} for n, kind in enumerate(kinds)]
    return study([trial(n, 9.0 if n == 40 else n / 99, params=p) for n, p in enumerate(params)])


@pytest.mark.parametrize("kind", ["tree", "line"])
def test_parallel_coordinates_show_the_best_trial_though_it_lacks_a_parameter(kind):
    html = drawn(branches(kind), "Parallel")
    [thick] = re.findall(rf'<path d="M([^"]+)" fill="none" {ACCENT} stroke-width="3"', html)
    heights = [float(point.split()[1]) for point in thick.split("L")]
    assert sum(y > 240 for y in heights) == 1  # on one axis it passes below the scale
    assert html.count(f">{NOTHING}</text>") == 2
    assert "the 4 best trials in colour, trial 40 the thick line, " in html
    assert f"{NOTHING} where a trial has no such parameter" in html


def test_parallel_coordinates_do_not_vanish_where_no_trial_has_every_parameter_or_there_is_one_trial():
    assert "<svg" in drawn(study(branches("tree").trials[:2]), "Parallel")
    assert "the best trial in colour" in drawn(study([trial(0, 0.5, params={"x": 1, "y": 2})]), "Parallel")


def test_axes_that_all_trials_have_show_no_place_for_missing_values():
    assert NOTHING not in drawn(study(boosting(40)), "Parallel")


def test_an_infinite_best_trial_is_ringed_and_coloured_and_what_is_not_finite_is_counted():
    trials = [trial(n, math.inf if n in {0, 5} else n / 9, params={"x": n, "y": n}) for n in range(20)]
    made = study(trials, best=trials[0])
    for chart in ("Slices", "Contour"):
        rings = re.findall(r'<circle cx="([\d.]+)"', drawn(made, chart))
        assert {float(at) < 110 for at in rings} == {True}  # at the left, where trial 0 is
    assert "2 values not finite" in drawn(made, "Slices")
    assert "trial 0 the thick line" in drawn(made, "Parallel")
    assert "not finite" not in drawn(study(boosting(40)))


@pytest.mark.parametrize(("count", "width"), [(1, 826), (2, 400), (3, 260), (4, 400), (6, 260)])
def test_slices_fill_the_width_of_the_panel_whatever_their_number(count, width):
    made = study(
        [trial(n, n / 20, params={f"p{i}": n * (i + 3) % 20 for i in range(count)}) for n in range(20)]
    )
    assert (
        re.findall(r'viewBox="0 0 (\d+) \d+" width="\d+" style', drawn(made, "Slices"))
        == [str(width)] * count
    )
    if count > 1:
        assert 'viewBox="0 0 826 ' in drawn(made, "Contour")


def test_the_sample_keeps_the_best_feasible_trials_of_a_long_study():
    trials = [trial(n, n / 5000, feasible=n < 4000) for n in range(5000)]
    numbers = {t.number for t in importance.sample(study(trials))}
    assert set(range(3900, 4000)) <= numbers


def test_the_ring_names_the_best_trial_and_its_value_where_the_mouse_rests_on_it():
    made = study(boosting(40))
    said = f"<title>trial {made.best.number}: {made.best.values[0]:.6g}</title></circle>"
    assert drawn(made, "Slices").count(said) == 4
    assert drawn(made, "Contour").count(said) == 1
    assert TABS["history"][1](made, PlayedStudy(1, 1).reader(), Choices()).count(said) == 1
