"""Workers, the scheduler and the kernel are killed in mid-study: no trial is lost, none runs twice to an end.

``OPTUNA_NB_FAULT_SECONDS=60`` lets the workers be killed for a minute instead of some seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import optuna_nb
from harness.cluster import Cluster, signal_pid, wait_for
from harness.kernel import ROOT
from optuna_nb.records import StudyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from optuna.trial import FrozenTrial, Trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KILLING_SECONDS = float(os.environ.get("OPTUNA_NB_FAULT_SECONDS", "12"))
SEED = 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def whole(cluster) -> Cluster:
    """Give the cluster once both workers are there: a killed one comes back by itself."""
    wait_for(lambda: len(cluster.pids()) == 2, 60, cluster.log)
    return cluster


def watched(folder: Path, seconds: float) -> Callable[[Trial], float]:
    """Return an objective that takes some time, and notes each evaluation in a file of its own."""

    def objective(trial: Trial) -> float:
        x, y = trial.suggest_float("x", -1, 1), trial.suggest_int("y", 0, 9)
        note = folder / f"{trial.number:04}-{os.getpid()}-{time.monotonic_ns()}"
        note.touch()
        try:
            for step in range(round(seconds / 0.05)):
                time.sleep(0.05)
                trial.report(x + step, step)
        except BaseException:
            note.rename(note.with_suffix(".dropped"))
            raise
        note.rename(note.with_suffix(".ended"))
        return x + y

    return objective


def evaluations(folder: Path, suffix: str = "") -> list[int]:
    """Return the numbers of the evaluations that have begun, or of those that have ended."""
    return [int(path.name[:4]) for path in folder.glob(f"*{suffix}")]


def start(folder: Path, on: Cluster | None = None, *, seconds: float = 0.3, **options: Any) -> Any:
    where = {} if on is None else {"executor": "dask", "cluster": on.address}
    options = {"trials": 10_000, "sampler": "random", "seed": SEED, "pruner": "none"} | where | options
    (folder / "seen").mkdir(exist_ok=True)
    storage = f"sqlite:///{folder / 'faults.db'}"
    return optuna_nb.tune(watched(folder / "seen", seconds), name="faults", storage=storage, **options)


def assert_nothing_is_lost(handle: Any, at_least: int) -> list[FrozenTrial]:
    """Every number once, from 0 on, each one complete, with what an undisturbed run draws for it."""
    import optuna

    from optuna_nb.tuning.sampling import make_sampler

    trials = handle.study.trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    assert len(trials) >= at_least
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    twin = optuna.create_study(sampler=make_sampler("random", seed=SEED, directions=["minimize"]))
    for trial in trials:
        undisturbed = twin.ask()
        x, y = undisturbed.suggest_float("x", -1, 1), undisturbed.suggest_int("y", 0, 9)
        assert trial.params == {"x": x, "y": y}, trial
        assert trial.value == x + y
        assert sorted(trial.intermediate_values) == list(range(len(trial.intermediate_values)))
        twin.tell(undisturbed, trial.value)
    assert len({len(trial.intermediate_values) for trial in trials}) == 1
    return trials


def assert_no_task_is_left(cluster: Cluster) -> None:
    wait_for(lambda: not cluster.tasks(), 30, lambda: (cluster.tasks(), cluster.log()[-3000:]))


def test_a_worker_killed_every_two_seconds_costs_no_trial(whole, tmp_path):
    handle = start(tmp_path, whole)
    wait_for(lambda: handle.snapshot().done > 2, 60, handle.snapshot)
    killed: list[int] = []
    seen = tmp_path / "seen"
    asked: list[set[int]] = []  # the numbers given out before each of the killings
    end = time.monotonic() + KILLING_SECONDS
    while time.monotonic() < end or len(killed) < KILLING_SECONDS / 2 - 2:
        if len(killed) > 1:  # a trial is given up when it is lost three times, however slow the machine is
            wait_for(lambda: asked[-2] <= set(evaluations(seen, ".ended")), 60, handle.snapshot)
        pids = [pid for pid in whole.pids().values() if pid not in killed]
        if pids:
            asked.append(set(range(len(handle.study.trials))))
            signal_pid(pids[len(killed) % len(pids)], signal.SIGKILL)
            killed.append(pids[len(killed) % len(pids)])
        time.sleep(2)
    wait_for(lambda: handle.snapshot().done >= 10, 60, handle.snapshot)
    handle.stop()
    handle.wait(120)
    trials = assert_nothing_is_lost(handle, at_least=10)
    begun, ended = (evaluations(seen, suffix) for suffix in ("", ".ended"))
    assert len(begun) > len(trials), "no trial was in flight on a worker when that was killed"
    assert set(ended) == set(range(len(trials)))
    assert_no_task_is_left(whole)


def test_only_the_trial_of_a_killed_worker_begins_again_even_if_that_worker_held_the_objective(
    whole, tmp_path, caplog
):
    handle = start(tmp_path, whole, seconds=0.5)
    for _ in range(2):
        wait_for(lambda: len(whole.pids()) == 2, 60, whole.log)
        done = handle.snapshot().done
        wait_for(lambda: handle.snapshot().done > done + 2, 60, handle.snapshot)  # noqa: B023 - called at once
        wait_for(whole.holder, 60, whole.log)
        holder = whole.holder()
        signal_pid(whole.pids()[holder], signal.SIGKILL)
        wait_for(lambda: holder not in whole.pids(), 60, whole.log)  # noqa: B023
    handle.stop()
    handle.wait(120)
    trials = assert_nothing_is_lost(handle, at_least=6)
    assert "is gone" not in caplog.text, "a dead worker was taken for a dead scheduler"
    assert len(evaluations(tmp_path / "seen")) <= len(trials) + 2
    assert_no_task_is_left(whole)


def test_a_trial_that_kills_the_only_worker_is_given_up(tmp_path):
    def dies(trial: Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 1:
            os._exit(1)
        return x

    storage = f"sqlite:///{tmp_path / 'faults.db'}"
    options = {"trials": 3, "jobs": 1, "executor": "dask", "seed": SEED}
    handle = optuna_nb.tune(dies, name="faults", storage=storage, **options)
    handle.wait(300)
    assert [trial.state.name for trial in handle.study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert retried(tmp_path) == 3


def test_a_cluster_that_gives_up_what_a_dead_worker_was_at_costs_no_trial(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    folder = tmp_path / "cluster"
    folder.mkdir()
    with Cluster(folder) as cluster:
        handle = start(tmp_path, cluster, seconds=3, trials=10)
        wait_for(lambda: handle.snapshot().done > 1, 60, handle.snapshot)
        wait_for(cluster.holder, 60, cluster.log)
        holder, pids = cluster.holder(), cluster.pids()
        signal_pid(pids.pop(holder), signal.SIGKILL)
        wait_for(lambda: holder not in cluster.pids(), 30, cluster.log)
        signal_pid(pids.popitem()[1], signal.SIGKILL)  # the objective was to be made anew on this one
        handle.wait(120)
        assert_nothing_is_lost(handle, at_least=10)
        assert "marked as failed because 1 workers died" in cluster.log(), "Dask gave nothing up"
        assert_no_task_is_left(cluster)


def test_a_worker_that_sleeps_for_a_moment_ends_its_trial_once(whole, tmp_path):
    handle = start(tmp_path, whole, trials=8)
    wait_for(lambda: handle.snapshot().done > 1, 60, handle.snapshot)
    pid = next(iter(whole.pids().values()))
    signal_pid(pid, signal.SIGSTOP)
    time.sleep(1.5)
    signal_pid(pid, signal.SIGCONT)
    handle.wait(120)
    assert_nothing_is_lost(handle, at_least=8)
    assert sorted(evaluations(tmp_path / "seen")) == list(range(8)), "a trial ran twice"
    assert_no_task_is_left(whole)


def test_the_trial_of_a_worker_that_is_cut_off_runs_elsewhere_and_its_late_end_is_not_heard(whole, tmp_path):
    handle = start(tmp_path, whole, seconds=0.5)
    wait_for(lambda: handle.snapshot().done > 1, 60, handle.snapshot)
    pid = next(iter(whole.pids().values()))
    signal_pid(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: pid not in whole.pids().values(), 60, whole.log)
        wait_for(lambda: retried(tmp_path), 30, handle.snapshot)
    finally:
        signal_pid(pid, signal.SIGCONT)
    done = handle.snapshot().done
    wait_for(lambda: handle.snapshot().done > done + 6, 60, handle.snapshot)
    handle.stop()
    handle.wait(120)
    assert_nothing_is_lost(handle, at_least=8)
    assert_no_task_is_left(whole)


def test_workers_that_are_retired_cost_no_trial(whole, tmp_path):
    from distributed import Client

    handle = start(tmp_path, whole, trials=12)
    wait_for(lambda: handle.snapshot().done > 1, 60, handle.snapshot)
    with Client(whole.address, set_as_default=False) as client:
        client.retire_workers([next(iter(whole.pids()))])
    handle.wait(120)
    whole.start_workers()
    assert_nothing_is_lost(handle, at_least=12)
    assert_no_task_is_left(whole)


def retried(folder: Path) -> int:
    """Return how many trials have begun again."""
    with contextlib.closing(sqlite3.connect(folder / "faults.db")) as connection:
        return connection.execute("SELECT count(*) FROM run_events WHERE kind = 'retried'").fetchone()[0]


def test_a_study_waits_for_its_scheduler_and_goes_on_when_that_is_back(tmp_path):
    folder = tmp_path / "cluster"
    folder.mkdir()
    with Cluster(folder) as cluster:
        handle = start(tmp_path, cluster, trials=16)
        wait_for(lambda: handle.snapshot().done > 2, 60, handle.snapshot)
        cluster.kill_scheduler()
        wait_for(lambda: handle.snapshot().state is StudyState.PAUSED, 60, handle.snapshot)
        note = handle.snapshot().note
        assert cluster.address in note
        assert "goes on when it is back" in note
        time.sleep(1)  # what had arrived before is still taken in
        done = handle.snapshot().done
        time.sleep(1)
        assert handle.snapshot().done == done
        cluster.end_workers()
        cluster.start_scheduler()
        cluster.start_workers()
        handle.wait(120)
        assert handle.snapshot().state is StudyState.COMPLETED
        assert_nothing_is_lost(handle, at_least=16)
        assert_no_task_is_left(cluster)


KERNEL = """
import json, sys
from pathlib import Path
import test_dask_faults

if __name__ == "__main__":
    test_dask_faults.start(Path(sys.argv[1]), **json.loads(sys.argv[2])).wait(300)
"""


@pytest.mark.parametrize("where", ["on a cluster", "on this machine"])
def test_a_killed_kernel_leaves_nothing_running_and_its_study_goes_on(where, tmp_path, request):
    cluster = request.getfixturevalue("whole") if where == "on a cluster" else None
    address = None if cluster is None else cluster.address
    options = {"seconds": 2.4, "jobs": 2, "executor": "dask", "cluster": address}
    (tmp_path / "kernel.py").write_text(KERNEL)
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "tests", "tests/tuning"))
    kernel = subprocess.Popen(
        [sys.executable, "kernel.py", str(tmp_path), json.dumps(options)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
    )
    seen = tmp_path / "seen"
    wait_for(lambda: len(evaluations(seen, ".ended")) >= 2, 120, lambda: "no trial ended")
    family = psutil.Process(kernel.pid).children(recursive=True)
    if cluster is None:
        assert len(family) >= 2, "no worker process was started"
    # Another two have begun just now, and take longer than a worker takes to notice that nobody wants them.
    wait_for(lambda: len(evaluations(seen)) >= 4, 30, lambda: "no trial begins")
    kernel.kill()
    kernel.wait()
    ended = len(evaluations(seen, ".ended"))
    if cluster is not None:
        assert_no_task_is_left(cluster)
        begun = len(evaluations(seen))
        wait_for(
            lambda: len(evaluations(seen, ".dropped")) == begun - ended, 30, lambda: sorted(seen.iterdir())
        )
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert len(gone) == len(family)
    assert len(evaluations(seen, ".ended")) == ended, "trials went on without their kernel"
    # The cell is run again, and needs no cluster for it.
    handle = start(tmp_path, seconds=2.4, trials=ended + 2)
    handle.wait(120)
    trials = assert_nothing_is_lost(handle, at_least=ended)
    assert set(evaluations(seen, ".ended")) == {trial.number for trial in trials}
