"""A cell whose trials run on the processes of a Dask cluster, in a real kernel."""

import time

import psutil
import pytest

from harness.studies import trajectory, wait_for_trials

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

CELL = """%%tune far --executor dask --jobs 2 -n 6 --seed 1 --wait
import os
x = trial.suggest_float("x", 0, 1)
print("said by", trial.number)
display("shown")
trial.set_user_attr("pid", os.getpid())
helper(x) + offset
"""


def test_a_cell_runs_on_workers_with_the_notebooks_names_and_one_flag_more(kernel):
    kernel.run("offset = 10.0\nscale = 2.0\ndef helper(x):\n    return scale * x")
    result = kernel.run(CELL, timeout=90)

    assert "said by" not in result.stdout + result.stderr
    kernel.run("%load_ext optuna_nb\nimport optuna_nb\nstudy = optuna_nb.load('far')")
    pids = kernel.value("{t.user_attrs['pid'] for t in study.study.trials} - {__import__('os').getpid()}")
    assert pids.count(",") in (0, 1)
    assert kernel.value("[t.value == 10 + 2 * t.params['x'] for t in study.study.trials]") == str([True] * 6)
    kernel.run("reader = __import__('optuna_nb.storage.reader').storage.reader.Reader(study.storage, 'far')")
    assert kernel.run("print(reader.log(5))").stdout == "said by 5\n'shown'\n\n"


def test_magics_in_the_cell_are_refused_before_the_first_trial(kernel):
    result = kernel.run("%%tune far --executor dask -n 2\n!echo hello\n1.0", check=False)

    assert "take it out" in result.stderr + result.error
    assert "NB805" in result.stderr + result.error


def test_a_variable_that_cannot_travel_is_named(kernel):
    kernel.run("import threading\nmy_lock = threading.Lock()")
    result = kernel.run("%%tune far --executor dask -n 2\nwith my_lock:\n    x = 1.0\nx", check=False)

    assert "the variable my_lock (lock) cannot be sent to a worker" in result.stderr + result.error


def test_an_error_on_a_worker_names_the_line_of_the_cell(kernel):
    result = kernel.run("%%tune far --executor dask -n 2 --wait\nx = 1\nx / (x - 1)", check=False, timeout=90)

    assert "line 3: x / (x - 1)" in result.stderr + result.error


def test_a_kernel_that_is_killed_leaves_no_process_and_goes_on_when_run_again(kernel):
    cell = (
        "%%tune far --executor dask --jobs 2 -n 12 --seed 1\nimport time\n"
        "time.sleep(0.3)\ntrial.suggest_float('x', 0, 1)"
    )
    file = kernel.folder / "optuna_nb.db"
    kernel.run(cell)
    wait_for_trials(file, "far@1", 3)
    children = psutil.Process(kernel.pid).children(recursive=True)
    assert len(children) >= 2
    kernel.kill()

    end = time.monotonic() + 30
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in children):
        assert time.monotonic() < end, children
        time.sleep(0.05)
    kernel.start()
    kernel.run("%load_ext optuna_nb")
    kernel.run(cell + "\n")
    kernel.run("%tune wait far", timeout=90)
    assert [number for number, *_ in trajectory(file, "far@1")] == list(range(12))


def slowness():
    """Return how much longer than by itself a computation takes beside what else runs on its core."""
    began, computed = time.monotonic(), time.thread_time()
    while time.thread_time() - computed < 0.3:
        pass
    return (time.monotonic() - began) / (time.thread_time() - computed)


def test_a_kernel_that_is_shut_down_in_mid_trial_goes_as_fast_as_a_restart_asks(kernel):
    kernel.run(
        "%%tune far --executor dask --jobs 2 -n 100\nimport time\n"
        "time.sleep(0.05 if trial.number < 3 else 300)\ntrial.suggest_float('x', 0, 1)"
    )
    wait_for_trials(kernel.folder / "optuna_nb.db", "far@1", 3)
    children = psutil.Process(kernel.pid).children(recursive=True)

    # Jupyter waits for 5 s. Most of it is the end of the interpreter, which waits for nothing but a core.
    slow = slowness()
    assert kernel.shutdown() < 3 + 2 * slow
    end = time.monotonic() + 30
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in children):
        assert time.monotonic() < end, children
        time.sleep(0.05)
