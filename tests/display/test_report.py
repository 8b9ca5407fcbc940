"""The static bundle: what it says, what it may weigh, and what it must never do."""

import re
import sys
import xml.etree.ElementTree as ET
from datetime import datetime
from html.parser import HTMLParser

import pytest

from display.example import boosting, study, trial
from optuna_nb.display import parts, report, style, svg
from optuna_nb.display.figures import History
from optuna_nb.records import StudyState, TrialOutcome

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></svg><svg onload=alert(1)>",
    "'-alert(1)-'",
    "<!--",
    "&lt;b&gt;",
    "javascript:alert(1)",
)
DRAWN = {
    "style",
    "div",
    "span",
    "b",
    "i",
    "p",
    "svg",
    "path",
    "g",
    "circle",
    "rect",
    "text",
    "tspan",
    "title",
}
LAID_OUT = {"table", "caption", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def page(snapshot):
    return Page(report.bundle(snapshot)["text/html"])


@pytest.mark.parametrize("state", list(StudyState))
def test_the_state_is_said_in_words(state):
    assert state.capitalize() in page(study(boosting(20), state=state)).text


def test_the_page_says_how_far_and_how_good_without_its_style_sheet():
    snapshot = study(boosting(42))
    text = page(snapshot).text
    assert "42 of 100 done, 58 to go" in text
    assert f"{snapshot.best.values[0]:.6g} best roc_auc, trial {snapshot.best.number}" in text
    assert f"max_depth {snapshot.best.params['max_depth']}" in text
    pruned, failed = snapshot.count(TrialOutcome.PRUNED), snapshot.count(TrialOutcome.FAILED)
    assert f"{pruned} pruned, {failed} failed" in text


def test_the_plain_text_is_the_same_whatever_happens():
    texts = {report.bundle(study(boosting(n), state=s))["text/plain"] for n in (0, 9) for s in StudyState}
    assert texts == {"<Study 'churn@1'>"}


@pytest.mark.parametrize("payload", HOSTILE)
def test_names_are_text_and_never_markup(payload):
    trials = [trial(n, n / 9, params={payload: payload, "x": 0.5}) for n in range(9)]
    made = page(study(trials, name=payload, metric=payload, note=payload, state=StudyState.FAILED))
    assert set(made.tags) <= DRAWN | LAID_OUT
    assert not [name for name, _ in made.attributes if name.startswith("on") or name in {"src", "href"}]
    assert made.text.count(payload[:20]) >= 3


def test_the_page_runs_nothing_and_fetches_nothing():
    html = report.bundle(study(boosting(100)))["text/html"]
    assert not re.search(r"<script|<link|<iframe|\burl\(|@import|https?:|\son\w+=", html)


def test_ten_thousand_trials_with_thirty_long_names_stay_below_the_limit():
    params = {f"{n}{'&' * 300}": '"' * 300 for n in range(30)}
    trials = [trial(n, (n * 7919 % 10_007) / 10_007, params=params) for n in range(10_000)]
    trials += [trial(n, outcome=TrialOutcome.FAILED, params=params) for n in range(10_000, 11_000)]
    made = study(trials, name="&" * 300, metric='"' * 300, note="'" * 5000, target=20_000)
    assert len(report.bundle(made)["text/html"].encode()) < report.MAX_BYTES


@pytest.mark.parametrize("count", [0, 1, 2, 42, 1000])
def test_the_drawing_is_well_formed(count):
    html = report.bundle(study(boosting(count)))["text/html"]
    for drawing in re.findall(r"<svg.*?</svg>", html):
        ET.fromstring(drawing)  # noqa: S314 - made three lines above
    assert "nan" not in html
    assert ("<svg" in html) == (count > 0)


def test_the_history_of_a_single_trial_has_its_number_below():
    html = report.bundle(study([trial(0, 0.5)]))["text/html"]
    assert re.search(r'text-anchor="middle"[^>]*>0</text>', html)


def test_a_study_of_equal_values_can_be_drawn():
    for value in (0.0, 1.0, -1e300, 1e-300, -sys.float_info.max, sys.float_info.max):
        html = report.bundle(study([trial(n, value) for n in range(5)]))["text/html"]
        assert "<svg" in html
        assert "nan" not in html
        assert "inf" not in html


def test_extreme_values_can_be_drawn():
    html = report.bundle(study([trial(0, -1.7e308), trial(1, 1.7e308), trial(2, 0.0)]))["text/html"]
    assert "<svg" in html
    assert "nan" not in html


@pytest.mark.parametrize("directions", [2, 3])
def test_the_page_of_several_objectives_draws_the_front_of_two_and_stays_below_the_limit(directions):
    values = [[(n * (i + 7) * 7919 % 10_007) / 10_007 for i in range(directions)] for n in range(10_000)]
    made = study([trial(n, *each) for n, each in enumerate(values)], directions=("minimize",) * directions)
    html = report.bundle(made)["text/html"]
    assert ('aria-label="Pareto front: objective 1 ↓ by objective 0 ↓' in html) == (directions == 2)
    assert "Pareto front</caption>" in html  # the table is there, too
    assert len(html.encode()) < report.MAX_BYTES


def test_two_objectives_show_the_pareto_front_and_a_chart_each_and_of_both():
    made = page(study([trial(n, n / 9, -n / 9) for n in range(9)], directions=("minimize", "maximize")))
    assert "Pareto front" in made.text
    assert made.tags.count("svg") == 4  # with the front and the hypervolume


def test_each_best_value_of_several_objectives_names_its_trial():
    fields = {"directions": ("maximize", "minimize"), "metric": "accuracy, seconds"}
    made = page(study([trial(n, n / 8, 1 + n / 4) for n in range(9)], **fields))
    assert "1 best accuracy, trial 8" in made.text
    assert "1 best seconds, trial 0" in made.text
    assert "best seconds, trial" not in page(study([], **fields)).text


@pytest.mark.parametrize("state", StudyState)
def test_a_rate_and_the_time_to_go_are_shown_only_while_the_study_runs_and_never_in_a_saved_page(state):
    made = study(boosting(40), state=state)
    for outlook in ("trials/s", "time to go"):
        assert (outlook in parts.header(made)) == (state is StudyState.RUNNING)
        assert outlook not in report.bundle(made)["text/html"]


def test_a_page_saved_in_mid_run_says_as_of_when_it_is_and_what_goes_on():
    before = datetime.now().astimezone()
    text = page(study(boosting(5))).text
    after = datetime.now().astimezone()
    assert any(f"churn@1 ● Running as of {when:%Y-%m-%d %H:%M} maximize" in text for when in (before, after))
    assert "saved while the study was at work. Running its cell again goes on" in text
    assert "%tune show churn@1" in text
    assert "as of" not in page(study(boosting(5), state=StudyState.COMPLETED)).text
    assert "%tune show churn@1" not in page(study(boosting(5), state=StudyState.COMPLETED)).text


def test_the_page_says_which_parameters_matter():
    trials = [trial(n, n / 99, params={"matters": n / 99, "noise": n * 7919 % 101}) for n in range(99)]
    assert re.search(r"Importance.*matters 9\d %.*noise 0 %", page(study(trials)).text)
    assert "Importance" not in page(study(trials[:5])).text


def luminance(color):
    digits = color.lstrip("#")
    digits = "".join(c * 2 for c in digits) if len(digits) == 3 else digits
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("palette", "papers"),
    [(style._LIGHT, ["#fff", "#ffffff"]), (style._DARK, ["#16181c", "#111111", "#212121"])],
)
def test_every_text_colour_has_enough_contrast(palette, papers):
    colors = dict(re.findall(r"--onb-(\w+):(?:var\([^,]+,)?(#\w+)", palette))
    texts = {"ink", "muted", "accent", *StudyState}
    assert texts <= set(colors)
    assert {name for name in texts for paper in papers if contrast(colors[name], paper) < 4.5} == set()
    assert min(contrast(colors["point"], paper) for paper in papers) >= 3


@pytest.mark.parametrize(
    ("direction", "triangle"), [("minimize", "M-13 3h6l-3 -6z"), ("maximize", "M-13 -3h6l-3 6z")]
)
def test_the_key_to_values_beyond_the_scale_points_to_where_they_are(direction, triangle):
    sign = 1 if direction == "minimize" else -1
    points = tuple((n, sign * (1e6 if n == 5 else n % 3 + 1.0)) for n in range(30))
    low, high = sorted((sign * 0.9, sign * 3.5))
    series = History("loss", direction, points, points[:1], (), (), 29, low, high)
    assert f'd="{triangle}"' in svg.history(series)
