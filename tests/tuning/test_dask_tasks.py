"""A task of a cluster takes one trial after the other; what goes wrong with that costs none."""

import asyncio
import queue
import sys
import threading
import time

import cloudpickle
import optuna
import pytest
from distributed import Client, get_worker

from harness.waiting import until
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api
from optuna_nb.tuning.executors import dask_tasks, dask_worker
from optuna_nb.tuning.executors.dask import DaskLink
from optuna_nb.tuning.executors.messages import Assignment, StudyInfo, dumps
from optuna_nb.tuning.executors.packing import pack

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

TRIALS = 10


def tells_its_task(trial):
    trial.set_user_attr("task", str(get_worker().get_current_task()))
    return trial.suggest_float("x", 0, 1)


def start(cluster, tmp_path, objective, trials=TRIALS, jobs=1):
    options = TuneOptions(
        name="s",
        storage=f"sqlite:///{tmp_path / 's.db'}",
        trials=trials,
        jobs=jobs,
        executor="dask",
        cluster=cluster,
    )
    return api.start(Objective(objective, "code", {"cell": "1"}), options)


def tasks_of_a_run(cluster, tmp_path):
    trials = start(cluster, tmp_path, tells_its_task).wait().study.trials
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    return [trial.user_attrs["task"] for trial in trials]


async def refuses(_task, _key, _assignment):
    return False


async def fails(_task, _key, _assignment):
    raise OSError


def test_a_task_that_has_ended_a_trial_takes_the_next_one(cluster, tmp_path):
    assert len(set(tasks_of_a_run(cluster, tmp_path))) < TRIALS


def test_a_trial_that_comes_too_late_for_a_task_gets_one_of_its_own(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_tasks, "take_next", refuses)
    assert len(set(tasks_of_a_run(cluster, tmp_path))) == TRIALS


def test_a_trial_that_is_lost_on_its_way_to_a_task_begins_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_tasks, "take_next", fails)
    assert len(set(tasks_of_a_run(cluster, tmp_path))) == TRIALS


def test_a_task_rests_for_a_moment_and_takes_nothing_more_after_it():
    coming = dask_worker._coming["t"] = queue.SimpleQueue()
    began = time.monotonic()
    assert dask_worker._rest("t", coming, lambda: True) is None
    assert time.monotonic() - began >= dask_worker.REST_SECONDS
    assert asyncio.run(dask_worker.take_next("t", "k", b"")) is False


def test_a_task_that_is_released_ends_at_once(monkeypatch):
    monkeypatch.setattr(dask_worker, "REST_SECONDS", 60)
    coming = dask_worker._coming["t"] = queue.SimpleQueue()
    began = time.monotonic()
    assert dask_worker._rest("t", coming, lambda: False) is None
    assert time.monotonic() - began < 30


def test_a_trial_that_is_taken_is_run_even_if_its_task_was_about_to_end():
    coming = dask_worker._coming["t"] = queue.SimpleQueue()
    assert asyncio.run(dask_worker.take_next("t", "k", b"trial")) is True
    assert dask_worker._rest("t", coming, lambda: False) == ("k", b"trial")


def test_what_others_run_on_a_worker_takes_turns_with_a_study(cluster, tmp_path):
    def short(trial):
        time.sleep(0.1)
        return trial.suggest_float("x", 0, 1)

    handle = start(cluster, tmp_path, short, trials=60, jobs=2)
    until(lambda: handle.snapshot().done >= 4)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        assert client.submit(sum, [1, 2], pure=False).result(20) == 3
    assert handle.is_running
    assert handle.snapshot().done < 50
    handle.stop()
    handle.wait()


def test_the_trial_of_a_worker_that_died_and_came_back_at_the_same_address_begins_again(
    cluster, tmp_path, monkeypatch
):
    links, folder = [], tmp_path / "evaluations"
    folder.mkdir()
    opened = DaskLink.open

    def waits(trial):
        (folder / f"{trial.number}-{time.monotonic_ns()}").touch()
        while trial.number == 2 and len(list(folder.glob("2-*"))) < 2:
            time.sleep(0.02)
        return trial.suggest_float("x", 0, 1)

    monkeypatch.setattr(DaskLink, "open", lambda link, listener: (links.append(link), opened(link, listener)))
    handle = start(cluster, tmp_path, waits, trials=4)
    until(lambda: list(folder.glob("2-*")))
    for worker in cluster.scheduler.workers:  # what the scheduler says of both; they are there when we look
        links[0]._on_event((0.0, {"action": "remove-worker", "worker": worker}))
    trials = handle.wait().study.trials

    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert [len(list(folder.glob(f"{number}-*"))) for number in range(4)] == [1, 1, 2, 1]


class Listens:
    """Hears of trials that are lost."""

    def __init__(self):
        self.lost = []

    def task_lost(self, key):
        self.lost.append(key)


@pytest.fixture
def tasks(cluster):
    def evaluate(trial):
        return float(len(trial.params))

    with Client(cluster.scheduler_address, set_as_default=False) as client:
        look = threading.Event()
        yield dask_tasks.Tasks(
            client, pack(evaluate), "t", Listens(), count_workers=lambda: None, look_soon=look
        )


def assignment():
    info = StudyInfo("s", (optuna.study.StudyDirection.MINIMIZE,), prunes=False, pruner=None)
    return dumps(("run", 0, Assignment(info, optuna.create_study().ask()._cached_frozen_trial, ())))


def test_a_trial_that_is_released_on_its_way_to_a_task_of_its_own_leaves_nothing_behind(
    cluster, tasks, monkeypatch
):
    worker = next(iter(cluster.scheduler.workers))
    monkeypatch.setattr(dask_worker, "REST_SECONDS", 0.0)
    monkeypatch.setattr(dask_tasks, "take_next", refuses)
    tasks.start(worker, "first", assignment())
    until(lambda: "first" in cluster.scheduler.tasks)
    tasks.rest("first")
    copy_on = tasks._copy_on

    def released_meanwhile(worker):
        tasks.release("second")
        return copy_on(worker)

    monkeypatch.setattr(tasks, "_copy_on", released_meanwhile)
    tasks.start(worker, "second", assignment())
    until(lambda: "second" in tasks._by_trial or not tasks._resting.get(worker))
    until(lambda: "first" not in tasks._by_trial and "second" not in tasks._by_trial)
    until(lambda: "second" not in cluster.scheduler.tasks)


def test_a_task_that_was_run_anew_says_that_the_trial_it_had_taken_is_lost(cluster, tasks):
    worker = next(iter(cluster.scheduler.workers))
    tasks.start(worker, "first", assignment())  # nobody takes its result: its task ends after a rest
    until(lambda: tasks._listener.lost == ["first"])
