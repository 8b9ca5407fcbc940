"""A file has a write-ahead log where its file system can hold one; where not, it is said."""

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import optuna
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from optuna_nb import tune
from optuna_nb.errors import FileGoneError, StorageError
from optuna_nb.storage import write_ahead
from optuna_nb.storage.database import Database
from optuna_nb.storage.opening import open_file
from optuna_nb.storage.refusals import find_journal
from optuna_nb.storage.write_ahead import network_of
from optuna_nb.tuning import background
from optuna_nb.tuning.waiting import raise_failure


class Mount(NamedTuple):
    """As psutil tells of one."""

    device: str
    mountpoint: str
    fstype: str
    opts: str


READ = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('{}').fetchall()); c.close()"
COUNT = READ.format("SELECT count(*) FROM trials")


@pytest.fixture
def over_a_network(monkeypatch):
    """Let every folder be on NFS, as far as its mount tells."""
    monkeypatch.setattr(write_ahead, "network_of", lambda _: "nfs4")


def told(*command):
    return subprocess.run(
        [sys.executable, "-c", *map(str, command)], capture_output=True, text=True, check=True
    )


def objective(trial):
    return trial.suggest_float("x", 0, 1)


def test_a_search_for_journals_leaves_the_locks_of_a_database_in_use(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=3)
    assert find_journal(path.parent) is None
    assert find_journal(path) is None
    assert told(COUNT, path).stdout == "[(3,)]\n"  # who would delete the log if nobody else held the file
    assert path.with_name(f"{path.name}-wal").exists()
    study.optimize(objective, n_trials=2)
    assert told(COUNT, path).stdout == "[(5,)]\n"


@pytest.mark.parametrize("name", ["optuna-journal", "churn", "churn-wal"])
def test_a_journal_of_optuna_is_found_whatever_it_is_called(tmp_path, name):
    for journal in (name, "churn-journal"):
        optuna.create_study(storage=JournalStorage(JournalFileBackend(str(tmp_path / journal))))
    assert find_journal(tmp_path / name) == tmp_path / name


def test_a_file_on_a_local_disk_has_a_log(storage):
    assert storage.database.without_log == ""
    assert storage.database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_on_a_network_has_none_waits_for_the_disk_and_says_so(tmp_path, over_a_network):
    url = f"sqlite:///{tmp_path}/s.db"
    handle = tune(objective, name="s", trials=5, storage=url)
    assert "gets no write-ahead log, as it is on a network file system (nfs4)" in handle.note
    handle.wait()
    assert len(handle.study.trials) == 5
    with contextlib.closing(open_file(url)) as database:
        assert database.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        database.sync_fully(full=False)
        assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert [it.name for it in tmp_path.iterdir()] == ["s.db"]


def test_a_log_that_another_program_uses_is_kept(storage, path, over_a_network):
    with contextlib.closing(Database(path)) as other:
        assert other.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert other.without_log == ""


def test_a_run_without_log_ends_with_one_line_when_its_file_is_gone(path, over_a_network):

    def slow(trial):
        time.sleep(0.02)
        return trial.suggest_float("x", 0, 1)

    handle = tune(slow, name="s", trials=40, storage=f"sqlite:///{path}")
    while handle.snapshot().done < 3:
        time.sleep(0.01)
    path.unlink()
    own = background.find(path, "s@1")
    assert own.wait(20)
    with pytest.raises(FileGoneError, match="s@1 has ended without its file"):
        raise_failure(own, None)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/mine", ""),
        ("/mine/team/data", "nfs4"),
        ("/mine/team/fast", ""),
        ("/z", "NTFS"),
        ("/teams", ""),
    ],
)
def test_the_nearest_mount_says_whether_a_folder_is_on_a_network(folder, kind, monkeypatch):
    mounts = [
        Mount("root", "/", "ext4", "rw"),
        Mount("server:/team", "/mine/team", "nfs4", "rw,relatime"),
        Mount("disk", "/mine/team/fast", "xfs", "rw"),
        Mount("Z:", "/z", "NTFS", "rw,remote"),
        Mount("team", "/team", "cifs", "rw"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    network_of.cache_clear()
    assert network_of(Path(folder)) == kind
    network_of.cache_clear()


def test_many_threads_may_open_one_new_file_at_once(tmp_path):
    program = """
import sys, threading
from optuna_nb.storage.opening import open_file
failed = []
def work(url, barrier):
    try:
        barrier.wait()
        open_file(url).close()
    except Exception as error:
        failed.append(str(error))
for number in range(10):
    barrier = threading.Barrier(4)
    url = f"sqlite:///{sys.argv[1]}/{number}.db"
    threads = [threading.Thread(target=work, args=(url, barrier)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(failed)
"""
    assert told(program, tmp_path).stdout == "[]\n"
    assert sorted(it.name for it in tmp_path.iterdir()) == sorted(f"{number}.db" for number in range(10))


def test_a_file_system_without_hard_links_holds_studies_too(path, monkeypatch):
    def link(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    open_file(str(path)).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM studies").fetchone() == (0,)
    assert [it.name for it in path.parent.iterdir()] == ["study.db"]


def test_a_folder_that_may_not_be_written_is_still_named(tmp_path):
    with pytest.raises(StorageError, match="does not exist: create it"):
        open_file(f"sqlite:///{tmp_path}/none/s.db")
