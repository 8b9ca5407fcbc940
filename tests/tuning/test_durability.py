"""When finished trials are written, and what a commit survives."""

import sqlite3
import threading
from dataclasses import replace

import optuna
import pytest

from optuna_nb.errors import ObjectiveError
from optuna_nb.records import Objective, StudyState, TuneOptions
from optuna_nb.storage.database import Database
from optuna_nb.tuning import api, background, runner
from optuna_nb.tuning.results import closing_line


def square(trial):
    return trial.suggest_float("x", -1, 1) ** 2


def make(evaluate=square):
    return Objective(evaluate, "code", {"cell": "1"})


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=30, seed=1)


def rows(options):
    connection = sqlite3.connect(options.storage.removeprefix("sqlite:///"))
    try:
        return connection.execute("SELECT count(*) FROM trials").fetchone()[0]
    finally:
        connection.close()


def hexes(handle):
    return [(t.number, t.value.hex(), t.params["x"].hex()) for t in handle.study.trials]


@pytest.mark.parametrize("durability", ["pooled", "end"])
def test_every_durability_ends_with_the_same_trials(options, tmp_path, durability):
    each = api.start(make(), replace(options, storage=f"sqlite:///{tmp_path / 'each.db'}")).wait()
    handle = api.start(make(), replace(options, durability=durability)).wait()
    assert hexes(handle) == hexes(each)
    assert handle.snapshot().state is StudyState.COMPLETED
    assert handle.snapshot().live == ()


def gated(gate, reached, at):
    def evaluate(trial):
        if trial.number == at:
            reached.set()
            assert gate.wait(20)
        return square(trial)

    return evaluate


def test_with_end_nothing_is_in_the_file_before_the_run_ends(options):
    gate, reached = threading.Event(), threading.Event()
    handle = api.start(make(gated(gate, reached, 20)), replace(options, durability="end"))
    assert reached.wait(20)
    assert rows(options) == 0
    assert "written when the run ends" in handle.snapshot().note
    gate.set()
    handle.wait()
    assert rows(options) == 30


def test_with_pooled_a_full_buffer_is_written_and_the_rest_waits(options):
    gate, reached = threading.Event(), threading.Event()
    pooled = replace(options, durability="pooled", buffer_size=8, flush_seconds=60)
    handle = api.start(make(gated(gate, reached, 20)), pooled)
    assert reached.wait(20)
    assert rows(options) == 16
    gate.set()
    handle.wait()
    assert rows(options) == 30


def test_with_pooled_what_waits_is_written_when_its_time_has_come(options):
    gate, reached = threading.Event(), threading.Event()
    pooled = replace(options, durability="pooled", buffer_size=1000, flush_seconds=0.1)
    handle = api.start(make(gated(gate, reached, 20)), pooled)
    assert reached.wait(20)
    limit = threading.Event()
    for _ in range(100):
        if rows(options) == 20 or limit.wait(0.05):
            break
    assert rows(options) == 20
    gate.set()
    handle.wait()


def test_with_end_a_study_attribute_waits_too(options):
    gate, reached = threading.Event(), threading.Event()
    handle = api.start(make(gated(gate, reached, 5)), replace(options, durability="end", sampler="nsgaii"))
    assert reached.wait(20)
    assert rows(options) == 0
    gate.set()
    handle.wait()
    assert rows(options) == 30


def test_with_end_an_error_of_the_objective_still_writes_what_was_done(options):
    def evaluate(trial):
        if trial.number >= 12:
            raise RuntimeError("broken")
        return square(trial)

    with pytest.raises(ObjectiveError, match="broken"):
        api.start(make(evaluate), replace(options, durability="end")).wait()
    assert rows(options) == 15  # the failed ones count


def test_with_end_a_kernel_that_ends_in_mid_trial_writes_what_was_done(options):
    gate, reached = threading.Event(), threading.Event()
    handle = api.start(make(gated(gate, reached, 12)), replace(options, durability="end"))
    assert reached.wait(20)
    background.shut_down_all(0.05)
    assert rows(options) == 12
    assert handle.snapshot().state is StudyState.INTERRUPTED
    assert handle.snapshot().elapsed > 0
    gate.set()


def test_what_plain_optuna_enqueues_during_an_end_run_is_taken_in(options):
    gate, reached = threading.Event(), threading.Event()
    handle = api.start(make(gated(gate, reached, 5)), replace(options, durability="end"))
    assert reached.wait(20)
    optuna.load_study(study_name="s@1", storage=options.storage).enqueue_trial({"x": 0.25})
    gate.set()
    handle.wait()
    numbers = [t.number for t in handle.study.trials]
    assert sorted(numbers) == list(range(len(numbers)))
    assert sum(t.params.get("x") == 0.25 for t in handle.study.trials) == 1


@pytest.fixture
def syncs(monkeypatch):
    """Record the value of ``PRAGMA synchronous`` at each commit of a trial."""
    seen = []
    transaction = Database.owners_transaction

    def recorded(self):
        seen.append(self.connection.execute("PRAGMA synchronous").fetchone()[0])
        return transaction(self)

    monkeypatch.setattr(Database, "owners_transaction", recorded)
    return seen


NORMAL, FULL = 1, 2


def test_trials_of_more_than_50_ms_are_synced_fully_and_short_ones_are_not(options, syncs, monkeypatch):
    pause, long = threading.Event(), runner.LONG_SECONDS
    assert long == 0.05

    def evaluate(trial):
        pause.wait(0.06)
        return square(trial)

    monkeypatch.setattr(runner, "LONG_SECONDS", 20)  # a trial of this machine may be held up for so long
    api.start(make(), replace(options, trials=5)).wait()
    assert set(syncs) == {NORMAL}
    syncs.clear()
    monkeypatch.setattr(runner, "LONG_SECONDS", long)
    api.start(make(evaluate), replace(options, trials=8)).wait()
    assert syncs.count(FULL) >= 3


def test_synchronous_can_be_chosen(options, syncs):
    api.start(make(), replace(options, synchronous="full", trials=5)).wait()
    assert syncs.count(FULL) >= 5
    syncs.clear()
    api.start(make(), replace(options, synchronous="normal", name="other", trials=5)).wait()
    assert set(syncs) == {NORMAL}


def test_the_run_ends_with_a_line_that_sums_it_up(options):
    handle = api.start(make(), replace(options, metric="loss")).wait()
    note = handle.snapshot().note
    assert note.startswith("30 trials in ")
    assert "a minute" in note
    assert f"best loss {handle.best_value:.6g}" in note


@pytest.mark.parametrize(
    ("n_trials", "seconds", "said"),
    [
        (2200, 100.0, "2,200 trials in 1 min 40 s (1,320 a minute)"),
        (1_000_000, 59.0, "1,000,000 trials in 59 s (1,016,949 a minute)"),
        (1, 400.0, "1 trial in 6 min 40 s (0.15 a minute)"),
        (3, 0.00001, "3 trials in under 1 ms (18,000,000 a minute)"),
    ],
)
def test_the_line_has_numbers_for_people(n_trials, seconds, said):
    line = closing_line([], ["minimize"], names=None, n_trials=n_trials, seconds=seconds)
    assert line == said


def test_a_timeout_is_told_beside_the_summary(options):
    note = api.start(make(), replace(options, trials=None, timeout=0.3)).wait().snapshot().note
    assert "timeout" in note
    assert "best value" in note
