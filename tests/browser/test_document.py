"""The report of a study in Chromium: what the browser makes of its charts."""

import pytest

from display.example import PlayedReader, PlayedStudy, boosting, study, trial
from optuna_nb.display import style
from optuna_nb.display.document import document
from optuna_nb.display.tabs import log
from optuna_nb.display.tabs.choices import Choices

pytestmark = pytest.mark.browser

SIZES = """svgs => [...new Set(svgs.map(svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return Math.round(10 * scale * parseFloat(svg.getAttribute("font-size"))) / 10;
}))]"""


@pytest.mark.parametrize("width", [1280, 600])
@pytest.mark.parametrize(
    "made",
    [
        study(boosting(60)),
        study([trial(n, n / 9, -n, params={"x": n, "y": 1}) for n in range(9)], directions=("minimize",) * 2),
    ],
    ids=["one objective", "two objectives"],
)
def test_the_text_of_all_charts_is_drawn_at_one_size(browser, made, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_content(document(made, PlayedStudy(40, 1e9).reader()))
    small = page.locator(".onb-grid svg")
    assert small.count() >= 2
    assert small.evaluate_all(SIZES) == [11.5]
    if width > 1000:
        assert page.locator("svg.onb-chart").evaluate_all(SIZES) == [11.5]
    page.close()


def test_nothing_of_the_report_is_cut_off_in_a_box_neither_on_the_screen_nor_on_paper(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_content(document(study(boosting(200)), PlayedStudy(40, 1e9).reader()))
    assert page.locator('[aria-label="Trials"] tbody tr').count() == 200
    assert page.locator('[aria-label="Trials"]').evaluate("e => e.scrollHeight - e.clientHeight") <= 1
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})  # of A4, within its margins
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 718
    page.close()


def test_the_lines_of_a_log_are_wrapped_where_they_do_not_fit(browser):
    class Source(PlayedReader):
        def log(self, number):
            return "UserWarning: " + "the solver has not converged; " * 40 + "x" * 400

    html = log.render(study(boosting(9)), Source(PlayedStudy(9, 1e9)), Choices())
    page = browser.new_page(viewport={"width": 900, "height": 900})
    sheets = style.sheet() + style.live_sheet()
    page.set_content(f'<div class="optuna-nb">{sheets}<div class="onb-live">{html}</div></div>')
    assert page.locator("pre").evaluate("e => [e.scrollWidth - e.clientWidth, e.clientHeight > 80]") == [
        0,
        True,
    ]
    page.close()
