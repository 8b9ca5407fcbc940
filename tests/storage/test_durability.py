"""What the live table shows, and trials of others while ours wait to be written."""

import optuna
import pytest
from optuna.samplers import RandomSampler

from optuna_nb.storage.ledger import Durability


def begin(storage, interval=1):
    study = optuna.create_study(storage=storage, study_name="s", sampler=RandomSampler(seed=1))
    ledger = storage.acquire(study._study_id)
    ledger.step_interval = interval
    return study, ledger


def live(storage):
    return storage.database.connection.execute("SELECT number, step, value FROM live_trials").fetchall()


def test_the_live_row_follows_every_kth_step_and_the_finished_trial_has_them_all(storage):
    study, _ = begin(storage, interval=10)
    trial = study.ask()
    seen = set()
    for step in range(35):
        trial.report(float(step), step)
        storage.tick(study._study_id)
        seen.update(step for _, step, _ in live(storage))
    assert sorted(seen) == [0, 10, 20, 30]
    study.tell(trial, 1.0)
    assert list(study.trials[0].intermediate_values) == list(range(35))
    assert live(storage) == []


def test_the_live_row_shows_the_steps_of_a_trial_that_was_shown_before_its_first_report(storage):
    study, _ = begin(storage)
    trial = study.ask()
    storage.tick(study._study_id)
    for step in range(3):
        trial.report(step / 2, step)
        storage.tick(study._study_id)
        assert live(storage) == [(0, step, step / 2)]


@pytest.mark.parametrize("mode", ["pooled", "end"])
def test_a_finished_trial_that_waits_to_be_written_is_not_shown_as_live(storage, mode):
    study, ledger = begin(storage)
    ledger.durability = Durability(mode, 1000, 1000)
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    storage.tick(study._study_id)
    assert len(live(storage)) == 1
    study.tell(trial, 1.0)
    storage.tick(study._study_id)
    assert live(storage) == []
    storage.flush(study._study_id)
    assert storage.database.connection.execute("SELECT count(*) FROM trials").fetchone() == (1,)


@pytest.mark.parametrize("mode", ["trial", "pooled", "end"])
def test_a_foreign_trial_under_the_id_of_one_in_flight_is_taken_in_though_another_was_asked_for(
    storage, path, mode
):
    study, ledger = begin(storage)
    study.tell(study.ask(), 1.0)
    ledger.durability = Durability(mode, 1000, 1000)
    first = study.ask()
    optuna.load_study(study_name="s", storage=f"sqlite:///{path}").enqueue_trial({"x": 0.25})
    second = study.ask()  # looks for trials of others while the first one is in flight
    study.tell(first, 1.0)
    study.tell(second, 1.0)
    storage.flush(study._study_id)
    third = study.ask()
    assert third.suggest_float("x", 0, 1) == 0.25
    study.tell(third, 1.0)
    storage.flush(study._study_id)
    assert [t.number for t in study.trials] == [0, 1, 2, 3]


def test_the_state_that_stays_is_the_newest_and_not_that_of_a_buffered_trial(storage):
    from optuna_nb.storage.writer import Progress

    study, ledger = begin(storage)
    ledger.durability = Durability("pooled", 1000, 1000)
    ledger.progress = Progress("running")
    study.tell(study.ask(), 1.0)
    storage.show_progress(study._study_id, Progress("paused"))
    storage.flush(study._study_id)
    assert storage.database.connection.execute("SELECT state FROM study_status").fetchone() == ("paused",)


def test_a_trial_in_flight_does_not_hide_a_foreign_one_that_comes_under_its_id(storage, path):
    study, _ = begin(storage)
    study.tell(study.ask(), 1.0)
    first = study.ask()
    other = optuna.create_study(study_name="other", storage=f"sqlite:///{path}")
    second = study.ask()  # the file has changed: looks for trials of others, and finds none
    optuna.load_study(study_name="s", storage=f"sqlite:///{path}").enqueue_trial({"x": 0.25})
    study.tell(first, 1.0)
    study.tell(second, 1.0)
    third = study.ask()
    assert third.suggest_float("x", 0, 1) == 0.25
    assert other.trials == []
