"""A task of a cluster takes one trial after the other; what goes wrong with that costs none."""

import asyncio
import queue
import sys
import time

import cloudpickle
import pytest
from distributed import get_worker

from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api, background
from optuna_nb.tuning.executors import dask_tasks, dask_worker

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

TRIALS = 10


@pytest.fixture(autouse=True)
def _nothing_runs_on():
    yield
    background.shut_down_all()  # a test that failed would keep the workers busy


def tells_its_task(trial):
    trial.set_user_attr("task", str(get_worker().get_current_task()))
    return trial.suggest_float("x", 0, 1)


def tasks_of_a_run(cluster, tmp_path):
    options = TuneOptions(
        name="s",
        storage=f"sqlite:///{tmp_path / 's.db'}",
        trials=TRIALS,
        jobs=1,
        executor="dask",
        cluster=cluster,
    )
    handle = api.start(Objective(tells_its_task, "code", {"cell": "1"}), options).wait()
    trials = handle.study.trials
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


def test_a_task_that_is_released_ends_at_once():
    coming = dask_worker._coming["t"] = queue.SimpleQueue()
    began = time.monotonic()
    assert dask_worker._rest("t", coming, lambda: False) is None
    assert time.monotonic() - began < dask_worker.REST_SECONDS / 2


def test_a_trial_that_is_taken_is_run_even_if_its_task_was_about_to_end():
    coming = dask_worker._coming["t"] = queue.SimpleQueue()
    assert asyncio.run(dask_worker.take_next("t", "k", b"trial")) is True
    assert dask_worker._rest("t", coming, lambda: False) == ("k", b"trial")
