"""The panel as a person sees it: JupyterLab or Jupyter Notebook, a real kernel, a real browser."""

import os
import re
import signal
import time

import nbformat
import pytest

from harness.contrast import weak_texts
from harness.lab import DARK, LAB, LIGHT, NOTEBOOK
from harness.studies import finished_trials, wait_for_trials

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LOAD = "%load_ext optuna_nb"
BUSY_SECONDS = 20
in_both = pytest.mark.parametrize("lab", [LAB, NOTEBOOK], ids=["lab", "notebook"], indirect=True)


def tune(name, trials, seconds):
    return (
        f"%%tune {name} --trials {trials} --maximize --seed 1\nimport time\n"
        f'x = trial.suggest_float("x", -5, 5)\ny = trial.suggest_int("y", 1, 9)\n'
        f"time.sleep({seconds})\n-(x**2) - y"
    )


def shown_count(page, cell, trials):
    found = re.search(rf"(\d+)\s*(?:of|/)\s*{trials}\b", page.output(cell).inner_text())
    return int(found.group(1)) if found else 0


def wait_for_count(page, cell, trials, count, timeout=30):
    deadline = time.monotonic() + timeout
    while (shown := shown_count(page, cell, trials)) < count:
        assert time.monotonic() < deadline, page.output(cell).inner_text()
        page.page.wait_for_timeout(100)
    return shown


def button(page, cell, name):
    return live(page, cell).get_by_role("button", name=re.compile(rf"\b{name}\b", re.IGNORECASE)).first


def live(page, cell):
    """Return the live panel that covers the static page of a cell."""
    return page.output(cell).locator(".onb-live")


def open_tab(page, cell, name):
    live(page, cell).get_by_role("tab", name=name, exact=True).click()
    live(page, cell).get_by_role("tab", name=name, exact=True, selected=True).wait_for(timeout=5000)
    live(page, cell).locator(".onb-body:not([aria-busy])").wait_for(timeout=5000)


def saved_bundle(path, cell):
    """Return what the file holds of a panel: exactly one static bundle."""
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    [bundle] = [o["data"] for o in notebook.cells[cell].outputs if "data" in o]
    assert set(bundle) == {"text/html", "text/plain"}
    assert "<script" not in bundle["text/html"]
    assert len(bundle["text/html"].encode()) < 60_000
    return bundle


def test_the_panel_moves_while_the_study_runs_and_while_another_cell_does(open_notebook):
    page = open_notebook([LOAD, tune("live", 150, 0.1), "import time; time.sleep(4)"])
    page.run_cell(0)
    page.run_cell(1)
    first = wait_for_count(page, 1, 150, 3)
    second = wait_for_count(page, 1, 150, first + 5)
    page.run_cell(2)
    page.page.wait_for_timeout(500)
    third = wait_for_count(page, 1, 150, second + 15, timeout=3.4)  # the cell sleeps for 4 s

    assert first < second < third <= 150
    assert "running" in page.output(1).inner_text().lower()
    button(page, 1, "stop").click()
    page.wait_for_text(1, "stopped")


STATE_AND_HEIGHT = """e => [e.querySelector(".onb-chip").lastChild.textContent.trim(),
    e.getBoundingClientRect().height]"""


@pytest.mark.parametrize("trials", [3, 12])
def test_the_panel_does_not_grow_while_its_table_fills_up(open_notebook, trials):
    page = open_notebook([LOAD, tune("filled", trials, 0.5), ""])
    page.run_cell(0)
    page.run_cell(1)
    wait_for_count(page, 1, trials, 1)
    heights = []
    while (look := live(page, 1).evaluate(STATE_AND_HEIGHT))[0] == "Running":
        heights.append(look[1])
        page.page.wait_for_timeout(100)
    assert len(heights) > 2, "there were too few looks at a running study"
    assert max(heights) - min(heights) < 2, heights
    page.wait_for_text(1, "completed")


@in_both
def test_stop_acts_within_a_second_although_a_cell_keeps_the_kernel_busy(open_notebook, folder):
    busy = f"import time\nend = time.time() + {BUSY_SECONDS}\nwhile time.time() < end: time.sleep(0.001)"
    page = open_notebook([LOAD, tune("busy", 100_000, 0.05), busy])
    page.run_cell(0)
    page.run_cell(1)
    wait_for_trials(folder / "optuna_nb.db", "busy@1", 3)
    stop = button(page, 1, "stop")
    stop.wait_for()
    page.run_cell(2)
    page.page.wait_for_timeout(1000)
    assert "*" in page.cell(2).locator(".jp-InputArea-prompt").inner_text()

    stop.click()
    page.page.wait_for_timeout(1000)
    at_once = finished_trials(folder / "optuna_nb.db", "busy@1")
    page.page.wait_for_timeout(2000)
    later = finished_trials(folder / "optuna_nb.db", "busy@1")

    assert "*" in page.cell(2).locator(".jp-InputArea-prompt").inner_text(), "the cell ended too early"
    assert later == at_once, "trials went on for more than a second after the click"
    page.command("kernelmenu:interrupt")


@in_both
def test_pause_holds_the_study_and_resume_lets_it_go_on(open_notebook, folder):
    file = folder / "optuna_nb.db"
    page = open_notebook([LOAD, tune("held", 100_000, 0.05)])
    page.run_all()
    wait_for_trials(file, "held@1", 3)
    button(page, 1, "pause").click()
    page.wait_for_text(1, "paused")
    page.page.wait_for_timeout(500)
    held = finished_trials(file, "held@1")
    page.page.wait_for_timeout(1000)
    assert finished_trials(file, "held@1") == held

    button(page, 1, "resume").click()
    wait_for_trials(file, "held@1", held + 3, timeout=5)
    button(page, 1, "stop").click()
    page.wait_for_text(1, "stopped")


@in_both
def test_after_the_end_the_saved_notebook_reads_well_without_a_kernel(open_notebook, folder):
    page = open_notebook([LOAD, tune("told", 12, 0.05)])
    page.run_all()
    page.wait_for_text(1, "12 of 12 done")
    page.wait_for_text(1, "completed")
    page.page.wait_for_timeout(500)
    page.save()
    bundle = saved_bundle(folder / "notebook.ipynb", 1)
    assert bundle["text/plain"] == "<Study 'told@1'>"
    assert "<svg" in bundle["text/html"]
    assert "Importance" in bundle["text/html"]

    page.command("kernelmenu:shutdown")
    live(page, 1).wait_for(state="detached", timeout=5000)
    page.page.close()
    again = open_notebook(None)  # a new page and a new kernel that knows no model
    shown = again.output(1).inner_text()
    assert "completed" in shown.lower()
    assert "12 of 12 done" in shown
    assert live(again, 1).count() == 0
    assert again.output(1).locator("svg").count() > 0


def test_a_notebook_that_was_saved_in_mid_run_reads_well_when_its_kernel_is_gone(open_notebook, folder):
    page = open_notebook([LOAD, tune("mid", 100_000, 0.05)])
    page.run_all()
    wait_for_count(page, 1, 100_000, 3)
    page.save()
    saved_bundle(folder / "notebook.ipynb", 1)
    page.command("kernelmenu:shutdown")
    live(page, 1).wait_for(state="detached", timeout=5000)
    page.page.close()

    again = open_notebook(None)
    shown = again.output(1).inner_text()
    assert "while the study was at work" in shown
    assert "model not found" not in shown.lower()
    assert again.output(1).locator("svg").first.is_visible()


def test_a_page_that_is_loaded_again_in_mid_study_shows_the_live_panel_and_its_end(open_notebook, folder):
    page = open_notebook([LOAD, tune("again", 100_000, 0.05)])
    page.run_all()
    wait_for_count(page, 1, 100_000, 3)
    page.save()
    page.reload()
    live(page, 1).wait_for(timeout=15_000)
    first = wait_for_count(page, 1, 100_000, 4)
    wait_for_count(page, 1, 100_000, first + 5)
    button(page, 1, "stop").click()
    live(page, 1).filter(has_text="Stopped").wait_for(timeout=5000)


def test_another_notebook_watches_and_steers_the_study(open_notebook, folder):
    file = folder / "optuna_nb.db"
    first = open_notebook([LOAD, tune("far", 100_000, 0.05)])
    first.run_all()
    wait_for_trials(file, "far@1", 3)
    first.page.close()  # the kernel goes on
    other = open_notebook([LOAD, "%tune show far"], name="other.ipynb")
    other.run_all()
    seen = wait_for_count(other, 1, 100_000, 3)
    wait_for_count(other, 1, 100_000, seen + 5)
    assert "Locked elsewhere" in live(other, 1).inner_text()
    button(other, 1, "pause").click()
    live(other, 1).filter(has_text="Paused").wait_for(timeout=5000)
    button(other, 1, "resume").click()
    live(other, 1).filter(has_text="Running").wait_for(timeout=5000)
    button(other, 1, "stop now").click()
    live(other, 1).filter(has_text="Stopped").wait_for(timeout=5000)
    assert "Locked elsewhere" not in live(other, 1).inner_text()

    button(other, 1, "resume").click()  # of a study whose cell this kernel has never run
    live(other, 1).filter(has_text="Running").wait_for(timeout=5000)
    assert "Locked elsewhere" not in live(other, 1).inner_text()
    button(other, 1, "stop now").click()
    live(other, 1).filter(has_text="Stopped").wait_for(timeout=5000)


def test_a_killed_kernel_leaves_a_static_page_and_run_all_finishes_the_study(open_notebook, folder):
    file = folder / "optuna_nb.db"
    page = open_notebook(["import os; print(os.getpid())", LOAD, tune("shot", 60, 0.05)])
    page.run_all()
    wait_for_trials(file, "shot@1", 10)
    os.kill(int(page.output(0).inner_text()), signal.SIGKILL)
    live(page, 2).wait_for(state="detached", timeout=20_000)
    page.page.get_by_role("button", name="Ok", exact=True).click()  # "the kernel restarts"
    page._wait_for_kernel()
    page.run_all()
    page.wait_for_text(2, "60 of 60 done", timeout=30)
    page.wait_for_text(2, "completed")
    assert finished_trials(file, "shot@1") == 60


def test_the_keyboard_reaches_everything_and_a_new_state_leaves_the_focus_alone(open_notebook):
    page = open_notebook([LOAD, tune("keys", 100_000, 0.05)])
    page.run_all()
    wait_for_count(page, 1, 100_000, 3)
    focused = "() => document.activeElement.textContent"
    button(page, 1, "pause").focus()
    page.page.keyboard.press("Enter")
    live(page, 1).filter(has_text="Paused").wait_for(timeout=5000)
    page.page.wait_for_timeout(500)  # the output has been made anew by now
    assert page.page.evaluate(focused) == "Resume"
    page.page.keyboard.press("Space")
    live(page, 1).filter(has_text="Running").wait_for(timeout=5000)
    page.page.keyboard.press("Tab")
    assert page.page.evaluate(focused) == "Stop"
    live(page, 1).get_by_role("tab", selected=True).focus()
    page.page.keyboard.press("End")
    live(page, 1).get_by_role("tab", name="Code", selected=True).wait_for(timeout=5000)
    page.page.keyboard.press("ArrowLeft")
    live(page, 1).get_by_role("tab", name="Runs", selected=True).wait_for(timeout=5000)
    open_tab(page, 1, "Trials")
    page.page.get_by_placeholder("pruned").fill("x < 0")
    page.page.wait_for_timeout(1200)  # while the table is repainted
    assert page.page.evaluate("() => document.activeElement.value") == "x < 0"
    page.page.keyboard.type(", y > 3")
    live(page, 1).locator(".onb-tools", has_text="of").first.wait_for()
    assert page.page.evaluate("() => document.activeElement.value") == "x < 0, y > 3"
    button(page, 1, "stop").click()
    live(page, 1).filter(has_text="Stopped").wait_for(timeout=5000)
    page.page.wait_for_timeout(300)
    unnamed = "els => els.filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"
    assert live(page, 1).locator("button, select, input, [tabindex='0']").evaluate_all(unnamed) == 0


def test_ctrl_s_saves_after_a_click_on_the_panel_and_a_plain_letter_stays_there(open_notebook, folder):
    page = open_notebook([LOAD, tune("saved", 6, 0.01)])
    page.run_all()
    page.wait_for_text(1, "6 of 6 done")
    open_tab(page, 1, "Trials")
    page.page.keyboard.press("b")  # in JupyterLab: a new cell below
    page.page.keyboard.press("Control+s")
    deadline = time.monotonic() + 10
    while not nbformat.read(folder / "notebook.ipynb", as_version=4).cells[1].outputs:
        assert time.monotonic() < deadline, "nothing was saved"
        page.page.wait_for_timeout(100)
    assert page.page.locator(".jp-Notebook .jp-CodeCell").count() == 2
    field = page.page.get_by_placeholder("pruned")
    field.fill("x < 0")
    page.page.keyboard.press("Control+a")
    page.page.keyboard.type("y > 3")
    assert field.input_value() == "y > 3"


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_word_of_every_tab_can_be_read_in_both_themes(open_notebook, pictures, theme):
    word = "dark" if theme == DARK else "light"
    cell = tune("seen", 4000, 0.01).replace(
        "-(x**2) - y", "print('at', x)\nfor s in range(5): trial.report(-(x**2) * s, s)\n-(x**2) - y"
    )
    page = open_notebook([LOAD, cell], theme)
    page.run_all()
    wait_for_count(page, 1, 4000, 40)
    page.screenshot(pictures / f"panel-live-{word}.png")
    assert weak_texts(page.output(1), least=22), "no text was looked at: black on white has 21"
    weak = {}
    for tab in ("Parameters", "Learning curves", "Live", "Trials", "Log", "Runs", "Code", "History"):
        open_tab(page, 1, tab)
        weak[tab] = weak_texts(page.output(1))
        live(page, 1).screenshot(path=pictures / f"tab-{tab.split()[0].lower()}-{word}.png")
    button(page, 1, "stop").click()
    page.wait_for_text(1, "stopped")
    page.page.wait_for_timeout(300)
    weak["stopped"] = weak_texts(page.output(1))
    page.screenshot(pictures / f"panel-ended-{word}.png")
    assert {tab: texts for tab, texts in weak.items() if texts} == {}


def test_hostile_names_are_shown_as_text_in_every_tab(open_notebook, folder):
    evil = "<img src=x onerror=alert(1)>"
    cell = f"""%%tune "a{evil}" --trials 12 --notes "{evil}" --tag "{evil}" --metric "{evil}"
trial.set_user_attr("{evil}", "{evil}")
print("{evil}")
trial.report(1.0, 0)
trial.suggest_categorical("c{evil}", ["{evil}", "</style><svg onload=alert(2)>"])
trial.suggest_float("{evil}", 0, 1)"""
    page = open_notebook([LOAD, cell])
    page.page.on("dialog", lambda dialog: page.errors.append(f"script ran: {dialog.message}"))
    page.run_all()
    page.wait_for_text(1, "12 of 12 done")
    for tab in ("Parameters", "Learning curves", "Live", "Trials", "Log", "Runs", "Code", "History"):
        open_tab(page, 1, tab)
        assert live(page, 1).locator("img, script, iframe, svg[onload]").count() == 0
    page.save()
    page.page.wait_for_timeout(300)
    assert page.output(1).locator("img, script, iframe").count() == 0
    assert "<img" not in saved_bundle(folder / "notebook.ipynb", 1)["text/html"]


SMALLEST = """els => Math.min(...els.map(
    e => parseFloat(getComputedStyle(e).fontSize) * e.ownerSVGElement.getScreenCTM().a))"""


def test_in_a_narrow_window_charts_can_be_read_and_what_is_cut_off_shows_that_it_scrolls(open_notebook):
    page = open_notebook([LOAD, tune("slim", 30, 0.001)])
    page.page.set_viewport_size({"width": 800, "height": 900})
    page.run_all()
    page.wait_for_text(1, "30 of 30 done")
    panel = live(page, 1)
    for tab in ("Parameters", "Runs", "History"):
        open_tab(page, 1, tab)
        assert panel.locator("svg text").evaluate_all(SMALLEST) >= 9, tab
        assert panel.evaluate("e => e.scrollWidth <= e.clientWidth"), tab
        boxes = panel.locator(".onb-scroll")
        assert boxes.evaluate_all("els => els.some(e => e.scrollWidth > e.clientWidth)"), tab
        shadow = "els => els.every(e => getComputedStyle(e).backgroundImage.includes('linear-gradient'))"
        assert boxes.evaluate_all(shadow), tab
    panel.get_by_role("tab", name="History", exact=True).click()  # which is open
    page.page.wait_for_timeout(300)
    assert panel.locator(".onb-body[aria-busy]").count() == 0


def test_a_panel_that_is_not_in_view_is_not_fed_but_for_its_saved_page_each_minute(open_notebook):
    look = "from optuna_nb.cell.view import _panels\n[panel] = _panels.values()\nprint(panel.pace())"
    page = open_notebook([LOAD, tune("hidden", 100_000, 0.05), look, "print(panel.pace())"])
    page.run_cell(0)
    page.run_cell(1)
    wait_for_count(page, 1, 100_000, 3)
    page.run_cell(2)
    page.wait_for_cell(2)
    assert float(page.output(2).inner_text()) >= 0
    page.page.evaluate("() => document.querySelectorAll('.jp-Cell-outputWrapper')[1].style.display = 'none'")
    page.page.wait_for_timeout(800)
    page.run_cell(3)
    page.wait_for_cell(3)
    assert float(page.output(3).inner_text()) > 5
    page.page.evaluate("() => document.querySelectorAll('.jp-Cell-outputWrapper')[1].style.display = ''")
    first = wait_for_count(page, 1, 100_000, 5)
    wait_for_count(page, 1, 100_000, first + 3)
    button(page, 1, "stop now").click()
    page.wait_for_text(1, "stopped")
