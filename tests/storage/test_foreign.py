"""Plain Optuna may write to a study that is tuned here: its trials are taken in, none is overwritten."""

import json
import sqlite3
from contextlib import closing

import optuna
import pytest

from harness.rivals import STUDY
from optuna_nb.errors import LeaseLostError
from optuna_nb.storage import foreign
from optuna_nb.storage.studies import StudyStorage


def run_together(nursery, path, trials, rounds):
    owner = nursery.spawn("harness.rivals:run_beside_others", path=str(path), trials=trials)
    assert owner.hear() == "owned"
    other = nursery.spawn("harness.rivals:plain_optuna", path=str(path), rounds=rounds)
    assert other.hear() == "ready"
    owner.say("go")
    other.say("go")
    theirs = other.hear_all()
    owner.say("enough")
    ours = owner.hear_all()
    assert theirs == [*range(rounds), "done"]
    assert len(ours) >= trials
    return ours


def stored(path):
    """Return number, parameter, value and attributes of each trial by its id."""
    with closing(sqlite3.connect(path)) as connection:
        query = (
            "SELECT trial_id, number, param_value, value FROM trials"
            " LEFT JOIN trial_params USING (trial_id) LEFT JOIN trial_values USING (trial_id)"
        )
        trials = {trial_id: (*row, {}) for trial_id, *row in connection.execute(query)}
        for trial_id, key, text in connection.execute(
            "SELECT trial_id, key, value_json FROM trial_user_attributes"
        ):
            trials[trial_id][3][key] = json.loads(text)
    return trials


def check(path, ours, rounds):
    """Check that what each side was told of is in the file; some that were queued may still be."""
    trials = stored(path)
    assert len({trial_id for trial_id, *_ in ours}) == len(ours), "two trials of ours under one id"
    for trial_id, number, x, _ in ours:
        found_number, param, value, attributes = trials.pop(trial_id)
        assert attributes["who"] == "owner", "a trial of ours was overwritten"
        assert (found_number, param.hex(), value.hex()) == (number, x, x)
        if "queued" in attributes:
            assert param == (attributes["queued"] + 0.5) / (2 * rounds)
    added = {a["added"]: value for _, _, value, a in trials.values() if "added" in a}
    assert added == {number: (number + 0.5) / (2 * rounds) for number in range(rounds)}
    run = [(a["who"], value) for _, _, value, a in trials.values() if "who" in a]
    assert len(run) == rounds
    assert all(drawn == value for drawn, value in run)
    return stored(path)


@pytest.mark.parametrize(
    ("trials", "rounds"), [(100, 4), pytest.param(3000, 40, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_trials_that_plain_optuna_adds_during_a_run_are_all_kept_and_numbers_stay_unique(
    nursery, path, trials, rounds
):
    ours = run_together(nursery, path, trials, rounds)
    found = check(path, ours, rounds)
    storage = StudyStorage(f"sqlite:///{path}")
    storage.acquire(1)  # the next owner finds what came last, too
    again = optuna.load_study(study_name=STUDY, storage=storage)
    again.tell(again.ask(), 0.0)
    numbers = [trial.number for trial in again.trials]
    storage.close()
    assert len(numbers) in {len(found), len(found) + 1}  # one more, unless one was still queued
    assert numbers == list(range(len(numbers)))
    with closing(sqlite3.connect(path)) as connection:
        stored = [n for (n,) in connection.execute("SELECT number FROM trials ORDER BY number")]
    assert stored == numbers
    assert any(fixed for *_, fixed in ours)  # one that was queued was run here


def test_a_trial_added_while_ours_is_in_flight_keeps_its_id_and_ours_takes_another(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{path}")
    plain.add_trial(optuna.trial.create_trial(value=5.0))
    theirs = plain.trials[0]._trial_id
    assert theirs == trial._trial_id  # both took the next free id
    told = study.tell(trial, 1.0)
    assert (told.number, told.value) == (0, 1.0)
    assert told._trial_id != theirs
    plain._storage.remove_session()
    plain = optuna.load_study(
        study_name="s", storage=f"sqlite:///{path}"
    )  # as Optuna caches what it has read
    values = {t._trial_id: (t.number, t.value) for t in plain.get_trials()}
    plain._storage.remove_session()
    assert values[theirs][1] == 5.0
    assert sorted(values.values()) == [(0, 1.0), (1, 5.0)]
    assert sorted((t.number, t.value) for t in study.trials) == [(0, 1.0), (1, 5.0)]


def test_a_trial_that_plain_optuna_left_running_is_not_asked_about_again_and_again(
    storage, path, monkeypatch
):
    study = optuna.create_study(storage=storage, study_name="s")
    plain = optuna.storages.RDBStorage(f"sqlite:///{path}")
    plain.create_new_trial(study._study_id)
    plain.remove_session()
    looks = []
    load_trials = foreign.load_trials
    monkeypatch.setattr(foreign, "load_trials", lambda *a, **k: looks.append(1) or load_trials(*a, **k))
    for _ in range(30):
        study.tell(study.ask(), 1.0)
    assert len(looks) <= 3


def test_a_study_that_plain_optuna_deletes_during_a_run_ends_the_run_with_one_line(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.tell(study.ask(), 1.0)
    trial = study.ask()
    plain = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna.delete_study(study_name="s", storage=plain)
    plain.remove_session()
    with pytest.raises(LeaseLostError, match="has deleted this study") as caught:
        study.tell(trial, 2.0)
    assert "\n" not in str(caught.value)


def test_a_file_with_a_number_twice_gets_no_third(path):
    plain = optuna.create_study(study_name="s", storage=f"sqlite:///{path}")
    for value in range(3):
        plain.add_trial(optuna.trial.create_trial(value=value))
    plain._storage.remove_session()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trials SET number = 0 WHERE number = 1")
    storage = StudyStorage(f"sqlite:///{path}")
    study = optuna.load_study(study_name="s", storage=storage)
    told = study.tell(study.ask(), 3.0)
    assert sorted(t.value for t in study.trials) == [0.0, 1.0, 2.0, 3.0]
    assert [t.number for t in study.trials].count(told.number) == 1
    storage.close()
