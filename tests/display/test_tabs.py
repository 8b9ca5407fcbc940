"""The tabs: what each says, what it costs, and that no name ever becomes markup."""

import contextlib
import csv
import gc
import io
import re
import time
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import pytest

from display.example import PlayedStudy, boosting, study, trial
from optuna_nb.display import importance, scale
from optuna_nb.display.document import document
from optuna_nb.display.tabs import trials as trials_tab
from optuna_nb.display.tabs.catalogue import TABS
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.records import (
    Cluster,
    EventView,
    LiveTrial,
    Objective,
    RunEvents,
    StudyState,
    TrialOutcome,
    TuneOptions,
    WorkerView,
)
from optuna_nb.storage.reader import Reader
from optuna_nb.tuning import api

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></svg><svg onload=alert(1)>",
    "' onfocus='alert(1)' autofocus='",
    "<!--",
    "</textarea><iframe src=javascript:alert(1)>",
    "</select><details open ontoggle=alert(1)>",
    "\u202e<b>\x00\x1b[31m",
)
ALLOWED = {
    *(
        "div",
        "span",
        "b",
        "i",
        "p",
        "h4",
        "label",
        "select",
        "option",
        "input",
        "button",
        "details",
        "summary",
    ),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "pre", "ins", "del"),
    *("svg", "path", "g", "circle", "rect", "text", "tspan", "title"),
}


class Elements(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def render(tab, snapshot, *, choices=None, source=None):
    reader = source or PlayedStudy(40, 1e9).reader()
    return Elements(TABS[tab][1](snapshot, reader, choices or Choices()))


def chosen(**texts):
    choices = Choices()
    for key, value in texts.items():
        choices.set(key, value)
    return choices


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("count", [0, 1, 2, 12, 300])
def test_every_tab_can_be_opened_at_any_moment(tab, count):
    for state in (StudyState.RUNNING, StudyState.FAILED):
        assert render(tab, study(boosting(count), state=state)).text


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("payload", HOSTILE)
def test_names_are_text_in_every_tab(tab, payload):
    class Source(type(PlayedStudy(9, 1e9).reader())):
        def log(self, number):
            return payload

        def versions(self):
            return [
                replace(v, code=f"{payload}\n{v.version}", fingerprint={payload: str(v.version)})
                for v in super().versions()
            ]

        def runs(self):
            return [
                replace(
                    r, notes=payload, error=payload, tags=(payload,), flags={payload: payload + str(r.index)}
                )
                for r in super().runs()
            ]

        def events(self):
            said = {payload: payload, "trial": payload}
            found = [EventView(payload + str(n), trial(n).started, payload, said) for n in range(9)]
            return {1: RunEvents(dict.fromkeys([e.kind for e in found], 1), found)}

    params = [{payload: payload, "x": n / 40, "depth": n % 5} for n in range(40)]
    live = [LiveTrial(40, {payload: payload}, 1, 0.5, trial(0).started)]
    cluster = Cluster((WorkerView(payload, payload, (40,), None, 0, 0.0),), 1)
    made = study(
        [trial(n, n / 9, params=params[n]) for n in range(40)],
        name=payload,
        metric=payload,
        live=live,
        cluster=cluster,
    )
    found = render(
        tab, made, source=Source(PlayedStudy(9, 1e9, name=payload)), choices=chosen(filter=payload)
    )
    assert set(found.tags) <= ALLOWED
    assert not [
        n for n, _ in found.attributes if n.startswith("on") or n in {"src", "href", "srcdoc", "autofocus"}
    ]


def test_the_parameter_that_matters_comes_first():
    trials = [trial(n, n / 200, params={"noise": n * 7919 % 211, "matters": n / 200}) for n in range(200)]
    shares = dict(importance.importances(trials))
    assert shares["matters"] > 0.9
    assert shares["noise"] < 0.1
    assert "Importance how much" in render("parameters", study(trials)).text


def test_a_choice_that_matters_is_found_among_texts():
    trials = [
        trial(n, float(n % 2) + n / 9999, params={"kind": "ab"[n % 2], "x": n * 31 % 97}) for n in range(90)
    ]
    assert importance.importances(trials)[0][0] == "kind"


def test_noise_that_only_one_branch_has_does_not_matter_and_what_chose_the_branch_does():
    params = [
        {"kind": "a"} if n % 2 else {"kind": "b", "noise": n * 7919 % 211 / 211, "depth": n % 7}
        for n in range(200)
    ]
    trials = [trial(n, n % 2 + (n * 31 % 97) / 999, params=p) for n, p in enumerate(params)]
    shares = dict(importance.importances(trials))
    assert shares["kind"] > 0.7
    assert max(shares["noise"], shares["depth"]) < 0.05


def test_a_parameter_of_one_branch_explains_no_more_than_the_branch_varies():
    params = [{"deep": n / 200} if n < 50 else {"wide": n / 200} for n in range(200)]
    values = [n / 50 if n < 50 else n * 7919 % 199 / 199 for n in range(200)]
    shares = dict(
        importance.importances(
            [trial(n, v, params=p) for n, (v, p) in enumerate(zip(values, params, strict=True))]
        )
    )
    assert 0.1 < shares["deep"] < 0.3  # a quarter of the trials, and it decides them wholly
    assert shares["wide"] < 0.1


def test_equal_values_have_no_importance():
    assert importance.importances([trial(n, 1.0, params={"x": n}) for n in range(40)]) == []


def shades(values, direction="maximize"):
    """Return how strong each trial's cell of the contour is, in their order."""
    made = study(
        [trial(n, v, params={"x": n, "y": n}) for n, v in enumerate(values)], directions=(direction,)
    )
    html = TABS["parameters"][1](made, PlayedStudy(1, 1).reader(), Choices())
    found = re.findall(r'<rect x="([\d.]+)"[^>]* opacity="([\d.]+)"', html.partition("Contour")[2])
    return [float(shade) for _, shade in sorted(found, key=lambda pair: float(pair[0]))]


def test_equal_scores_have_one_shade_in_the_contour_and_better_ones_a_stronger():
    assert len(set(shades([0.5] * 6))) == 1
    worst, one, other, best = shades([0.1, 0.4, 0.4, 0.9])
    assert worst < one == other < best
    assert shades([0.1, 0.4, 0.4, 0.9], "minimize") == [best, one, other, worst]
    assert "mean rank by roc_auc" in render("parameters", study(boosting(40))).text


@pytest.mark.parametrize("tab", ["parameters", "trials"])
def test_a_long_name_that_is_clipped_keeps_its_end_and_is_given_in_full(tab):
    names = [f"optimizer_and_scheduler_settings_of_the_second_{part}" for part in ("encoder", "decoder")]
    made = study([trial(n, n / 40, params=dict.fromkeys(names, n / 9)) for n in range(40)])
    html = TABS[tab][1](made, PlayedStudy(1, 1).reader(), Choices(interactive=False))
    for name in names:
        end = name[-7:]
        assert re.search(rf"<title>{name}</title> \w+…\w*{end}<|<span title=\"{name}\">\w+…\w*{end}<", html)


ALIKE = ["convolution_of_three_wide", "convolution_of_three_wild", "None", None, True, "True"]


def test_choices_that_read_alike_have_a_place_each():
    drawn = scale.scale_of(ALIKE)
    assert len({drawn.place(value) for value in ALIKE}) == len(ALIKE)
    assert {text for _, text in drawn.ticks()} == {*ALIKE[:2], "'None'", "None", "True", "'True'"}
    params = [{"layer": ALIKE[n % 2], "x": n / 40} for n in range(40)]
    html = TABS["parameters"][1](
        study([trial(n, n / 40, params=p) for n, p in enumerate(params)]),
        PlayedStudy(1, 1).reader(),
        Choices(interactive=False),
    )
    for name in ALIKE[:2]:
        assert html.count(f"<title>{name}</title>") == 3  # on the slice, the contour and the parallel axis


def test_every_choice_of_a_slice_has_its_name_below():
    kinds = ["convolution_of_three", "convolution_of_five", "pooling", "none"]
    assert len(ticks_of_the_slice([kinds[n % 4] for n in range(40)], {})) == 4


def test_more_choices_than_there_is_room_for_share_a_place():
    drawn = scale.scale_of([f"kind {n}" for n in range(30)])
    assert len(drawn.ticks()) == 13
    assert drawn.ticks()[-1][1] == "other"
    assert len({drawn.place(f"kind {n}") for n in range(30)}) == 13


def conditional(best_kind):
    """Make trials of two kinds with a parameter each; the best one is of one kind."""
    own = {"tree": "depth", "line": "slope"}
    params = [{"kind": kind, own[kind]: n / 40} for n in range(40) for kind in [["tree", "line"][n % 2]]]
    best = {"kind": best_kind, own[best_kind]: 0.5}
    return study([*(trial(n, n / 99, params=p) for n, p in enumerate(params)), trial(40, 9.0, params=best)])


def charts_of(made, **texts):
    """Return the charts of the tab by what they are called, and its headings."""
    html = TABS["parameters"][1](made, PlayedStudy(1, 1).reader(), chosen(**texts))
    charts = dict(re.findall(r'<svg[^>]*aria-label="([^"]+)">(.*?)</svg>', html))
    return charts, "".join(re.findall(r"<h4>.*?</h4>", html))


def test_only_the_best_trial_of_all_is_ringed_where_it_has_the_parameter():
    charts, headings = charts_of(conditional("line"), across="kind", down="depth")
    ringed = {name for name, chart in charts.items() if "<circle" in chart}
    assert ringed == {"Slice of kind over 41 trials", "Slice of slope over 21 trials"}
    assert "the best trial ringed where it has the parameter" in headings
    charts, _ = charts_of(conditional("tree"), across="kind", down="depth")
    assert "<circle" in charts["Contour of depth by kind"]
    infeasible = [trial(n, n / 99, params={"x": n / 9}, feasible=n < 30) for n in range(40)]
    charts, headings = charts_of(study(infeasible))
    [at] = re.findall(r'<circle cx="([\d.]+)"', charts["Slice of x over 40 trials"])
    [lowest] = re.findall(
        r'<circle cx="([\d.]+)"', charts_of(study(infeasible[:30]))[0]["Slice of x over 30 trials"]
    )
    assert float(at) < float(lowest)  # at 29 of 39, not at the right end
    assert "ringed where" not in headings


def ticks_of_the_slice(params, log_params):
    """Return the numbers below the slice of the one parameter."""
    made = study([trial(n, n / 99, params={"lr": v}) for n, v in enumerate(params)], log_params=log_params)
    html = TABS["parameters"][1](made, PlayedStudy(1, 1).reader(), Choices(interactive=False))
    return re.findall(
        r'text-anchor="middle"[^>]*>(?:<title>.*?</title> )?([^<]+)</text>', html.partition("Slices")[2]
    )


def test_the_distribution_of_a_parameter_decides_whether_its_axis_is_logarithmic():
    even = [0.001 + n / 30 for n in range(30)]
    low = [0.001 * 1.26**n for n in range(30)]
    assert ticks_of_the_slice(even, {"lr": True}) == ["0.001", "0.01", "0.1", "1"]
    assert ticks_of_the_slice(low, {"lr": False}) == [f"0.{n}" for n in range(9)]
    assert ticks_of_the_slice(low, {}) == ["0.001", "0.01", "0.1", "1"]  # not known, so it is guessed
    assert ticks_of_the_slice([-1.0, *low], {"lr": True})[0].startswith("-")  # enqueued, out of its range


def test_a_logarithmic_axis_within_one_power_of_ten_has_numbers():
    assert ticks_of_the_slice([0.02, 0.03, 0.08], {"lr": True}) == [f"0.0{n}" for n in range(2, 9)]


def numbers(found):
    return [int(n) for n in re.findall(r'<th scope="row">(\d+)</th>', found)]


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("pruned", lambda t: t.outcome is TrialOutcome.PRUNED),
        ("max_depth < 5", lambda t: t.params["max_depth"] < 5),
        (
            "value >= 0.99, booster = dart",
            lambda t: bool(t.values) and t.values[0] >= 0.99 and t.params["booster"] == "dart",
        ),
        ("max_depth < none", lambda _: False),
        (
            "max_depth < 5 and booster = dart",
            lambda t: t.params["max_depth"] < 5 and t.params["booster"] == "dart",
        ),
        ("roc_auc >= 0.99", lambda t: bool(t.values) and t.values[0] >= 0.99),
        ("number == 3", lambda t: t.number == 3),
        ("state == pruned", lambda t: t.outcome is TrialOutcome.PRUNED),
    ],
)
def test_the_filter_keeps_what_passes_every_condition(text, keeps):
    made = study(boosting(80))
    html = TABS["trials"][1](made, PlayedStudy(1, 1).reader(), chosen(filter=text, rows="500", sort="number"))
    assert numbers(html) == [t.number for t in made.trials if keeps(t)]


def test_the_filter_says_which_column_there_is_not():
    text = render("trials", study(boosting(9)), choices=chosen(filter="max_depth > 1, foo > 1")).text
    columns = "trial, state, roc_auc, max_depth, learning_rate, subsample, booster, time"
    assert f"There is no column foo; there are {columns}" in text
    assert "0 of 9 trials" in text
    for right in ("max_depth > 1", "gbtree", "value > 0.1 and seconds < 9"):
        assert "There is no" not in render("trials", study(boosting(9)), choices=chosen(filter=right)).text
    many = study([trial(0, 0.5, params={f"p{n}": n for n in range(500)}), trial(1, 0.5, params={"late": 1})])
    text = render("trials", many, choices=chosen(filter="foo = 1")).text
    assert "p8 and 493 more" in text
    assert "There is no" not in render("trials", many, choices=chosen(filter="late = 1")).text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('kernel = "rbf"', [0, 2, 4, 6]),
        ("kernel != 'rbf'", [1, 3, 5, 7]),
        ('"rbf"', [0, 2, 4, 6]),
        ('"C" > 5, kernel="a < b, c and d"', [7]),
        ("depth = None", [0, 2, 4, 6]),
        ("depth != None", [1, 3, 5, 7]),
        ("infeasible", [4, 5, 6]),
        ("state = infeasible", [4, 5, 6]),
        ("complete, infeasible", [4, 5]),
        ("feasible", [0, 1, 2, 3]),
        ("state = feasible and C < 2", [0, 1]),
        ("state != infeasible", [0, 1, 2, 3, 7]),
        ("state = Complete", [0, 1, 2, 3, 4, 5]),
    ],
)
def test_the_filter_takes_quotes_and_every_word_of_a_state(text, kept):
    kernels = ["rbf", "linear"] * 3 + ["rbf", "a < b, c and d"]
    params = [{"C": n, "kernel": kernel, "depth": n if n % 2 else None} for n, kernel in enumerate(kernels)]
    trials = [trial(n, n / 9, params=params[n], feasible=n < 4) for n in range(6)]
    trials.append(trial(6, outcome=TrialOutcome.PRUNED, params=params[6], feasible=False))
    trials.append(trial(7, outcome=TrialOutcome.FAILED, params=params[7]))
    choices = chosen(filter=text, sort="number")
    html = TABS["trials"][1](study(trials), PlayedStudy(1, 1).reader(), choices)
    assert numbers(html) == kept
    assert "onb-wrong" not in html


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_depth > abc", "abc is no number: max_depth > takes one"),
        ("booster = gbtree and value >= 'high'", "high is no number: value >= takes one"),
        ("max_depth >", "Nothing is no number: max_depth > takes one"),
        ("state = done", "There is no state done; there are complete, pruned, failed, feasible, infeasible"),
    ],
)
def test_the_filter_says_what_cannot_hold_for_any_trial(text, said):
    assert said in render("trials", study(boosting(9)), choices=chosen(filter=text)).text


def test_the_table_sorts_by_any_column_with_what_is_missing_at_the_end():
    made = study(boosting(80))
    html = TABS["trials"][1](made, PlayedStudy(1, 1).reader(), chosen(rows="500", sort="-value:0"))
    values = [t.values[0] if t.values else None for n in numbers(html) for t in [made.trials[n]]]
    present = [v for v in values if v is not None]
    assert present == sorted(present, reverse=True)
    assert values[len(present) :] == [None] * (80 - len(present))


def cells_by_trial(html):
    """Return the texts of the first table's cells, by trial, without those of the state."""
    rows = re.findall(r'<th scope="row">(\d+)</th>(.*?)</tr>', html.partition("</table>")[0])
    return {number: re.findall("<td>(.*?)</td>", cells) for number, cells in rows}


@pytest.mark.parametrize("log", [True, False, None])
def test_a_value_has_the_same_digits_in_every_table_and_order(log):
    params = [{"C": 10 ** ((n * 37 % 60) / 15 - 2), "x": n / 60} for n in range(60)]
    trials = [trial(n, 1 / (n + 1), params=params[n], seconds=0.01 * (n + 1)) for n in range(60)]
    made = study(trials, log_params={} if log is None else {"C": log, "x": False})
    source = PlayedStudy(1, 1).reader()
    every = cells_by_trial(TABS["trials"][1](made, source, chosen(rows="100")))
    assert len(every) == 60
    for sort in ("param:C", "-param:C", "value:0", "seconds"):
        shown = cells_by_trial(TABS["trials"][1](made, source, chosen(sort=sort)))
        assert len(shown) == 25
        assert shown == {number: every[number] for number in shown}
    best = cells_by_trial(TABS["history"][1](made, source, Choices()))
    assert best == {number: every[number] for number in best}


def test_what_a_table_of_the_history_leaves_out_stands_in_its_title_and_not_in_a_column():
    made = study([trial(n, n / 9, params={f"p{i}": i for i in range(8)}) for n in range(9)])
    html = TABS["history"][1](made, PlayedStudy(1, 1).reader(), Choices())
    assert html.count("with 6 of 8 parameters</span></caption>") == 2
    assert "more</th>" not in html


def test_the_csv_holds_every_parameter_and_no_formula():
    made = study([trial(n, n / 9, params={"=cmd": "=1+1", "x": 0.5}) for n in range(9)])
    rows = list(csv.reader(io.StringIO(trials_tab.to_csv(made, Choices()))))
    assert rows[0] == ["number", "state", "roc_auc", "'=cmd", "x", "started", "seconds"]
    assert len(rows) == 10
    assert rows[1][3] == "'=1+1"


def test_what_the_page_cannot_have_sent_is_passed_over():
    choices = Choices()
    for key, value in (
        (1, "x"),
        ("unknown", "x"),
        ("filter", ["x"]),
        ("rows", "many"),
        ("column:" + "a" * 9999, True),
    ):
        choices.set(key, value)
    assert render("trials", study(boosting(9)), choices=choices).text


def test_a_column_can_be_left_out_and_another_taken_in():
    made = study([trial(n, 0.5, params={f"p{i}": i for i in range(30)}) for n in range(3)])
    choices = chosen(**{"column:p0": False, "column:p20": True})
    text = render("trials", made, choices=choices).text
    assert "p20" in text.partition("time")[0]
    html = TABS["trials"][1](made, PlayedStudy(1, 1).reader(), choices)
    heads = re.findall(r'data-onb-key="sort:param:(\w+)"', html)
    assert "p20" in heads
    assert "p0" not in heads


@pytest.mark.parametrize(("target", "rows"), [(100, 8), (None, 8), (3, 3)])
def test_the_panel_has_room_for_as_many_rows_as_there_will_be_from_the_beginning(target, rows):
    for done in (0, 1):
        html = TABS["history"][1](study(boosting(done), target=target), PlayedStudy(1, 1).reader(), Choices())
        assert html.count(f"--onb-rows:{rows}") == 2  # for each of the two tables
    assert "--onb-rows:" not in TABS["history"][1](
        study(boosting(1)), PlayedStudy(1, 1).reader(), Choices(interactive=False)
    )


def test_a_study_that_nobody_works_on_has_no_room_for_what_may_never_come():
    html = TABS["history"][1](study([], state=StudyState.NEW), PlayedStudy(1, 1).reader(), Choices())
    assert "No completed trial yet" in html
    assert "min-height" not in html
    assert "--onb-rows" not in html


@pytest.mark.parametrize("outcome", [TrialOutcome.FAILED, TrialOutcome.PRUNED])
@pytest.mark.parametrize("tab", ["history", "parameters"])
def test_a_study_that_ended_without_a_value_leaves_no_hole_and_promises_none(tab, outcome):
    trials = [trial(n, outcome=outcome) for n in range(3)]
    for state, is_over in (
        (StudyState.FAILED, True),
        (StudyState.COMPLETED, True),
        (StudyState.RUNNING, False),
    ):
        html = TABS[tab][1](study(trials, state=state), PlayedStudy(1, 1).reader(), Choices())
        assert "No completed trial" in html
        assert ("No completed trial yet" in html) != is_over
        assert not is_over or ("min-height" not in html and "--onb-rows" not in html)


def test_two_objectives_show_front_and_hypervolume():
    made = study([trial(n, n / 9, (n - 9) ** 2 / 9) for n in range(20)], directions=("minimize", "minimize"))
    text = render("history", made).text
    assert "Pareto front" in text
    assert "Hypervolume" in text


@pytest.mark.parametrize("interactive", [True, False])
def test_the_history_lists_the_best_trials_beside_the_last(interactive):
    made = study(boosting(40))
    html = TABS["history"][1](made, PlayedStudy(1, 1).reader(), Choices(interactive=interactive))
    best, last = (numbers(table) for table in re.findall(r"<table.*?</table>", html))
    assert best[0] == made.best.number
    assert last == list(range(39, 31, -1))
    assert re.findall("<caption>(.*?)</caption>", html) == ["Best trials", "Last trials"]


def test_the_report_lists_the_front_and_draws_the_parameters_of_each_objective():
    trials = [trial(n, n / 40, n * n, params={"x": n * 7 % 40, "y": n % 3}) for n in range(40)]
    made = study(trials, directions=("maximize", "minimize"), metric="accuracy, seconds")
    page = document(made, PlayedStudy(40, 1e9).reader())
    assert "<caption>Pareto front" in page
    assert "how much of the rank of accuracy" in page
    assert "how much of the rank of seconds" in page
    assert "<h3>seconds</h3>" in page


def test_runs_tell_what_they_resume_and_what_changed():
    text = render("runs", study(boosting(9))).text
    assert "jobs 1 → 4" in text
    assert "kernel ended" in text
    assert "-x = 1" in text
    assert "+x = 2" in text


def test_the_table_of_runs_has_the_error_beside_the_state_and_the_flags_of_each_run():
    class Source(type(PlayedStudy(0, 1e9).reader())):
        def runs(self):
            first, second = super().runs()
            return [first, second, replace(second, index=3, parent=2)]

    html = TABS["runs"][1](study(boosting(9)), Source(PlayedStudy(9, 1e9)), Choices())
    table = html.partition("tuning runs</caption>")[2].partition("</table>")[0]
    heads = re.findall(r'<th scope="col"[^>]*>(\w+)</th>', table)
    assert heads[2:4] == ["state", "notes"]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", table)[1:]]
    said = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [row["flags"] for row in said] == ["as before", "jobs 1 → 4", "trials 100"]
    assert [row["notes"] for row in said] == ["#a", "#a", "kernel ended"]


def test_a_run_that_was_stopped_is_not_called_completed(tmp_path):
    def objective(trial):
        if trial.number == 2:
            api.load("seen", url).stop()
        return trial.suggest_float("x", 0, 1)

    url = f"sqlite:///{tmp_path / 'study.db'}"
    for trials in (40, 5):
        options = TuneOptions(name="seen", storage=url, trials=trials)
        api.start(Objective(objective, "", {"cell": "a"}), options).wait()
    with contextlib.closing(Reader(url, "seen")) as reader:
        html = TABS["runs"][1](reader.snapshot(), reader, Choices())
    states = re.findall(r'<td class="onb-text">([✓■] \w+)</td>', html)
    assert states == ["✓ completed", "■ stopped"]
    assert "■ stopped" in html.partition("<table")[0]  # in the drawing


def test_the_live_tab_says_what_became_of_the_study():
    assert render("live", study([], state=StudyState.FAILED)).text == "The study has failed"


def test_the_live_tab_of_a_running_study_is_between_two_trials_where_none_is_in_flight():
    assert render("live", study([])).text == "Just now the study is between two trials"
    paused = render("live", study([], state=StudyState.PAUSED)).text
    assert paused == "No trial is in flight: the study is paused"


def test_the_log_shows_no_terminal_escape():
    text = render("log", study(boosting(9))).text
    assert "<b>hello</b>" in text
    assert "\x1b" not in text


def test_the_log_of_a_run_whose_first_trial_failed_stands_in_for_that_of_trials():
    class Source(type(PlayedStudy(0, 1e9).reader())):
        def numbers_with_log(self, limit=200):
            return []

        def runs(self):
            return [replace(run, log="<i>C=-1</i>\x1b[2K is not positive") for run in super().runs()]

    found = render("log", study(boosting(0), state=StudyState.FAILED), source=Source(PlayedStudy(0, 1e9)))
    assert "The trial that ended the run; it is not kept" in found.text
    assert "<i>C=-1</i>\N{REPLACEMENT CHARACTER}[2K is not positive" in found.text


def test_the_report_is_one_page_without_script_and_without_dead_controls():
    page = document(study(boosting(120)), PlayedStudy(40, 1e9).reader())
    assert not re.search(r"<script|<link|<iframe|\burl\(|@import|https?:|\son\w+=", page)
    assert not re.search(r"<(button|select|input)", page)
    for section in ("History", "Parameters", "Learning curves", "Trials", "Runs", "Code"):
        assert f"<h2>{section}</h2>" in page


def test_the_report_says_when_it_was_made_and_leaves_out_what_is_of_the_last_run_or_empty():
    class NoSteps(type(PlayedStudy(0, 1e9).reader())):
        def curves(self, numbers):
            return []

    made = study(boosting(9), state=StudyState.COMPLETED, note="no new trial, best roc_auc 0.99")
    before = datetime.now().astimezone()
    page = document(made, NoSteps(PlayedStudy(9, 1e9)))
    after = datetime.now().astimezone()
    assert any(f"Exported {when:%Y-%m-%d %H:%M}" in page for when in (before, after))
    assert "no new trial" not in page
    assert "Learning curves" not in page
    assert "it broke" in document(
        replace(made, state=StudyState.FAILED, note="it broke"), NoSteps(PlayedStudy(9, 1e9))
    )


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_report_says_which_trials_and_parameters_it_leaves_out(direction):
    params = {f"p{i}": i for i in range(30)}
    few = [trial(n, n / 602, params=params) for n in range(500)]
    many = [trial(n, n / 602, params=params) for n in range(602)]
    source = PlayedStudy(1, 1e9).reader()
    page = document(study(many, directions=(direction,)), source)
    assert "In this table: the best 500 of 602 trials by roc_auc, with 8 of 30 parameters" in page
    shown = numbers(page.partition('aria-label="Trials"')[2])[:500]
    assert set(shown) == set(range(500) if direction == "minimize" else range(102, 602))
    assert "In this table: 8 of 30 parameters" in document(study(few), source)
    assert "In this table" not in document(study(boosting(500)), source)


@pytest.mark.parametrize("tab", ["history", "parameters", "trials"])
def test_a_tab_of_ten_thousand_trials_is_drawn_in_a_moment(tab):
    params = [{f"p{i}": (n * (i + 7) % 101) / 101 for i in range(30)} for n in range(10_000)]
    made = study([trial(n, (n * 7919 % 10_007) / 10_007, params=params[n]) for n in range(10_000)])
    gc.collect()  # the garbage of other tests is not of the tab
    begin = time.thread_time()
    html = TABS[tab][1](made, PlayedStudy(1, 1).reader(), Choices())
    assert (
        time.thread_time() - begin < 0.5
    )  # about 40 ms where nothing else runs; benchmarks/panel.py measures
    assert len(html) < 120_000
