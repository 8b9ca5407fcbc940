"""A full disk or an I/O error costs time and no result: one message, and the write is tried again."""

import sqlite3
import threading

import optuna
import pytest

from harness import stored, straced
from harness.campaign import LIVE
from harness.lives import NAME
from optuna_nb.errors import StorageTroubleError
from optuna_nb.storage import database, ledger

needs_strace = pytest.mark.skipif(straced.WHY_NOT is not None, reason=straced.WHY_NOT or "")
TROUBLE = "harness.trouble:tune_through_trouble"


@pytest.fixture
def told(monkeypatch):
    """What the user is told, with quick retries."""
    monkeypatch.setattr(ledger, "RETRY_SECONDS", 0.01)
    return []


def study_that_tells(storage, told):
    study = optuna.create_study(storage=storage, study_name="s", sampler=optuna.samplers.RandomSampler(1))
    storage.acquire(study._study_id).on_trouble = told.append
    return study


def big_trial(study):
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("log", "x" * 60_000)
    return trial


def values_in(path):
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT number, value FROM trials JOIN trial_values USING (trial_id) ORDER BY number"
    )
    values = rows.fetchall()
    connection.close()
    return values


def test_a_full_disk_is_told_once_and_costs_no_result(storage, path, told):
    study = study_that_tells(storage, told)
    connection = storage.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    freed = threading.Timer(0.3, lambda: connection.execute("PRAGMA max_page_count = 100000"))
    freed.start()
    for number in range(6):
        study.tell(big_trial(study), number)
    freed.join()
    assert [error and type(error) for error in told] == [StorageTroubleError, None]
    assert "full: free some space" in str(told[0])
    assert "\n" not in str(told[0])
    storage.close()
    assert values_in(path) == [(number, number) for number in range(6)]


def test_a_result_that_is_never_written_is_in_memory_and_no_later_one_overtakes_it(storage, path, told):
    study = study_that_tells(storage, told)
    held = storage.acquire(study._study_id)
    connection = storage.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    trial = big_trial(study)
    stop = threading.Timer(0.1, held.give_up.set)
    stop.start()
    with pytest.raises(StorageTroubleError, match="free some space"):
        study.tell(trial, 1.0)
    assert [t.values for t in study.trials] == [[1.0]]
    assert values_in(path) == []
    connection.execute("PRAGMA max_page_count = 100000")
    held.give_up.clear()
    study.tell(big_trial(study), 2.0)
    storage.close()
    assert values_in(path) == [(0, 1.0), (1, 2.0)]


def test_a_file_that_another_program_locks_is_waited_for(storage, path, told, monkeypatch):
    storage.database.connection.execute("PRAGMA busy_timeout = 20")
    study = study_that_tells(storage, told)
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    freed = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    freed.start()
    study.tell(study.ask(), 1.0)
    freed.join()
    other.close()
    assert [error and str(error).split(": ")[0].split(" ", 1)[1] for error in told] == [
        "is locked by another program",
        None,
    ]
    assert values_in(path) == [(0, 1.0)]


def test_a_checkpoint_that_fails_does_not_make_a_committed_trial_be_written_again(
    storage, path, told, monkeypatch
):
    monkeypatch.setattr(database, "PAGES_BEFORE_CHECKPOINT", 4)  # a checkpoint with every commit
    study = study_that_tells(storage, told)
    connect = database.connect

    def fail(*args, **kwargs):
        raise StorageTroubleError("too many open files")

    monkeypatch.setattr(database, "connect", fail)
    for number in range(3):
        study.tell(study.ask(), number)
    monkeypatch.setattr(database, "connect", connect)
    assert told == []
    assert values_in(path) == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_a_study_goes_on_when_a_file_size_limit_is_lifted(nursery, path):
    said = nursery.run("harness.trouble:outgrow_the_file_size_limit", path=str(path), trials=12)
    troubles = [message["trouble"] for message in said if "trouble" in message]
    assert said[-1] == {"failed writes": 3}
    assert [text is None for text in troubles] == [False, True]
    whole = nursery.run(LIVE, path=f"{path}.whole", case="random", trials=12)
    assert stored.read(path, NAME).trials == [one["facts"] for one in whole]


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize(
    ("fault", "file", "full"),
    [
        ("fdatasync:error=EIO:when=3..6", "-wal", True),
        ("fdatasync:error=EIO:when=4+5", "-wal", True),
        ("pwrite64:error=ENOSPC:when=30..60", "-wal", False),
        ("pwrite64:error=EIO:when=25+101", "-wal", False),
        ("pwrite64:error=EIO:when=3..9", "", False),
        ("fdatasync:error=EIO:when=1..3", "", True),
    ],
)
def test_a_failing_write_or_sync_loses_no_trial(tmp_path, nursery, fault, file, full):
    path = tmp_path / "study.db"
    nursery.run("harness.campaign:make", path=str(path))
    straced.run(
        tmp_path,
        TROUBLE,
        inject=fault,
        on=path.with_name(path.name + file),
        path=str(path),
        trials=15,
        full=full,
    )
    said = straced.said(tmp_path)
    assert "INJECTED" in (tmp_path / "trace").read_text(encoding="ascii", errors="replace")
    assert [message["number"] for message in said if "number" in message] == list(range(15))
    troubles = [message["trouble"] for message in said if "trouble" in message]
    assert troubles[1::2] == [None] * (len(troubles) // 2)  # each is told of once, and ends
    whole = nursery.run(LIVE, path=f"{path}.whole", case="random", trials=15)
    found = stored.read(path, NAME)
    assert found.trials == [one["facts"] for one in whole]
    assert found.integrity == "ok"
