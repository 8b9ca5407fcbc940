"""A second look finds what the trials change, and not what the user changes meanwhile."""

import pytest

from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.source import read_cell
from optuna_nb.tuning.changes import describe_change, mark_volatile


def changed(objective):
    marked = mark_volatile(objective.fingerprint, objective.refingerprint())
    return [part for part, digest in marked.items() if digest != objective.fingerprint[part]]


def run(shell, text):
    shell.run_cell(text, store_history=True).raise_error()


@pytest.mark.parametrize(
    ("made", "body"),
    [
        ("from sklearn.linear_model import Ridge\nm = Ridge()", "m.set_params(alpha=0.25)\n1"),
        ("m = []", "m.append(1)\nlen(m)"),
        ("m = {}", "m.setdefault(trial.number, 7)"),
        ("m = {}\ndef cached(k):\n    return m.setdefault(k, 7)", "cached(trial.number)"),
    ],
)
def test_what_a_trial_changes_is_found(shell, trial, made, body):
    run(shell, f"X = [1]\n{made}")
    objective = read_cell(shell, "t", f"X\n{body}")
    assert changed(objective) == []
    objective.evaluate(trial)
    assert changed(objective) == ["data m"]


def test_what_the_user_rebinds_meanwhile_is_no_change_by_a_trial(shell, trial):
    run(shell, "X = [1]\nlimit = 1\ndef f():\n    return limit + len(X)")
    objective = read_cell(shell, "t", "f() + len(X)")
    shell.push({"X": [1, 2], "limit": 2, "f": len})  # as by ``import *``: no cell says these names
    objective.evaluate(trial)
    assert changed(objective) == []


@pytest.mark.parametrize(
    ("made", "body", "meanwhile"),
    [
        ("import pandas as pd\nX = pd.DataFrame({'a': [1]})", "len(X)", "X['new'] = 1"),
        ("X = [1]\ndef inner():\n    X.append(2)\ndef clean():\n    inner()", "len(X)", "clean()"),
    ],
    ids=["by itself", "by a function that it calls"],
)
def test_what_another_cell_changes_in_place_meanwhile_is_no_change_by_a_trial(
    shell, trial, made, body, meanwhile
):
    run(shell, f"{made}\nseen = []")
    objective = read_cell(shell, "t", f"seen.append(1)\n{body}")
    run(shell, meanwhile)
    objective.evaluate(trial)
    assert changed(objective) == ["data seen"]


def test_running_the_tune_cell_again_or_looking_at_the_study_does_not_hide_a_change(shell, trial):
    run(shell, "seen = []")
    objective = read_cell(shell, "t", "seen.append(1)\n1")
    for text in ("%%tune seen -n 3\nseen.append(1)\n1", "%tune show seen"):
        shell.run_cell(text, store_history=True)
    objective.evaluate(trial)
    assert changed(objective) == ["data seen"]


def test_a_function_that_is_tuned_is_looked_at_again_too(shell, trial):
    run(shell, "seen = []")
    run(shell, "def f(trial):\n    seen.append(1)\n    return 1.0")
    shell.history_manager.store_inputs(9, "optuna_nb.tune(f, name='f')")
    objective = read_callable(shell.user_ns["f"], shell)
    objective.evaluate(trial)
    assert changed(objective) == ["data seen"]


def test_what_a_default_list_collects_is_data_and_code_is_never_taken_for_such(shell, trial):
    run(shell, "def f(seen=[]):\n    seen.append(1)\n    return 1.0")
    objective = read_cell(shell, "t", "f()")
    objective.evaluate(trial)
    assert changed(objective) == ["data f (default 0)"]
    later = {**objective.fingerprint, "def f": "other"}
    assert describe_change(mark_volatile(objective.fingerprint, later), later) == "def f changed"


def test_names_that_begin_as_those_of_ipython_count(shell):
    run(shell, "def _impute(x):\n    return x + _index\n_index = 3\n_i12x = 1")
    parts = read_cell(shell, "t", "_impute(1) + _i12x, _i, _ii, _i1, _ih, _, _1").fingerprint
    assert set(parts) == {"cell", "def _impute", "data _index", "data _i12x"}


def test_data_that_cannot_be_looked_into_is_named(shell):
    run(shell, "import ctypes\nhandle = ctypes.c_void_p(3)\nX = [1]")
    assert read_cell(shell, "t", "handle, X\n1").unseen == ("handle (ctypes.c_void_p)",)
    run(shell, "def f(trial):\n    return handle")
    assert read_callable(shell.user_ns["f"], shell).unseen == ("handle (ctypes.c_void_p)",)
