"""Tuning runs behind the notebook's back, and stays there."""

import time

import pytest

from harness.studies import finished_trials, integrity, trajectory, wait_for_trials

pytestmark = [pytest.mark.kernel]

NOISY = """%%tune noisy --trials 40
import sys, time
print("noise on stdout")
print("noise on stderr", file=sys.stderr)
display("noise on display")
time.sleep(0.05)
trial.suggest_float("x", 0, 1)
"""


def noise(result):
    return "noise" in result.stdout + result.stderr + str(result.displays)


def test_other_cells_run_meanwhile_and_their_output_is_their_own(kernel):
    file = kernel.folder / "optuna_nb.db"
    tune = kernel.run(NOISY)
    first = wait_for_trials(file, "noisy@1", 2)
    other = kernel.run("import time\nfor i in range(10):\n    print(i)\n    time.sleep(0.05)\n'own value'")

    assert other.stdout == "".join(f"{i}\n" for i in range(10))
    assert other.stderr == ""
    assert other.text == "'own value'"
    assert not noise(tune)
    assert finished_trials(file, "noisy@1") > first, "tuning stood still while the other cell ran"
    assert not noise(kernel.run("%tune wait noisy"))
    assert not noise(kernel.late)


def test_what_a_cell_assigns_does_not_reach_a_running_study(kernel):
    kernel.run("import time\noffset = 0.0")
    kernel.run(
        "%%tune frozen --trials 10\ntime.sleep(0.05)\nleak = 1\ntrial.suggest_float('x', 1, 2) + offset"
    )
    kernel.run("offset = 1000.0")
    kernel.run("%tune wait frozen")

    assert kernel.value("'leak' in globals(), 'trial' in globals()") == "(False, False)"
    kernel.shutdown()
    values = [float.fromhex(value) for _, value, _ in trajectory(kernel.folder / "optuna_nb.db", "frozen@1")]
    assert len(values) == 10
    assert max(values) <= 2


def test_the_cell_returns_in_under_100_ms_once_everything_is_imported(kernel):
    cell = "%%tune name --trials 1000\nimport time\ntime.sleep(0.2)\ntrial.suggest_float('x', 0, 1)"
    kernel.run(cell.replace("name", "warm"))
    kernel.run("%tune stop warm\n%tune wait warm")
    seconds = []
    for name in ("one", "two", "three"):
        seconds.append(kernel.run(cell.replace("name", name)).seconds)
        kernel.run(f"%tune stop {name}\n%tune wait {name}")

    assert min(seconds) < 0.1, seconds


def test_interrupting_the_wait_does_not_stop_the_tuning_and_says_so(kernel):
    file = kernel.folder / "optuna_nb.db"
    kernel.run("%%tune long --trials 60\nimport time\ntime.sleep(0.1)\ntrial.suggest_float('x', 0, 1)")
    wait_for_trials(file, "long@1", 1)
    wait = kernel.send("%tune wait long")
    time.sleep(1)
    kernel.interrupt()
    result = kernel.finish(wait, timeout=5)
    count = finished_trials(file, "long@1")

    assert count < 60
    assert "Traceback" not in result.traceback
    said = result.stdout + result.stderr + result.error
    assert "goes on" in said or "still running" in said or "continues" in said, result
    wait_for_trials(file, "long@1", count + 3)


@pytest.mark.parametrize("seconds", [0.02, 30], ids=["short trials", "a trial of 30 s"])
def test_a_kernel_shutdown_takes_no_more_than_a_restart_leaves_and_the_file_is_whole(kernel, seconds):
    file = kernel.folder / "optuna_nb.db"
    kernel.run(
        "%%tune open --trials 100000\nimport time\n"
        f"time.sleep(0.02 if trial.number < 5 else {seconds})\ntrial.suggest_float('x', 0, 1)"
    )
    wait_for_trials(file, "open@1", 5)
    time.sleep(0.3)

    assert kernel.shutdown() < 2.3
    assert integrity(file) == "ok"
    assert len(trajectory(file, "open@1")) >= 5


def test_unload_ext_takes_the_magics_and_the_output_hooks_away(kernel):
    kernel.run("%%tune gone --trials 2 --wait\ntrial.suggest_float('x', 0, 1)")
    kernel.run("%unload_ext optuna_nb")

    assert kernel.value("'tune' in get_ipython().magics_manager.magics['cell']") == "False"
    assert kernel.value("type(__import__('sys').stdout).__module__").startswith("'ipykernel")
    assert kernel.run("print('plain')").stdout == "plain\n"


def test_the_outputs_are_there_for_a_notebook_that_is_run_without_a_browser(kernel):
    result = kernel.run("%%tune batch --trials 3 --wait\ntrial.suggest_float('x', 0, 1)")

    final = [bundle for bundle in result.displays if "text/html" in bundle]
    assert final, result.displays
    assert final[-1]["text/plain"] == "<Study 'batch@1'>"
    assert "<script" not in final[-1]["text/html"]


def test_the_table_of_a_comparison_is_kept_up_to_date_below_its_cell(kernel):
    kernel.run("from sklearn.datasets import load_iris\nX, y = load_iris(return_X_y=True)")
    cell = kernel.run("%autotune pair --model knn,logistic --folds 2 -X X -y y -n 8 -o pair")
    later = kernel.run("pair.wait()\nimport time\ntime.sleep(2.5)")
    first, last = cell.displays[0], [*later.displays, *kernel.late.displays][-1]

    assert "Comparing knn, logistic" in first["text/plain"]
    assert "Compared knn, logistic. Best: pair_" in last["text/plain"]
    assert last["text/html"].count("<tr") == 3
    assert "<code>%tune best pair_" in last["text/html"]
    again = kernel.run("%autotune pair --model knn,logistic --folds 2 -X X -y y -n 8 -o pair")
    later = kernel.run("time.sleep(2)")
    last = [*again.displays, *later.displays, *kernel.late.displays][-1]
    assert "Compared knn, logistic. Best: pair_" in last["text/plain"]
