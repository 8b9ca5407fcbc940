"""The panel in a real kernel, asked by a real client, as a front end would."""

import ast
import re
import time

import ipykernel
import pytest

from display.example import PlayedStudy
from harness.kernel import ROOT, Kernel
from optuna_nb.display.panel import READ_ONLY, Panel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

SETUP = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import time
from display.example import PlayedStudy
from optuna_nb.display.panel import Panel
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        kernel.run(SETUP)
        yield kernel


def messages_for(kernel, seconds):
    """Collect what the kernel publishes for a while."""
    found, end = [], time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            found.append(kernel.client.get_iopub_msg(timeout=left))
        except Exception:  # noqa: BLE001 - queue.Empty, as the client's own base class
            break
    return found


def subshell(kernel):
    """Open a subshell, as JupyterLab does for the messages of widgets."""
    message = kernel.client.session.msg("create_subshell_request", {})
    kernel.client.control_channel.send(message)
    reply = kernel.client.get_control_msg(timeout=10)
    return reply["content"]["subshell_id"]


def send(kernel, comm_id, content, address=None):
    """Send what a page sends."""
    message = kernel.client.session.msg(
        "comm_msg", {"comm_id": comm_id, "data": {"method": "custom", "content": content}}
    )
    if address is not None:
        message["header"]["subshell_id"] = address
    kernel.client.shell_channel.send(message)


def say(kernel, content):
    """Send what a page sends to the panel ``p``."""
    send(kernel, kernel.value("p._view.model.model_id").strip("'"), content)


needs_subshells = pytest.mark.skipif(
    ipykernel.version_info[0] < 7, reason="before ipykernel 7, a click waits for the end of the cell"
)


@needs_subshells
@pytest.mark.parametrize("verb", ["pause", "stop", "stop_now", "more"])
def test_a_click_acts_within_half_a_second_while_another_cell_runs(kernel, verb):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    address = subshell(kernel)
    comm_id = kernel.value("p._view.model.model_id").strip("'")
    busy = kernel.send("begin = time.time(); time.sleep(3); end = time.time()")
    time.sleep(0.7)
    clicked = time.time()
    send(kernel, comm_id, {"do": verb}, address)
    kernel.finish(busy)
    when, what = kernel.value("*s.asked[-1],").strip("()").split(", ")
    assert what.strip("'").startswith(verb)
    assert float(when) - clicked < 0.5
    kernel.run("p.close()")


def test_a_click_acts_in_an_idle_kernel(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    say(kernel, {"do": "stop"})
    time.sleep(0.5)
    assert kernel.value("s.asked[-1][1], p._shown.state.value") == "('stop', 'stopped')"
    kernel.run("p.close()")


def test_the_saved_output_is_a_static_page_at_every_moment_and_never_a_widget(kernel):
    shown = kernel.run("s = PlayedStudy(6, 4); p = Panel(s.reader, s.verbs()); p.show()")
    [live] = shown.displays
    assert set(live) == {"text/html", "text/plain"}
    assert live["text/plain"] == "<Study 'churn@1'>"
    assert f'data-onb-panel="{kernel.value("p._view.panel_id").strip(chr(39))}"' in live["text/html"]
    updates = [m for m in messages_for(kernel, 3) if m["msg_type"] == "update_display_data"]
    last = updates[-1]["content"]["data"]
    assert set(last) == {"text/html", "text/plain"}
    assert "Completed" in last["text/html"]
    assert "6 of 6 done" in last["text/html"]
    kernel.run("p.close()")


def test_other_cells_stay_clean_while_the_panel_is_painted(kernel):
    kernel.run("s = PlayedStudy(500, 40); p = Panel(s.reader, s.verbs()); p.show()")
    other = kernel.run("for i in range(5): print(i); time.sleep(0.3)")
    assert other.stdout == "0\n1\n2\n3\n4\n"
    assert other.stderr == ""
    assert other.displays == []
    assert int(kernel.value("p._shown.done")) > 20
    kernel.run("p.close()")


def test_a_tab_is_computed_only_when_it_is_opened(kernel):
    kernel.run("s = PlayedStudy(500, 50); p = Panel(s.reader, s.verbs()); p.show(); time.sleep(1)")
    assert (
        kernel.value("'onb-chart' in p._view.model.body, 'Importance' in p._view.model.body")
        == "(True, False)"
    )
    say(kernel, {"do": "tab", "value": "parameters"})
    time.sleep(0.5)
    assert kernel.value("p._view.model.tab, 'Importance' in p._view.model.body") == "('parameters', True)"
    say(kernel, {"do": "tab", "value": "no such tab"})
    time.sleep(0.3)
    assert kernel.value("p._view.model.tab") == "'parameters'"
    kernel.run("p.close()")


def test_nothing_is_asked_of_the_file_while_no_page_sees_the_panel(kernel):
    kernel.run(
        "from display.example import PlayedReader\n"
        "class Counting(PlayedReader):\n"
        "    asked = 0\n"
        "    def poll(self): Counting.asked += 1; return super().poll()\n"
        "s = PlayedStudy(500, 20); p = Panel(lambda: Counting(s), s.verbs()); p.show()"
    )
    say(kernel, {"do": "seen", "page": "a", "value": True})
    time.sleep(1)
    assert int(kernel.value("Counting.asked")) >= 3
    say(kernel, {"do": "seen", "page": "a", "value": False})
    time.sleep(0.5)
    before = kernel.value("Counting.asked")
    time.sleep(1)
    assert kernel.value("Counting.asked") == before
    say(kernel, {"do": "seen", "page": "a", "value": True})
    time.sleep(0.3)
    assert int(kernel.value("Counting.asked")) > int(before)
    kernel.run("s.verbs().stop(); time.sleep(.6); before = Counting.asked; time.sleep(1)")
    assert kernel.value("Counting.asked - before") == "0"  # at rest
    kernel.run("p.close()")


def test_a_panel_that_nobody_sees_still_ends_static(kernel):
    kernel.run(
        "heard = []\n"
        "s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs(), when_it_ends=heard.append); p.show()"
    )
    say(kernel, {"do": "seen", "page": "a", "value": False})
    time.sleep(0.3)
    kernel.run("import threading; s.verbs().stop(); threading.Timer(0.4, heard[0]).start()")
    ends = [m for m in messages_for(kernel, 1) if m["msg_type"] == "update_display_data"]
    assert "Stopped" in ends[-1]["content"]["data"]["text/html"]
    kernel.run("p.close()")


def pages_of_a_short_minute(folder, per_second, seen):
    """Show a panel that takes half a second for a minute; return how far each replacement of its page is."""
    with Kernel(folder) as kernel:
        kernel.run(SETUP + "import optuna_nb.display.panel as module; module.KEEP = 0.5")
        kernel.run(f"s = PlayedStudy(500, {per_second}); p = Panel(s.reader, s.verbs()); p.show()")
        say(kernel, {"do": "seen", "page": "a", "value": seen})
        said = [m["content"] for m in messages_for(kernel, 3.6) if m["msg_type"] == "update_display_data"]
    return [int(re.search(r"(\d+) of 500 done", page["data"]["text/html"])[1]) for page in said]


@pytest.mark.parametrize("seen", [True, False])
def test_the_saved_output_of_a_long_run_is_never_older_than_a_minute(tmp_path, seen):
    done = pages_of_a_short_minute(tmp_path, 20, seen)
    assert 2 <= len(done) <= 7
    assert done == sorted(set(done))
    assert done[-1] > 20


@pytest.mark.parametrize("seen", [True, False])
def test_the_saved_output_stays_as_it_is_while_nothing_is_new(tmp_path, seen):
    assert len(pages_of_a_short_minute(tmp_path, 0, seen)) <= 1  # the first look may be news


def test_a_panel_without_verbs_has_dead_buttons_that_say_why(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, None); p.show()")
    said = kernel.value("str({(hint, off) for _, _, hint, off in p._view.model.controls})")
    assert ast.literal_eval(ast.literal_eval(said)) == {(READ_ONLY, True)}
    kernel.run("p.close()")


def test_buttons_follow_the_state(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    enabled = "[verb for verb, _, _, off in p._view.model.controls if not off]"
    assert kernel.value(enabled) == "['pause', 'stop', 'stop_now', 'more']"
    say(kernel, {"do": "pause"})
    time.sleep(0.6)
    assert kernel.value(enabled) == "['resume', 'stop', 'stop_now', 'more']"
    say(kernel, {"do": "stop"})
    time.sleep(1.3)
    assert kernel.value(enabled) == "['resume', 'more']"
    kernel.run("p.close()")


def test_a_verb_that_is_refused_is_said_in_the_panel(kernel):
    kernel.run(
        "from optuna_nb.errors import LockedStudyError\n"
        "from dataclasses import replace\n"
        "def refuse(): raise LockedStudyError('kernel 7 runs <churn>')\n"
        "s = PlayedStudy(500, 5); p = Panel(s.reader, replace(s.verbs(), pause=refuse)); p.show()"
    )
    say(kernel, {"do": "pause"})
    time.sleep(0.4)
    assert "kernel 7 runs &lt;churn&gt;" in kernel.value("p._view.model.said")
    kernel.run("p.close()")


def test_a_file_that_is_gone_for_a_while_is_survived_and_said(kernel):
    kernel.run(
        "from optuna_nb.errors import FileGoneError\n"
        "from display.example import PlayedReader\n"
        "class Flaky(PlayedReader):\n"
        "    broken = False\n"
        "    def poll(self):\n"
        "        if Flaky.broken: raise FileGoneError('the file is gone')\n"
        "        return super().poll()\n"
        "s = PlayedStudy(500, 20); p = Panel(lambda: Flaky(s), s.verbs()); p.show()\n"
        "Flaky.broken = True; time.sleep(.6)"
    )
    assert "the file is gone" in kernel.value("p._view.model.said")
    assert "File gone" in kernel.value("p._view.model.head")
    before = int(kernel.value("p._shown.done"))
    kernel.run("Flaky.broken = False; time.sleep(2.2)")
    assert "the file is gone" not in kernel.value("p._view.model.said")
    assert int(kernel.value("p._shown.done")) > before
    kernel.run("p.close()")


def test_a_panel_can_be_shown_twice_and_both_outputs_end_static(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    kernel.run("p.show()")
    kernel.run("import threading; threading.Timer(0.4, s.verbs().stop).start()")
    ends = [m for m in messages_for(kernel, 1.5) if m["msg_type"] == "update_display_data"]
    assert len({m["content"]["transient"]["display_id"] for m in ends}) == 2
    kernel.run("p.close()")


def of_cell(kernel, code):
    """Run a cell, and return the pages that a notebook without a front end takes over: those of this cell."""
    message = kernel.send(code)
    return [d["text/html"] for d in kernel.finish(message).displays if "text/html" in d]


def test_the_last_state_is_said_in_a_cell_where_it_was_said_between_two_before(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    kernel.run("import threading; threading.Timer(0.3, s.verbs().stop).start()")
    assert "Stopped" in messages_for(kernel, 1.2)[-1]["content"]["data"]["text/html"]  # of no running cell
    [again] = of_cell(kernel, "p.say_again()")
    assert "Stopped" in again
    assert of_cell(kernel, "p.say_again()") == []  # once is enough
    kernel.run("p.close()")


def test_a_panel_that_slept_through_a_run_shows_how_that_ended(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show(); s.verbs().stop()")
    kernel.run("p.settle()")
    kernel.run("from optuna_nb.records import StudyState; s._state = StudyState.COMPLETED")  # unseen, at rest
    *updates, shown = of_cell(kernel, "p.show()")
    assert "Completed" in shown
    assert all("Completed" in page for page in updates)
    kernel.run("p.close()")


def test_a_page_is_notified_at_the_end_where_that_was_asked(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.notify = True; p.show()")
    kernel.run("s.verbs().stop(); time.sleep(.7)")
    assert kernel.value("p._view.model.notice['title']") == "'churn@1 stopped'"
    kernel.run("p.close()")


def test_a_panel_that_is_shown_already_is_told_that_pages_are_to_notify(kernel):
    kernel.run("s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
    assert kernel.value("p._view.model.notify") == "False"
    kernel.run("p.notify = True; p.show()")
    assert kernel.value("p._view.model.notify") == "True"
    kernel.run("p.close()")


def test_a_kernel_with_an_open_panel_shuts_down_at_once(tmp_path):
    with Kernel(tmp_path) as kernel:
        kernel.run(SETUP + "s = PlayedStudy(500, 5); p = Panel(s.reader, s.verbs()); p.show()")
        assert kernel.shutdown() < 2.5


def test_a_cell_that_is_run_again_after_its_file_was_deleted_has_a_living_panel_on_the_new_file(tmp_path):
    head = "[panel] = _panels.values()\nassert panel._poller.is_running\npanel._view.model.head"
    cell = "%%tune again --trials {}\ntrial.suggest_float('x', 0, 1)"
    with Kernel(tmp_path) as kernel:
        kernel.run("%load_ext optuna_nb\nfrom optuna_nb.cell.view import _panels")
        kernel.run(cell.format(3))
        kernel.run("%tune wait again")
        for file in tmp_path.glob("optuna_nb.db*"):
            file.unlink()
        kernel.run(cell.format(5))
        kernel.run("%tune wait again")
        shown = kernel.value(head)
        assert "File gone" not in shown
        assert "5 of 5 done" in shown
        assert "File gone" not in kernel.run("%tune show again").displays[-1]["text/html"]


def test_without_a_notebook_a_panel_is_one_line_of_text(capsys):
    played = PlayedStudy(100, 0)
    Panel(played.reader, played.verbs()).show()
    assert capsys.readouterr().out == "churn@1 0/100\n"
