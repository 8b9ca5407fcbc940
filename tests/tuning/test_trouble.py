"""A database that cannot be used gets one line that names the fix; nothing starts and nothing is lost."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from harness.waiting import until
from optuna_nb.errors import ObjectiveError, StorageError
from optuna_nb.records import Objective, StudyState, TuneOptions
from optuna_nb.storage import database, ledger, paths
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.server import identity
from optuna_nb.tuning import api, background

OBJECTIVE = Objective(lambda trial: trial.suggest_float("x", 0, 1), "x", {"cell": "1"})


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=5, seed=1)


def refusal(options):
    with pytest.raises(StorageError) as caught:
        api.start(OBJECTIVE, options)
    assert "\n" not in str(caught.value)
    assert not background.running(paths.sqlite_path(options.storage))
    return str(caught.value)


def test_a_folder_that_does_not_exist(options, tmp_path):
    message = refusal(TuneOptions(name="s", storage=f"sqlite:///{tmp_path}/none/s.db"))
    assert "none does not exist: create it" in message


def test_a_file_that_is_no_database(options, tmp_path):
    (tmp_path / "s.db").write_text("id,value\n1,2\n" * 100)
    assert "is not an SQLite database" in refusal(options)


def test_a_database_that_another_program_has_locked(options, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    api.start(OBJECTIVE, options).wait()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "locked by another program" in refusal(options)
    other.close()
    assert api.start(OBJECTIVE, options).wait().snapshot().done == 5


def test_a_database_of_a_newer_optuna_nb(options, tmp_path):
    api.start(OBJECTIVE, options).wait()
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("INSERT INTO optuna_nb_migrations VALUES ('from_the_future', '2100-01-01')")
    other.commit()
    other.close()
    assert "made by a newer optuna_nb (from_the_future): update optuna_nb" in refusal(options)


def test_a_database_of_a_newer_optuna(options, tmp_path):
    api.start(OBJECTIVE, options).wait()
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    other.commit()
    other.close()
    assert "update Optuna" in refusal(options)


@pytest.fixture
def open_folder():
    """A folder that every user may enter; pytest closes those of its own whenever it starts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def test_a_database_that_may_not_be_written(options, open_folder):
    closed = open_folder / "closed"
    closed.mkdir()
    options = replace(options, storage=f"sqlite:///{closed / 's.db'}")
    api.start(OBJECTIVE, options).wait()
    background.shut_down_all()
    script = textwrap.dedent(
        f"""
        import os, sys
        from optuna_nb.errors import StorageError
        from optuna_nb.records import Objective, TuneOptions
        from optuna_nb.tuning import api

        def start(url):
            objective = Objective(lambda trial: 1.0, "", {{"cell": "1"}})
            return api.start(objective, TuneOptions(name="s", storage=url))

        start("sqlite:///{open_folder}/other.db").wait()  # imports all that is needed
        if os.geteuid() == 0:  # nothing is read-only for root
            os.setuid(65534)
        try:
            start({options.storage!r})
        except StorageError as error:
            print(error)
        """
    )
    for entry in closed.iterdir():
        entry.chmod(0o444)
    closed.chmod(0o555)
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    closed.chmod(0o755)
    assert "cannot be written: allow writing" in out.stdout, out.stderr
    assert len(out.stdout.strip().splitlines()) == 1


def test_a_full_disk_costs_time_and_no_trial(options, monkeypatch, caplog):
    monkeypatch.setattr(ledger, "RETRY_SECONDS", 0.05)
    files = []
    open_file = database.Database.__init__

    def remember(self, *arguments):
        files.append(self)
        open_file(self, *arguments)

    monkeypatch.setattr(database.Database, "__init__", remember)

    def objective(trial):
        if trial.number == 2:
            file = files[0]
            (pages,) = file.connection.execute("PRAGMA page_count").fetchone()
            file.connection.execute(f"PRAGMA max_page_count = {pages}")
            trial.set_user_attr("big", "x" * 100_000)
        return trial.suggest_float("x", 0, 1)

    handle = api.start(Objective(objective, "x", {"cell": "1"}), options)
    end = time.monotonic() + 10
    while "kept in memory" not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert handle.snapshot().done == 2  # the next trial waits for this one
    files[0].connection.execute("PRAGMA max_page_count = 1000000")
    handle.wait(timeout=20)
    assert handle.snapshot().state is StudyState.COMPLETED
    assert [t.number for t in handle.study.trials] == list(range(5))
    assert "disk" in caplog.text
    assert caplog.text.count("kept in memory") == 1
    assert "big" in handle.study.trials[2].user_attrs


def test_a_finished_study_is_read_where_nothing_may_be_written(open_folder):
    closed = open_folder / "closed"
    closed.mkdir()
    url = f"sqlite:///{closed / 's.db'}"
    write = f"""
import optuna_nb
optuna_nb.tune(lambda trial: trial.suggest_float("x", 0, 1), name="s", trials=3, storage={url!r}).wait()
"""
    read = f"""
import os, optuna_nb
other = "sqlite:///{open_folder}/other.db"  # imports all that is needed
optuna_nb.tune(lambda trial: 1.0, name="other", trials=1, storage=other).wait().study
optuna_nb.runs(storage=other)
if os.geteuid() == 0:  # nothing is read-only for root
    os.setuid(65534)
handle = optuna_nb.load("s", {url!r})
print(handle.best_value >= 0, handle.snapshot().done, len(optuna_nb.runs(storage={url!r})))
"""
    subprocess.run([sys.executable, "-c", write], check=True)
    for log in closed.glob("s.db-*"):  # as when the file alone is put there
        log.unlink()
    (closed / "s.db").chmod(0o444)
    closed.chmod(0o555)
    out = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)
    closed.chmod(0o755)
    assert out.stdout.strip().endswith("True 3 1"), out.stderr


def test_the_best_of_a_study_is_told_where_its_file_may_not_be_written(open_folder):
    closed = open_folder / "closed"
    closed.mkdir()
    url = f"sqlite:///{closed / 's.db'}"
    plain = optuna.create_study(study_name="s", storage=url)  # without our tables, which cannot be made then
    plain.set_user_attr("who", "me")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), 5)
    plain._storage.remove_session()
    expected = [plain.best_params, plain.best_value, 5, {"who": "me"}]
    script = f"""
import os, optuna_nb
optuna_nb.tune(lambda trial: 1.0, name="other", trials=1, storage="sqlite:///{open_folder}/other.db").wait().study
handle = optuna_nb.load("s", {url!r})
if os.geteuid() == 0:  # nothing is read-only for root
    os.setuid(65534)
study = handle.study
print([handle.best_params, handle.best_value, len(study.trials), study.user_attrs])
"""
    (closed / "s.db").chmod(0o444)
    closed.chmod(0o555)
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    closed.chmod(0o755)
    assert out.stdout.strip().endswith(repr(expected)), out.stderr
    assert out.stderr.count("so .study is a copy; what is changed in it is not kept") == 1


@pytest.mark.parametrize("durability", ["trial", "pooled", "end"])
@pytest.mark.parametrize("jobs", [1, 3])
def test_an_error_whose_text_no_database_takes_fails_its_trial_alone(options, durability, jobs):
    class UnspeakableError(Exception):
        def __str__(self):
            raise RuntimeError

    def sometimes(trial):
        if trial.number == 3:
            raise ValueError("cannot read img_\udcff.png")
        if trial.number == 5:
            raise UnspeakableError
        return trial.suggest_float("x", 0, 1)

    options = replace(options, trials=8, durability=durability, jobs=jobs)
    handle = api.start(Objective(sometimes, "x", {"cell": "1"}), options).wait()
    failed = [t.number for t in handle.study.trials if t.state.name == "FAIL"]
    assert (handle.snapshot().done, failed) == (8, [3, 5])


@pytest.mark.parametrize(
    "error", [ValueError("cannot read img_\udcff.png"), ValueError("fits failed\nbecause")]
)
def test_the_log_of_a_first_trial_that_fails_is_with_the_run(options, error):
    def broken(trial):
        print("looked at", trial.number)
        raise error

    handle = api.start(Objective(broken, "x", {"cell": "1"}), options)
    with pytest.raises(ObjectiveError) as caught:
        handle.wait()
    assert ("the Log tab has all of it" in str(caught.value)) == ("\n" in str(error))
    (run,) = Reader(options.storage, "s@1").runs()
    first, *_, last = run.log.strip().splitlines()
    assert (first, "ValueError" in run.log, "raise error" in run.log) == ("looked at 0", True, True)
    assert last.endswith(("img_\\udcff.png", "because"))


def test_what_can_never_be_written_does_not_keep_its_study_for_ever(options, monkeypatch):
    def cannot(*_):
        raise ValueError("no file takes this")

    monkeypatch.setattr(ledger.Ledger, "flush", cannot)
    handle = api.start(OBJECTIVE, replace(options, durability="end"))
    with pytest.raises(ValueError, match="no file takes this"):
        handle.wait()
    monkeypatch.undo()
    assert api.start(OBJECTIVE, replace(options, trials=7)).wait().snapshot().done == 7


def test_a_run_that_loses_its_study_in_mid_trial_says_to_whom(options, tmp_path):
    taken = threading.Event()

    def slow(trial):
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            other.execute("UPDATE study_status SET token = token + 1")
        assert taken.wait(20)
        return trial.suggest_float("x", 0, 1)

    handle = api.start(Objective(slow, "x", {"cell": "1"}), options)
    run = background.find(identity(options.storage), "s@1")
    until(lambda: run.control.is_stopping, 20)
    taken.set()
    with pytest.raises(ObjectiveError, match="another kernel owns this study now"):
        handle.wait()


def test_a_lock_is_waited_for_in_mid_trial_where_there_is_no_write_ahead_log(options, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(
        database, "use_log", lambda connection, *_: str(connection.execute("PRAGMA journal_mode=DELETE"))
    )
    locked = threading.Event()

    def slow(trial):
        if trial.number == 1:
            assert locked.wait(20)
        return trial.suggest_float("x", 0, 1)

    handle = api.start(Objective(slow, "x", {"cell": "1"}), replace(options, trials=3))
    until(lambda: handle.snapshot().live, 20)  # from here on the keeper only reads
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(1.0)  # several looks of the keeper
        locked.set()
        time.sleep(0.5)
        other.execute("ROLLBACK")
    assert handle.wait().snapshot().state is StudyState.COMPLETED
