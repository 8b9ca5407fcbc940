"""Data that the trials change themselves does not make a study a stranger to itself."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

from optuna_nb.records import Objective, TuneOptions
from optuna_nb.storage.reader import Reader
from optuna_nb.tuning import api
from optuna_nb.tuning.advice import advice_on_unseen, advice_on_volatile
from optuna_nb.tuning.changes import VOLATILE, describe_change, mark_volatile, matches
from optuna_nb.tuning.fingerprint import fingerprint

ADVICE = "the trials change state themselves, so its content is not fingerprinted; create it inside the cell"


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=3, seed=1)


def make(code, names, evaluate):
    """An objective as a cell makes it, of code that reads names."""
    return Objective(evaluate, code, fingerprint(code, names), refingerprint=lambda: fingerprint(code, names))


def appending(state, data=(), gate=None):
    def evaluate(trial):
        state.append(1)
        if gate is not None:
            assert gate.wait(10)
        return trial.suggest_float("x", 0, 1)

    return make("(state, data)", {"state": state, "data": data}, evaluate)


def test_a_study_that_changes_what_it_reads_finds_itself_again(options, caplog):
    state = []
    with caplog.at_level(logging.WARNING, "optuna_nb"):
        api.start(appending(state), options).wait()
    handle = api.start(appending(state), replace(options, trials=5)).wait()

    assert [record.message for record in caplog.records] == [f"s@1: {ADVICE}"]
    assert handle.name == "s@1"
    assert handle.note == f"resumed s@1: 3 of 5 done, 2 to go; {ADVICE}"
    assert len(state) == 5
    with_fresh_state = api.start(appending([]), options)
    assert with_fresh_state.name == "s@1", "a new kernel makes it anew"


def test_data_that_the_user_changes_still_begins_a_new_version(options):
    state, data = [], [1]
    api.start(appending(state, data), options).wait()
    data.append(2)
    handle = api.start(appending(state, data), options).wait()
    assert handle.name == "s@2"
    assert handle.note.startswith("data data changed: s@2 begins")


def test_the_version_says_what_is_volatile_and_keeps_the_hash_of_the_rest(options):
    objective = appending([], [1])
    api.start(objective, options).wait()
    reader = Reader(options.storage, "s@1")
    stored = reader.versions()[0].fingerprint
    reader.close()
    assert stored == {**objective.fingerprint, "data state": VOLATILE}


@pytest.mark.parametrize("trials_before", [0, 1])
def test_running_the_cell_again_while_it_runs_is_no_change(options, trials_before):
    state, gate, inside = [], threading.Event(), threading.Event()

    def evaluate(trial):
        state.append(1)
        if trial.number == trials_before:
            inside.set()
            assert gate.wait(10)
        return trial.suggest_float("x", 0, 1)

    def objective():
        return make("state", {"state": state}, evaluate)

    api.start(objective(), options)
    assert inside.wait(10)
    again = api.start(objective(), options)
    assert again.note.startswith(f"s@1 is running already: {trials_before} of 3 done")
    gate.set()
    again.wait()
    assert api.list_studies(options.storage)["name"].to_list() == ["s@1"]


def test_a_resumed_study_knows_from_its_start_what_is_volatile(options):
    state, gate = [], threading.Event()
    api.start(appending(state), options).wait()
    api.start(appending(state, gate=gate), replace(options, trials=5))
    again = api.start(appending(state, gate=gate), replace(options, trials=5))
    assert "running already" in again.note
    assert ADVICE in again.note
    gate.set()
    assert again.wait().snapshot().done == 5


def test_the_second_look_is_taken_once_in_the_thread_that_finished_the_first_trial(options):
    looks = []

    def look():
        looks.append((threading.current_thread().name, handle_done()))
        return {"cell": "1"}

    def handle_done():
        return api.load("s", options.storage).snapshot().done

    objective = Objective(lambda t: t.suggest_float("x", 0, 1), "c", {"cell": "1"}, refingerprint=look)
    api.start(objective, options).wait()
    assert looks == [("optuna_nb s", 1)]


def test_jobs_at_the_same_time_take_the_second_look_once(options):
    state, looks = [], []
    objective = appending(state)
    again = objective.refingerprint
    counted = replace(objective, refingerprint=lambda: looks.append(1) or again())
    api.start(counted, replace(options, trials=12, jobs=4)).wait()
    assert looks == [1]
    assert api.start(appending(state), replace(options, trials=12)).name == "s@1"


def test_what_cannot_be_seen_is_said_when_a_study_starts(options):
    objective = Objective(lambda t: t.suggest_float("x", 0, 1), "c", {"cell": "1"}, unseen=("D (a.B)",))
    handle = api.start(objective, options)
    assert handle.note == (
        "s@1 begins with 3 trials to go; changes inside D (a.B) cannot be detected and begin no new version"
    )
    handle.wait()


def test_volatile_parts_match_anything_but_their_absence():
    old, new = {"cell": "1", "data m": VOLATILE}, {"cell": "1", "data m": "2"}
    assert matches(old, new)
    assert matches(new, old)
    assert not matches(old, {"cell": "1"})
    assert not matches(old, {**new, "cell": "2"})
    assert not matches(old, {**new, "data n": "3"})
    assert describe_change(old, {**new, "cell": "2"}) == "cell changed"


def test_only_data_is_marked_volatile():
    parts = {"cell": "1", "def f": "1", "class A": "1", "data m": "1", "data n": "1", "data o": "1"}
    later = {**dict.fromkeys(parts, "2"), "data n": "1"}
    del later["data o"]
    assert mark_volatile(parts, later) == {**parts, "data m": VOLATILE}


def test_advice_is_one_line_whatever_the_number():
    assert advice_on_volatile({"cell": "1"}) == advice_on_unseen(()) == ""
    assert advice_on_volatile({"data a": VOLATILE, "data b": VOLATILE}) == (
        "the trials change a, b themselves, so their content is not fingerprinted;"
        " create them inside the cell"
    )
    assert advice_on_unseen([*"abcde"]) == (
        "changes inside a, b, c and 2 more cannot be detected and begin no new version"
    )
