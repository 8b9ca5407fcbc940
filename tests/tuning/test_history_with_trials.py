"""Metrics and events of a finished trial are on disk when the trial is, whatever kills the process."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys

import pytest

from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api

DIES_IN_TRIAL_12 = """
import os, signal, sys
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api
from optuna_nb.tuning.observer import log_metrics, trial_event

def evaluate(trial):
    if trial.number == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    log_metrics(0, loss=float("nan"), accuracy=0.5)
    log_metrics(1, loss=trial.number)
    trial_event("mine", note="\\ud800")
    return trial.suggest_float("x", -1, 1)

flags = dict(durability=sys.argv[2], buffer_size=int(sys.argv[3]), flush_seconds=3600)
options = TuneOptions(name="s", storage=sys.argv[1], trials=1000, seed=1, sampler="random", **flags)
api.start(Objective(evaluate, "code", {"cell": "1"}), options).wait()
"""


def numbers(path, sql):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return sorted({number for (number,) in connection.execute(sql)})


@pytest.mark.parametrize(("durability", "buffer_size", "committed"), [("trial", 1000, 12), ("pooled", 5, 10)])
def test_sigkill_loses_no_metric_and_no_event_of_a_committed_trial(
    tmp_path, durability, buffer_size, committed
):
    path = tmp_path / "s.db"
    command = [sys.executable, "-c", DIES_IN_TRIAL_12, f"sqlite:///{path}", durability, str(buffer_size)]
    done = subprocess.run(command, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    trials = numbers(path, "SELECT number FROM trials")
    assert trials == list(range(committed))
    assert set(trials) <= set(numbers(path, "SELECT trial FROM metric_history WHERE step = 1"))
    assert set(trials) <= set(numbers(path, "SELECT trial FROM metric_history WHERE value IS NULL"))
    events = "SELECT json_extract(payload, '$.trial') FROM run_events WHERE kind = 'mine'"
    assert set(trials) <= set(numbers(path, events))


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=3, flush_seconds=3600)


def test_rows_of_a_trial_in_flight_go_on_waiting(options, tmp_path):
    from optuna_nb.tuning.observer import log_metrics

    seen = []

    def evaluate(trial):
        log_metrics(0, loss=1.0)
        seen.append(numbers(tmp_path / "s.db", "SELECT trial FROM metric_history"))
        return trial.suggest_float("x", -1, 1)

    api.start(Objective(evaluate, "code", {"cell": "1"}), options).wait()
    assert seen == [[], [0], [0, 1]]


def test_records_deleted_during_a_run_cost_no_trial(options, tmp_path):
    from optuna_nb.tuning.observer import log_metrics

    def evaluate(trial):
        if trial.number == 1:
            with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
                other.execute("DELETE FROM tuning_runs")
        log_metrics(0, loss=1.0)
        return trial.suggest_float("x", -1, 1)

    handle = api.start(Objective(evaluate, "code", {"cell": "1"}), options)
    with contextlib.suppress(Exception):  # what becomes of the record is not asked here
        handle.wait()
    assert numbers(tmp_path / "s.db", "SELECT number FROM trials") == [0, 1, 2]


def test_what_no_database_takes_fails_in_the_objective_and_not_in_the_commit(options):
    from optuna_nb.errors import ObjectiveError
    from optuna_nb.tuning.observer import log_metrics

    def evaluate(trial):
        log_metrics(2**70, loss=1.0)
        return trial.suggest_float("x", -1, 1)

    with pytest.raises(ObjectiveError, match=r"give a whole number below 2\*\*63"):
        api.start(Objective(evaluate, "code", {"cell": "1"}), options).wait()
