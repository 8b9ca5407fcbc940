"""What the views read of a study: right, little, and nothing that they do not show."""

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta

import optuna
import pytest

from optuna_nb.errors import FileGoneError, StorageError, StudyNotFoundError
from optuna_nb.records import Objective, StudyState, TrialOutcome, TrialView, TuneOptions
from optuna_nb.storage import views
from optuna_nb.storage.reader import Reader, rate
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import api
from optuna_nb.tuning.observer import trial_event


def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.suggest_int("n", 1, 9)
    trial.suggest_categorical("kind", ["a", None, 3])
    if trial.number % 2:
        trial.suggest_float("sometimes", 1e-3, 1, log=True)
    print("at", x)
    for step in range(300):
        trial.report(x + step, step)
        if trial.number == 3 and step == 7:
            raise optuna.TrialPruned
    return x


def tuned(tmp_path, trials=12, function=objective, **flags):
    url = f"sqlite:///{tmp_path / 'study.db'}"
    options = TuneOptions(name="seen", storage=url, trials=trials, sampler="random", seed=1, **flags)
    return api.start(Objective(function, "code", {"cell": "a"}), options).wait()


def test_trials_are_what_optuna_reads(tmp_path):
    handle = tuned(tmp_path)
    snapshot = handle.snapshot()
    for view, trial in zip(snapshot.trials, handle.study.trials, strict=True):
        assert view.number == trial.number
        assert dict(view.params) == trial.params
        assert list(view.values) == (trial.values or [])
        assert view.completed.astimezone().replace(tzinfo=None) == trial.datetime_complete
    assert snapshot.trials[3].outcome is TrialOutcome.PRUNED
    assert snapshot.trials[3].last_step == 7
    assert snapshot.trials[4].last_step is None


@pytest.mark.parametrize("plain", [False, True])
def test_a_reader_of_a_deleted_study_says_so_even_where_another_has_its_id(tmp_path, plain):
    if plain:
        url = f"sqlite:///{tmp_path / 'study.db'}"
        optuna.create_study(study_name="seen", storage=url).optimize(objective, n_trials=2)
    else:
        url = tuned(tmp_path).storage
    with contextlib.closing(Reader(url, "seen")) as reader:
        assert reader.snapshot().done == (2 if plain else 12)
        api.delete("seen", url)
        with pytest.raises(StudyNotFoundError, match="was deleted"):
            reader.poll()
        tuned(tmp_path, trials=1)
        with pytest.raises(StudyNotFoundError, match="was deleted"):
            reader.poll()
    assert api.load("seen", url).snapshot().done == 1


def test_a_long_study_reads_its_parameters_when_they_are_asked_for(tmp_path, monkeypatch):
    handle = tuned(tmp_path)
    monkeypatch.setattr(views, "LONG", 5)
    monkeypatch.setattr(views, "_FEW", 2)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        trials = reader.snapshot().trials
        assert not trials[0].params.is_read
        assert dict(trials[1].params) == handle.study.trials[1].params
        assert not trials[0].params.is_read  # one was asked for, one was read
    assert [dict(t.params) for t in trials] == [t.params for t in handle.study.trials]
    assert trials[0].params.is_read


LOGS = {"x": False, "n": False, "kind": False, "sometimes": True}


@pytest.mark.parametrize("plain", [False, True])
def test_a_snapshot_says_which_parameters_are_drawn_from_a_logarithmic_scale(tmp_path, plain):
    if plain:
        url = f"sqlite:///{tmp_path / 'study.db'}"
        study = optuna.create_study(study_name="seen", storage=url)
        study.optimize(objective, n_trials=1)
    else:
        url = tuned(tmp_path, trials=1).storage
    with contextlib.closing(Reader(url, "seen")) as reader:
        first = reader.snapshot().log_params
        assert first == {name: log for name, log in LOGS.items() if name != "sometimes"}
        if plain:
            study.optimize(objective, n_trials=1)
        else:
            tuned(tmp_path, trials=2)
        assert reader.snapshot().log_params == LOGS


def test_a_long_study_says_which_parameters_are_logarithmic_once_they_are_read(tmp_path, monkeypatch):
    handle = tuned(tmp_path)
    monkeypatch.setattr(views, "LONG", 5)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        snapshot = reader.snapshot()
        assert dict(snapshot.trials[1].params)
        assert snapshot.log_params == LOGS


def test_curves_keep_their_ends_and_are_thin(tmp_path):
    handle = tuned(tmp_path)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        assert reader.numbers_with_steps()[:3] == [11, 10, 9]
        whole, pruned = reader.curves([0, 3])
        assert reader.curves([99]) == []
        assert reader.log(0).startswith("at 0.")
        assert reader.numbers_with_log()[0] == 11
        assert reader.log(99) is None
    assert len(whole.points) <= 160
    assert [whole.points[0][0], whole.points[-1][0]] == [0, 299]
    assert [step for step, _ in pruned.points] == list(range(8))
    assert pruned.outcome is TrialOutcome.PRUNED


def test_versions_and_runs_tell_the_study_s_story(tmp_path):
    tuned(tmp_path, 4)
    handle = tuned(tmp_path, 6)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        [version] = reader.versions()
        first, second = reader.runs()
    assert (version.name, version.code) == ("seen@1", "code")
    assert (first.trials, first.parent, second.trials, second.parent) == (4, None, 2, 1)
    assert second.flags["trials"] == 6


def test_a_timeout_limits_the_time_to_go(tmp_path):
    def slow(trial):
        time.sleep(0.05)
        return trial.suggest_float("x", 0, 1)

    url = f"sqlite:///{tmp_path / 'study.db'}"
    options = TuneOptions(name="seen", storage=url, trials=10_000, timeout=60, sampler="random", jobs=2)
    handle = api.start(Objective(slow, "code", {"cell": "a"}), options)
    time.sleep(0.6)
    snapshot = handle.snapshot()
    handle.stop_now()
    handle.wait()
    assert snapshot.owner == ""
    assert 50 < snapshot.eta < 60
    assert handle.snapshot().eta is None


def test_a_file_that_is_gone_is_noticed_although_it_could_still_be_read(tmp_path):
    handle = tuned(tmp_path)
    path = tmp_path / "study.db"
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        reader.snapshot()
        path.rename(tmp_path / "moved.db")
        with pytest.raises(FileGoneError, match="is gone"):
            reader.poll()
        (tmp_path / "moved.db").rename(path)
        assert reader.snapshot().done == 12
        os.replace(path, tmp_path / "moved.db")  # noqa: PTH105 - as mv does
        sqlite3.connect(path).close()
        path.write_bytes(b"")
        with pytest.raises(FileGoneError, match="another file"):
            reader.poll()


def test_an_idle_look_costs_next_to_nothing(tmp_path):
    handle = tuned(tmp_path)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        reader.snapshot()
        begin = time.thread_time()
        assert not any(reader.poll() for _ in range(100))
        assert (time.thread_time() - begin) / 100 < 0.001


def test_a_study_of_plain_optuna_is_read_anew_without_doubling_it(tmp_path):
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    study = optuna.create_study(storage=url, study_name="plain", sampler=optuna.samplers.RandomSampler(1))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    with contextlib.closing(Reader(url, "plain")) as reader:
        assert reader.snapshot().done == 3
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        again = reader.snapshot()
        assert (again.done, again.count(TrialOutcome.COMPLETE), again.state) == (5, 5, StudyState.NEW)
        assert reader.versions() == reader.runs() == reader.numbers_with_log() == []
    study._storage.remove_session()


def test_events_tell_what_happened_in_each_run(tmp_path):
    tuned(tmp_path)
    handle = tuned(tmp_path, 14)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        events = reader.events()
        runs = reader.runs()
    assert set(events) == {run.index for run in runs}
    assert events[1].counts["pruned"] == 1
    (pruned,) = [event for event in events[1].events if event.kind == "pruned"]
    assert pruned.payload == {"trial": 3}
    assert events[1].events[0].kind == "started"
    assert runs[0].started <= pruned.time <= runs[0].completed


def add_events(handle, count, kind="pruned", payload='{"trial": 1}'):
    with contextlib.closing(sqlite3.connect(handle.storage.removeprefix("sqlite:///"))) as db, db:
        (run_id,) = db.execute("SELECT id FROM tuning_runs ORDER BY created_at DESC").fetchone()
        db.executemany(
            "INSERT INTO run_events (tuning_run_id, time, kind, payload) VALUES (?, ?, ?, ?)",
            (
                (run_id, f"2999-01-01 00:{i // 60 % 60:02d}:{i % 60:02d}.000000", kind, payload)
                for i in range(count)
            ),
        )


def test_of_a_hundred_thousand_events_some_hundreds_are_kept_and_all_are_counted(tmp_path):
    handle = tuned(tmp_path, 4)
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        add_events(handle, 100_000)
        add_events(handle, 3, "exchange")
        begin = time.thread_time()
        first = reader.events()[1]
        assert time.thread_time() - begin < 1
        begin = time.thread_time()
        again = reader.events()[1]
        assert time.thread_time() - begin < 0.05  # what has been counted is not counted again
    assert first == again
    assert first.counts["pruned"] == 100_001
    assert len(first.events) <= 400
    assert [e.kind for e in first.events].count("exchange") == 3
    kept = [e.time for e in first.events if e.kind == "pruned"]
    assert len(kept) > 60
    assert kept == sorted(kept)


def test_a_run_in_progress_shows_its_new_events(tmp_path):
    url, seen, readers = f"sqlite:///{tmp_path / 'study.db'}", [], []

    def watched(trial):
        trial_event("swap", at=trial.number)
        readers.extend([] if readers else [Reader(url, "seen")])
        deadline = time.monotonic() + 5
        while readers[0].events()[1].counts.get("swap", 0) <= trial.number and time.monotonic() < deadline:
            time.sleep(0.02)
        seen.append(readers[0].events()[1].counts.get("swap", 0))
        return trial.suggest_float("x", 0, 1)

    tuned(tmp_path, 3, watched)
    readers[0].close()
    assert seen == [1, 2, 3]


def test_very_many_kinds_are_counted_without_being_told_apart(tmp_path):
    handle = tuned(tmp_path, 4)
    for n in range(30):
        add_events(handle, 2, f"kind {n}")
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        counts = reader.events()[1].counts
    assert len(counts) <= 17
    assert sum(counts.values()) >= 60
    assert counts["other"] > 20


def test_a_long_payload_and_one_that_is_no_dict_are_passed_over(tmp_path):
    handle = tuned(tmp_path, 4)
    add_events(handle, 1, "long", '{"a": "' + "x" * 9000 + '"}')
    add_events(handle, 1, "list", "[1, 2]")
    add_events(handle, 1, "not a number", '{"a": "NaN"}')
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        said = {e.kind: e.payload for e in reader.events()[1].events}
    assert said["long"] == said["list"] == {}
    assert said["not a number"]["a"] != said["not a number"]["a"]


def test_a_best_score_that_is_not_a_number_is_none(tmp_path):
    handle = tuned(tmp_path, 4)
    with contextlib.closing(sqlite3.connect(handle.storage.removeprefix("sqlite:///"))) as db, db:
        new = "lower(hex(randomblob(16))), model_run_id, tuning_method, '2999-01-01 00:00:00', study_name"
        db.execute(
            "INSERT INTO tuning_runs (id, model_run_id, tuning_method, created_at, study_name)"
            f" SELECT {new} FROM tuning_runs"
        )
        db.execute(
            "UPDATE tuning_runs SET status = 'completed', results = '{\"best_score\": \"NaN\"}'"
            " WHERE status = 'running'"
        )
    with contextlib.closing(Reader(handle.storage, "seen")) as reader:
        first, second = reader.runs()
    assert isinstance(first.best, float)
    assert second.best is None


def test_a_missing_database_beside_a_journal_names_the_way_in(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n")
    (tmp_path / "b.json").write_text('{"no": "journal"}\n')
    (tmp_path / "journal.log").write_text('{"op_code": 0, "worker_id": "w", "study_name": "s"}\n')
    with pytest.raises(StorageError, match=r"%tune import .*journal\.log"):
        Reader(f"sqlite:///{tmp_path / 'optuna_nb.db'}", "seen")


def test_a_missing_database_alone_says_what_to_run(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StorageError, match="run a %%tune cell first"):
            Reader(f"sqlite:///{folder / 'optuna_nb.db'}", "seen")


@pytest.mark.parametrize("in_the_way", [False, True], ids=["idle", "that reads just then"])
def test_the_file_alone_is_whole_when_a_run_ends_beside_an_open_view(tmp_path, in_the_way):
    tuned(tmp_path, trials=3)
    path, copy = tmp_path / "study.db", tmp_path / "copy.db"
    with contextlib.closing(Reader(f"sqlite:///{path}", "seen")) as reader:
        reader.snapshot()
        with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as other:
            if in_the_way:
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM trials").fetchone()
                late = threading.Timer(0.05, other.rollback)
                database = StudyStorage(f"sqlite:///{path}")
                study = optuna.load_study(study_name="seen@1", storage=database)
                study.optimize(objective, n_trials=9)
                late.start()
                database.close()
                late.join()
            else:
                tuned(tmp_path)
        assert (tmp_path / "study.db-wal").stat().st_size
        shutil.copy(path, copy)
        assert len(reader.snapshot().trials) == 12
    with contextlib.closing(Reader(f"sqlite:///{copy}", "seen")) as reader:
        snapshot = reader.snapshot()
    assert [trial.number for trial in snapshot.trials] == list(range(12))
    assert not snapshot.state.is_active


def trials_at(*spans):
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        TrialView(n, TrialOutcome.COMPLETE, (0.0,), {}, *(begin + timedelta(seconds=at) for at in span))
        for n, span in enumerate(spans)
    ]


def test_the_rate_leaves_out_the_time_in_which_no_trial_was_in_flight():
    steady = trials_at(*((2 * n, 2 * n + 2) for n in range(10)))
    assert rate(steady) == pytest.approx(0.5)
    paused = trials_at(*((2 * n + 3600 * (n > 5), 2 * n + 2 + 3600 * (n > 5)) for n in range(10)))
    assert rate(paused) == pytest.approx(0.5, rel=0.01)


def test_the_rate_of_several_jobs_is_that_of_all_and_one_long_trial_is_no_pause():
    two = [(2 * (n // 2), 2 * (n // 2) + 2) for n in range(12)]
    paused = [(a + 600 * (a > 5), b + 600 * (a > 5)) for a, b in two]
    assert rate(trials_at(*two)) == pytest.approx(1.1)
    assert rate(trials_at(*paused)) == pytest.approx(1.1, rel=0.02)
    assert rate(trials_at((0, 1), (1, 61), (61, 62))) == pytest.approx(2 / 61)


@pytest.mark.parametrize("spans", [[], [(0, 1)], [(0, 0), (0, 0)]])
def test_there_is_no_rate_before_time_has_passed(spans):
    assert rate(trials_at(*spans)) is None
