"""A study runs in a thread, ends as asked, and goes on where it stopped."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import optuna
import pytest

from harness.gate import Gate
from harness.waiting import until
from optuna_nb.errors import (
    DirectionMismatchError,
    InvalidOptionError,
    LockedStudyError,
    ObjectiveError,
    StudyNotFoundError,
)
from optuna_nb.records import Objective, StudyState, TrialOutcome, TuneOptions
from optuna_nb.storage import questions
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.record_database import read_records
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import api, background, capture


def square(trial):
    x = trial.suggest_float("x", -1, 1)
    y = trial.suggest_float("y", -1, 1)
    return x**2 + y**2


def make(evaluate=square, fingerprint="1"):
    return Objective(evaluate, f"code {fingerprint}", {"cell": fingerprint}, "Square")


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=10, seed=1)


def hexes(handle):
    return [(t.number, t.value.hex(), {k: v.hex() for k, v in t.params.items()}) for t in handle.study.trials]


def test_a_study_gets_as_many_trials_as_asked_for(options):
    handle = api.start(make(), options).wait()
    snapshot = handle.snapshot()
    assert handle.name == "s@1"
    assert snapshot.done == snapshot.target == 10
    assert snapshot.state is StudyState.COMPLETED
    assert handle.best_value == min(t.value for t in handle.study.trials)
    assert set(handle.best_params) == {"x", "y"}


def test_running_a_finished_study_again_adds_nothing(options):
    before = hexes(api.start(make(), options).wait())
    handle = api.start(make(), options).wait()
    assert "finished: 10 of 10" in handle.note
    assert hexes(handle) == before


def test_a_stopped_study_goes_on_and_ends_as_if_it_had_never_stopped(options, tmp_path):
    whole = hexes(api.start(make(), replace(options, storage=f"sqlite:///{tmp_path / 'whole.db'}")).wait())
    api.start(make(), replace(options, trials=4)).wait()
    handle = api.start(make(), options)
    assert handle.note == "resumed s@1: 4 of 10 done, 6 to go"
    assert hexes(handle.wait()) == whole


def test_a_resume_with_another_sampler_or_pruner_says_so(options):
    api.start(make(), replace(options, trials=2, sampler="random")).wait()
    same = api.start(make(), replace(options, trials=3, sampler="random")).wait()
    assert "from here on" not in same.note
    other = api.start(make(), replace(options, pruner=optuna.pruners.NopPruner())).wait()
    assert "its sampler is tpe from here on, random before" in other.note
    assert "its pruner is NopPruner from here on, median before" in other.note


def test_a_fixed_parameter_that_no_trial_asks_for_is_named(options):
    handle = api.start(make(), replace(options, trials=2, fix={"z": 3})).wait()
    assert "no trial asked" not in handle.note
    assert (
        "no trial asked for z, only for x, y" in api.start(make(), replace(options, fix={"z": 4})).wait().note
    )
    assert "no trial asked" not in api.start(make(), replace(options, trials=20, fix={"x": 0.5})).wait().note


def test_more_adds_to_what_is_there(options):
    api.start(make(), options).wait()
    assert api.start(make(), replace(options, trials=None, more=5)).wait().snapshot().done == 15


def test_changed_code_begins_a_new_version_and_keeps_the_old_one(options):
    api.start(make(), options).wait()
    handle = api.start(make(fingerprint="2"), replace(options, trials=3)).wait()
    assert handle.name == "s@2"
    assert "s@1 is kept" in handle.note
    assert "cell changed" in handle.note
    assert api.load("s@1", options.storage).snapshot().done == 10
    assert api.load("s", options.storage).snapshot().done == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{nope}", "a variable that the notebook does not have"),
        ("churn_{fold}", "set it first"),
        ("churn;", "write 'churn'"),
    ],
)
def test_a_name_that_a_line_did_not_mean_is_refused(options, name, words):
    with pytest.raises(InvalidOptionError, match=words):
        api.start(make(), replace(options, name=name))


def test_a_version_that_changed_code_stops_is_named(options):
    gate = Gate()
    old = api.start(make(gate), options)
    assert gate.reached.wait(20)
    handle = api.start(make(fingerprint="2"), replace(options, trials=1))
    gate.opened.set()
    assert "s@1 was running and stops" in handle.note
    assert handle.wait().name == "s@2"
    old.wait()
    assert old.snapshot().state is StudyState.STOPPED
    assert old.snapshot().done == 1


def test_code_that_changes_back_finds_its_old_version(options):
    api.start(make(), replace(options, trials=2)).wait()
    api.start(make(fingerprint="2"), options).wait()
    assert api.start(make(), options).wait().name == "s@1"


def test_continue_goes_on_in_the_old_version(options):
    api.start(make(), replace(options, trials=2)).wait()
    handle = api.start(make(fingerprint="2"), replace(options, continue_old=True)).wait()
    assert handle.name == "s@1"
    assert handle.snapshot().done == 10
    assert handle.note.startswith("cell changed: resumed s@1")


def test_after_continue_the_version_is_that_of_the_new_code(options):
    api.start(make(), replace(options, trials=2)).wait()
    new = make(fingerprint="2")
    api.start(new, replace(options, trials=3, continue_old=True)).wait()
    with contextlib.closing(Reader(options.storage, "s")) as reader:
        assert [version.code for version in reader.versions()] == [new.code]  # what a new kernel goes on with
    handle = api.start(new, replace(options, trials=4)).wait()  # the cell again, without --continue
    assert (handle.name, handle.snapshot().done) == ("s@1", 4)


def test_more_trials_of_an_old_version_are_trials_of_that_version(options):
    api.start(make(), replace(options, trials=2)).wait()
    api.start(make(lambda trial: trial.suggest_float("x", 5, 6), fingerprint="2"), options).wait()
    assert api.load("s@1", options.storage).more(2).wait().name == "s@1"
    assert api.load("s@1", options.storage).snapshot().done == 4
    assert [t.value >= 5 for t in api.load("s@2", options.storage).study.trials] == [True] * 10


def test_an_old_version_goes_on_beside_the_new_one(options):
    gate = threading.Event()
    api.start(make(), replace(options, trials=2)).wait()
    new = api.start(make(lambda trial: float(gate.wait(60)), fingerprint="2"), options)
    assert api.load("s@1", options.storage).more(1).wait().snapshot().done == 3
    assert new.is_running
    gate.set()
    assert new.wait().snapshot().done == 10


def test_warm_start_tries_the_best_of_the_old_version_first(options):
    best = api.start(make(), options).wait().best_params
    handle = api.start(make(fingerprint="2"), replace(options, warm_start=2)).wait()
    assert handle.study.trials[0].params == best
    assert handle.snapshot().done == 10


@pytest.mark.parametrize("executor", ["thread", pytest.param("dask", marks=pytest.mark.slow)])
def test_what_a_changed_cell_no_longer_suggests_is_drawn_though_it_was_queued(options, executor, caplog):
    def old(trial):
        return trial.suggest_float("x", 0, 1) + len(trial.suggest_categorical("kind", ["a", "bb"]))

    def new(trial):
        return trial.suggest_float("x", 5, 6) + len(trial.suggest_categorical("kind", ["bb", "ccc"]))

    api.start(make(old), options).wait()
    changed = replace(options, warm_start=2, executor=executor)
    trials = api.start(make(new, "2"), changed).wait().study.trials
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert all(5 <= trial.params["x"] <= 6 for trial in trials)
    assert "trial 0: x=" in caplog.text
    assert "is not what the objective suggests: give a number from 5.0 to 6.0; it is drawn" in caplog.text
    assert "kind='a' is not what the objective suggests: give one of 'bb', 'ccc'; it is drawn" in caplog.text


def test_a_queued_choice_is_taken_for_the_one_that_reads_alike(options):
    def old(trial):
        return len(str(trial.suggest_categorical("kind", ["a", "1"])))

    def new(trial):
        return trial.suggest_categorical("kind", [1, 2])

    api.start(make(old), options).wait()
    trials = api.start(make(new, "2"), replace(options, warm_start=10)).wait().study.trials
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert sum(trial.params["kind"] == 1 for trial in trials) >= 2
    queued = [trial.system_attrs.get("fixed_params") for trial in trials]
    assert {"kind": "1"} in queued
    assert {"kind": 1} not in queued


def test_a_warm_start_that_was_cut_short_is_made_whole(options, monkeypatch):
    best = api.start(make(), options).wait().study.trials
    best = sorted(best, key=lambda trial: trial.value)[:3]
    create, calls = StudyStorage.create_new_trial, []

    def cut_short(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return create(*args, **kwargs)

    warm, changed = replace(options, warm_start=3, trials=4), make(fingerprint="2")
    monkeypatch.setattr(StudyStorage, "create_new_trial", cut_short)
    with pytest.raises(KeyboardInterrupt):
        api.start(changed, warm)
    monkeypatch.undo()
    own = {"x": 0.5, "y": 0.5}
    api.load("s@2", options.storage).enqueue(own)  # meanwhile: it is none of the three
    handle = api.start(changed, warm).wait()
    assert handle.name == "s@2"
    assert [t.params for t in handle.study.trials] == [best[0].params, own, best[1].params, best[2].params]


def test_other_directions_are_refused(options):
    api.start(make(), options).wait()
    asked = replace(options, directions=("maximize",), user_directions=True)
    with pytest.raises(DirectionMismatchError, match=r"s@1 is to minimize, not maximize: leave"):
        api.start(make(), asked)


def test_directions_that_are_not_named_stay_as_they_are(options):
    api.start(make(), replace(options, directions=("maximize",), user_directions=True, trials=2)).wait()
    assert api.start(make(), options).wait().snapshot().directions == ("maximize",)


def test_an_error_in_the_first_trial_stops_the_run_and_leaves_its_number_free(options):
    def broken(trial):
        trial.suggest_float("x", 0, 1)
        return 1 / 0

    handle = api.start(make(broken), options)
    with pytest.raises(ObjectiveError, match=r"trial 0 failed: ZeroDivisionError.*return 1 / 0"):
        handle.wait()
    assert handle.snapshot().state is StudyState.FAILED
    assert handle.snapshot().done == 0
    mended = api.start(make(fingerprint="2"), options).wait()
    assert mended.name == "s@1"  # code that never finished a trial gives way
    assert [t.number for t in mended.study.trials] == list(range(10))


def test_later_errors_mark_the_trial_and_three_in_a_row_stop_the_run(options):
    def sometimes(trial):
        if trial.number in {2, 5, 6, 7}:
            raise RuntimeError(f"no luck with {trial.number}")
        return square(trial)

    handle = api.start(make(sometimes), options)
    with pytest.raises(ObjectiveError, match=r"3 trials in a row failed.*no luck with 7"):
        handle.wait()
    states = [t.state.name for t in handle.study.trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert handle.snapshot().count(TrialOutcome.FAILED) == 4


@pytest.mark.parametrize("value", [None, float("nan"), "0.5", (1.0, 2.0)])
def test_a_value_that_is_no_score_stops_the_run_with_one_line(options, value):
    handle = api.start(make(lambda _: value), options)
    with pytest.raises(ObjectiveError) as caught:
        handle.wait()
    assert "\n" not in str(caught.value)


def test_fold_scores_are_kept_beside_their_mean(options):
    handle = api.start(make(lambda trial: [trial.suggest_float("x", 0, 1), 1.0]), options).wait()
    trial = handle.best_trial
    assert trial.value == (trial.params["x"] + 1.0) / 2
    assert trial.user_attrs["fold_scores"] == [trial.params["x"], 1.0]


def test_a_pruned_trial_counts_as_done(options):
    def pruned(trial):
        trial.report(square(trial), step=0)
        if trial.number % 2:
            raise optuna.TrialPruned
        return 1.0

    snapshot = api.start(make(pruned), options).wait().snapshot()
    assert snapshot.done == 10
    assert snapshot.count(TrialOutcome.PRUNED) == 5


def test_pause_holds_the_next_trial_back_until_resume(options):
    gate, begun = threading.Semaphore(0), []

    def gated(trial):
        begun.append(trial.number)
        gate.acquire()
        return square(trial)

    handle = api.start(make(gated), options)
    gate.release(3)
    until(lambda: handle.snapshot().done == 3 and len(begun) == 4, 10)
    handle.pause()
    gate.release(20)
    until(lambda: handle.snapshot().state is StudyState.PAUSED, 10)
    assert handle.snapshot().done == 4  # the one in flight ended
    handle.resume()
    assert handle.wait().snapshot().done == 10


def test_a_handle_that_does_not_own_the_study_steers_it_through_the_database(options, monkeypatch):
    handle = api.start(make(lambda trial: time.sleep(0.02) or square(trial)), replace(options, trials=1000))
    until(lambda: handle.snapshot().done >= 2, 10)
    with monkeypatch.context() as patch:
        patch.setattr(background, "find", lambda *_: None)
        handle.stop()
    assert handle.wait(timeout=5).snapshot().state is StudyState.STOPPED


def test_stop_ends_the_run_and_resume_goes_on(options):
    handle = api.start(make(lambda trial: time.sleep(0.01) or square(trial)), replace(options, trials=60))
    until(lambda: handle.snapshot().done >= 3, 10)
    handle.stop()
    handle.wait()
    stopped = handle.snapshot()
    assert stopped.state is StudyState.STOPPED
    assert stopped.done < 60
    assert handle.resume().wait().snapshot().done == 60


def test_a_timeout_ends_the_run(options):
    handle = api.start(make(), replace(options, trials=None, timeout=0.3)).wait(timeout=10)
    assert handle.snapshot().state is StudyState.STOPPED
    assert "timeout" in handle.snapshot().note


def test_a_grid_that_is_used_up_completes_the_study(options):
    sampler = optuna.samplers.GridSampler({"x": [-1.0, 0.0, 1.0], "y": [0.0, 1.0]})
    handle = api.start(make(), replace(options, trials=100, sampler=sampler)).wait()
    assert handle.snapshot().state is StudyState.COMPLETED
    assert sorted(map(tuple, (t.params.values() for t in handle.study.trials))) == sorted(
        (x, y) for x in (-1.0, 0.0, 1.0) for y in (0.0, 1.0)
    )


def test_several_jobs_share_the_work_and_lose_nothing(options):
    handle = api.start(
        make(lambda t: time.sleep(0.005) or square(t)), replace(options, trials=40, jobs=4)
    ).wait()
    assert [t.number for t in handle.study.trials] == list(range(40))


def test_a_pause_counts_once_however_many_jobs_wait(options):
    handle = api.start(make(lambda t: time.sleep(0.005) or square(t)), replace(options, trials=10**6, jobs=4))
    until(lambda: handle.snapshot().done, 10)
    began = time.monotonic()
    time.sleep(0.2)
    worked = time.monotonic() - began
    handle.pause()
    until(lambda: handle.snapshot().state is StudyState.PAUSED, 10)
    time.sleep(0.5)
    handle.resume()
    handle.stop()
    handle.wait()
    assert handle.snapshot().elapsed >= worked
    assert handle.runs.tuning_time[0] >= worked


def test_idle_jobs_hear_of_more_trials_while_others_are_in_flight(options):
    last, together = threading.Event(), threading.Barrier(3)

    def evaluate(trial):
        if trial.number == 3:
            assert last.wait(20)
        if trial.number > 3:
            together.wait(10)
        return square(trial)

    handle = api.start(make(evaluate), replace(options, trials=4, jobs=4))
    until(lambda: handle.snapshot().done == 3, 10)
    handle.more(6)
    until(lambda: handle.snapshot().done == 9, 10)  # three at a time
    last.set()
    assert handle.wait().snapshot().done == 10


def test_what_a_run_does_not_take_up_is_said_and_other_directions_are_refused(options):
    gate = threading.Event()
    gated = make(lambda trial: gate.wait(20) and square(trial))
    first = api.start(gated, options)
    asked = replace(options, sampler="random", jobs=4, fix={"x": 0.5})
    note = "--sampler, --jobs, --fix count from the next run on: %tune stop it and run the cell again"
    assert note in api.start(gated, asked).note
    assert (
        "--durability counts from the next run" in api.start(gated, replace(options, durability="end")).note
    )
    with pytest.raises(DirectionMismatchError, match="s@1 is to minimize, not maximize"):
        api.start(gated, replace(options, directions=("maximize",), user_directions=True))
    gate.set()
    assert first.wait().snapshot().done == 10


@pytest.mark.parametrize("n", [0, 2.5, "5", None, True])
def test_a_number_of_trials_to_add_is_a_whole_one(options, n):
    handle = api.start(make(), options).wait()
    with pytest.raises(InvalidOptionError, match="give the number of trials to add"):
        handle.more(n)


def test_the_same_cell_run_twice_at_once_is_one_run(options):
    slow = make(lambda trial: time.sleep(0.02) or square(trial))
    first = api.start(slow, options)
    second = api.start(slow, options)
    assert "running already" in second.note
    assert "from the next run" not in second.note
    second.wait()
    assert first.snapshot().done == 10
    assert len(first.runs) == 1


def test_a_cell_that_changes_while_it_runs_begins_its_new_version_at_once(options):
    in_flight, go_on = threading.Event(), threading.Event()
    slow = make(lambda trial: in_flight.set() or (go_on.wait(30) and square(trial)))
    first = api.start(slow, options)
    assert in_flight.wait(10)
    began = time.monotonic()
    second = api.start(make(fingerprint="2"), options)
    assert time.monotonic() - began < 10  # the trial in flight would take 30
    go_on.set()
    assert second.wait().name == "s@2"
    assert first.wait().snapshot().state is StudyState.STOPPED


def test_what_a_trial_prints_is_kept_with_the_trial(options, tmp_path, capsys):
    capture.install()
    try:
        api.start(make(lambda trial: print("hello from", trial.number) or square(trial)), options).wait()
    finally:
        capture.uninstall()
    connection = sqlite3.connect(tmp_path / "s.db")
    logs = [text for (text,) in connection.execute("SELECT text FROM trial_logs ORDER BY trial_id")]
    connection.close()
    assert logs == [f"hello from {i}\n" for i in range(10)]
    assert capsys.readouterr().out == ""


def test_each_execution_is_one_tuning_run_and_a_resume_is_its_child(options):
    api.start(make(), replace(options, trials=4, notes="first", tags=("a", "b"))).wait()
    runs = api.start(make(), options).wait().runs
    assert list(runs["status"]) == ["completed", "completed"]
    assert list(runs["n_iterations"]) == [6, 4]
    assert runs["parent_tuning_run_id"][0] == runs["id"][1]
    assert runs["user_notes"][1] == "first"
    assert runs["tags"][1] == ["a", "b"]
    assert runs["tuning_method"][0] == "bayesian"
    results = runs["results"][0]
    assert results["best_score"] == min(entry["mean_score"] for entry in results["all_results"])
    assert results["total_combinations"] == 10
    assert [entry["rank"] for entry in results["all_results"]] == list(range(1, 11))


def test_a_failed_run_keeps_its_error_and_the_best_so_far(options):
    def breaks(trial):
        if trial.number > 2:
            raise KeyError("lost")
        return square(trial)

    with pytest.raises(ObjectiveError):
        api.start(make(breaks), options).wait()
    run = api.load("s", options.storage).runs.iloc[0]
    assert run["status"] == "failed"
    assert run["results"]["error_type"] == "KeyError"
    assert len(run["results"]["all_results"]) == 3


def test_a_plain_optuna_study_is_continued_under_its_own_name(options):
    study = optuna.create_study(study_name="s", storage=options.storage)
    study.optimize(square, n_trials=4)
    study._storage.remove_session()
    handle = api.start(make(), options).wait()
    assert handle.name == "s"
    assert handle.snapshot().done == 10
    changed = api.start(make(fingerprint="2"), options)
    assert changed.wait().name == "s@2"
    assert changed.note.endswith("s is kept as it is, and --continue goes on in it")


def test_the_list_says_when_a_study_was_made_and_in_which_zone(options):
    optuna.create_study(study_name="plain", storage=options.storage)
    assert api.list_studies(options.storage)["created_at"].isna().all()
    before = datetime.now(UTC).replace(microsecond=0)
    api.start(make(), replace(options, trials=2)).wait()
    assert before <= api.list_studies(options.storage)["created_at"].max() <= datetime.now(UTC)


def test_a_deleted_study_is_gone_with_its_versions_and_runs(options):
    api.start(make(), replace(options, trials=2)).wait()
    api.start(make(fingerprint="2"), replace(options, trials=2)).wait()
    api.delete("s", options.storage)
    assert list(api.list_studies(options.storage)["name"]) == []
    with pytest.raises(StudyNotFoundError):
        api.load("s", options.storage)


def test_a_study_that_runs_cannot_be_deleted(options):
    handle = api.start(make(lambda t: time.sleep(0.05) or square(t)), options)
    with pytest.raises(LockedStudyError, match="stop"):
        api.delete("s", options.storage)
    handle.stop()
    handle.wait()


@pytest.mark.parametrize("name", ["", "  ", "s@3"])
def test_a_name_that_cannot_be_a_study_is_refused(options, name):
    with pytest.raises(InvalidOptionError):
        api.start(make(), replace(options, name=name))


@pytest.mark.parametrize("sampler", ["brute", "given"])
def test_a_finished_grid_adds_nothing_when_it_is_run_again(options, sampler):
    grid = optuna.samplers.GridSampler({"a": [0, 1], "b": [0, 1]})
    options = replace(options, trials=30, sampler=grid if sampler == "given" else "brute")
    pair = make(lambda trial: trial.suggest_int("a", 0, 1) + trial.suggest_int("b", 0, 1))
    for _ in range(3):
        handle = api.start(pair, options).wait()
        assert handle.snapshot().done == 4
    assert "every combination has been tried" in handle.note


def test_brute_force_goes_on_where_another_value_is_fixed(options):
    options = replace(options, trials=30, sampler="brute")
    pair = make(lambda trial: trial.suggest_int("a", 0, 1) + trial.suggest_int("b", 0, 1))
    for fix, done in (
        ({"a": 0}, 2),
        (None, 2),
        ({"b": 1}, 3),
        ({"a": 0}, 3),
        ({}, 4),
        ({"a": 1}, 4),
        ({}, 4),
    ):
        assert api.start(pair, replace(options, fix=fix)).wait().snapshot().done == done


@pytest.mark.parametrize("verb", ["stop", "pause"])
def test_a_verb_that_nobody_hears_does_not_hit_the_next_run(options, verb):
    handle = api.start(make(), replace(options, trials=3)).wait()
    assert getattr(handle, verb)() is False
    assert (
        api.start(make(lambda trial: time.sleep(0.06) or square(trial)), options).wait().snapshot().done == 10
    )


def test_a_bare_name_is_the_version_that_ran_last(options):
    api.start(make(), replace(options, trials=2)).wait()
    api.start(make(fingerprint="2"), replace(options, trials=2)).wait()
    assert api.load("s", options.storage).name == "s@2"
    api.start(make(), options).wait()
    assert api.load("s", options.storage).name == "s@1"
    assert api.start(make(fingerprint="3"), options).wait().name == "s@3"


def test_a_study_without_its_version_does_not_block_the_name(options):
    study = optuna.create_study(study_name="s@1", storage=options.storage)
    study._storage.remove_session()
    assert api.start(make(), options).wait().name == "s@2"


def test_a_study_means_its_newest_run_that_had_trials_to_do(options):
    first = api.start(make(), options).wait().runs["id"][0]
    api.start(make(), options).wait()  # adds nothing
    with contextlib.closing(read_records(options.storage)) as records:
        assert questions.run_ids(records, ["s", "s@1"]) == [first, first]
