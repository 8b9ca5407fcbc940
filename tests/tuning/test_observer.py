"""What a run notes about itself, also one whose process is killed."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest

from harness.waiting import until
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.storage import questions
from optuna_nb.storage.record_database import read_records
from optuna_nb.tuning import api
from optuna_nb.tuning.observer import log_metrics, trial_event

SLOW = """
import sys, time
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api

def slow(trial):
    time.sleep(0.1)
    return trial.suggest_float("x", -1, 1)

options = TuneOptions(name="s", storage=sys.argv[1], trials=1000, seed=1)
api.start(Objective(slow, "code", {"cell": "1"}, "Square"), options).wait()
"""


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=10, seed=1)


def make(evaluate):
    return Objective(evaluate, "code", {"cell": "1"}, "Square")


def ask(options, question):
    database = read_records(options.storage)
    try:
        return questions.ask(database, question(questions.run_ids(database, ["s"])[0]))
    finally:
        database.close()


def test_pause_resume_prune_and_stop_stand_on_the_timeline(options):
    def prunes_the_first(trial):
        time.sleep(0.02)
        x = trial.suggest_float("x", -1, 1)
        if trial.number == 0:
            raise optuna.TrialPruned
        trial_event("mine", x=x)
        return x

    handle = api.start(make(prunes_the_first), TuneOptions(name="s", storage=options.storage, trials=10_000))
    until(lambda: handle.snapshot().done > 2, 20)
    handle.pause()
    until(lambda: handle.snapshot().state == "paused", 20)
    handle.resume()
    until(lambda: handle.snapshot().state == "running", 20)
    handle.stop()
    handle.wait()
    kinds = list(ask(options, questions.events)["kind"])
    ours = [kind for kind in kinds if kind != "mine"]
    assert ours == ["started", "worker joined", "pruned", "paused", "resumed", "stopped"]
    assert "mine" in kinds


def test_each_job_is_a_worker_that_says_where_it_is(options):
    def measures(trial):
        for step in range(3):
            log_metrics(step, loss=step)
            trial.report(step, step)
        time.sleep(0.3)
        return trial.suggest_float("x", -1, 1)

    api.start(make(measures), TuneOptions(name="s", storage=options.storage, trials=4, jobs=2)).wait()
    workers = ask(options, questions.workers)
    assert list(workers["worker"]) == ["job 0", "job 1"]
    metrics = ask(options, questions.metric_history)
    assert len(metrics) == 12
    assert set(metrics["worker"]) == {"job 0", "job 1"}


def test_a_trial_may_print_what_no_database_takes(options):
    def prints(trial):
        print("\ud800 and \0")
        return trial.suggest_float("x", -1, 1)

    assert api.start(make(prints), options).wait().snapshot().done == 10


def test_a_step_a_number_or_an_event_that_cannot_be_kept_is_refused_in_one_line(options):
    ring = []
    ring.append(ring)
    said = []

    def notes(trial):
        for call in (
            *(lambda step=step: log_metrics(step, loss=1) for step in ("a", "5", None, 1.5, math.nan, 2**63)),
            lambda: log_metrics(0, loss="b"),
            lambda: log_metrics(0, loss=10**400),
            lambda: trial_event("mine", x=ring),
            lambda: trial_event("mine", x=10**5000),
            lambda: trial_event("mine", x=np.ndarray),
        ):
            with pytest.raises(InvalidOptionError) as refused:
                call()
            said.append((refused.value.code, str(refused.value).partition(":")[0]))
        log_metrics(np.int64(3), loss=1)
        log_metrics(-(2**63), loss=2)
        log_metrics(4.0, loss=3)
        return trial.suggest_float("x", -1, 1)

    api.start(make(notes), TuneOptions(name="s", storage=options.storage, trials=1)).wait()
    assert said == [("NB209", "log_metrics")] * 8 + [("NB209", "trial_event")] * 3
    assert list(ask(options, questions.metric_history)["step"]) == [-(2**63), 3, 4]


@pytest.mark.slow
def test_the_run_of_a_killed_kernel_is_failed_when_its_study_is_opened_again(options):
    program = subprocess.Popen([sys.executable, "-c", SLOW, options.storage])
    try:
        until(lambda: _done(options) >= 3, 60)
        program.send_signal(signal.SIGKILL)
    finally:
        program.kill()
        program.wait()
    handle = api.start(make(lambda trial: trial.suggest_float("x", -1, 1)), options).wait()
    child, dead = handle.runs.to_dict("records")
    assert (child["status"], child["parent_tuning_run_id"]) == ("completed", dead["id"])
    assert (dead["status"], dead["results"]["error"]) == ("failed", "kernel ended")
    assert dead["n_iterations"] + child["n_iterations"] == 10
    assert dead["n_iterations"] >= 3
    assert dead["best_score"] >= child["best_score"]
    assert 0 < dead["tuning_time"] < 60
    kinds = list(ask(options, questions.events)["kind"])
    assert kinds[:2] == ["started", "retried"]


def _done(options):
    try:
        return api.load("s", options.storage).snapshot().done
    except Exception:  # noqa: BLE001 - the program has not got so far
        return 0
