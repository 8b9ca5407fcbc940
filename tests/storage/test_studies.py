"""The storage is an Optuna storage, and the file is an ordinary Optuna file."""

from __future__ import annotations

import contextlib
import gc
import sqlite3

import numpy as np
import optuna
import pytest
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from optuna_nb.errors import LeaseLostError, LockedStudyError, StorageError, StudyNotFoundError
from optuna_nb.storage import lease, versions
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", None, 2, True])
    trial.report(x, step=1)
    trial.report(float("nan"), step=2)
    trial.report(float("inf"), step=3)
    trial.set_user_attr("note", {"deep": [1, "ü", None]})
    return x**2 + (kind is None)


class TestConformance(StorageTestCase):
    """Optuna's own gate for storages; the fixture is that of conftest.py."""


def test_plain_optuna_reads_the_same_trials(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=7)
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{path}")
    assert repr(plain.trials) == repr(study.trials)
    plain._storage.remove_session()


def test_a_file_that_was_closed_gives_back_the_same_trials(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=7)
    before = repr(study.trials)
    storage.close()
    again = StudyStorage(f"sqlite:///{path}")
    assert repr(optuna.load_study(study_name="s", storage=again).trials) == before
    again.close()


def test_nothing_of_an_unfinished_trial_reaches_the_tables_of_optuna(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(1.0, 1)
    study.set_user_attr("set while in flight", 1)
    with sqlite3.connect(path) as other:
        for table in ("trials", "trial_params", "trial_intermediate_values", "study_user_attributes"):
            assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    study.tell(trial, 0.5)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT state, number FROM trials").fetchall() == [("COMPLETE", 0)]
        assert other.execute("SELECT value_json FROM study_user_attributes").fetchall() == [("1",)]
    other.close()


def test_a_free_number_is_used_again_by_the_next_trial(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    first, second = study.ask(), study.ask()
    study.tell(second, 2.0)
    storage.release(study._study_id)  # as a kernel that ends with trial 0 in flight
    again = optuna.load_study(study_name="s", storage=storage)
    assert [again.ask().number for _ in range(2)] == [first.number, 2]


def test_attributes_take_a_json_round_trip_when_they_are_set(storage):
    study = optuna.create_study(storage=storage)
    study.set_user_attr("tuple", (1, 2))
    assert study.user_attrs == {"tuple": [1, 2]}
    trial = study.ask()
    with pytest.raises(TypeError):
        trial.set_user_attr("not json", object())


def test_a_study_that_runs_elsewhere_is_refused_within_a_second(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    other = StudyStorage(f"sqlite:///{path}")
    with pytest.raises(LockedStudyError, match="already running"):
        other.acquire(study._study_id)
    other.close()


def test_an_owner_that_lost_its_lease_cannot_write(storage, path, monkeypatch):
    study = optuna.create_study(storage=storage, study_name="s")
    study.tell(study.ask(), 1.0)
    monkeypatch.setattr(lease, "is_alive", lambda _: False)  # the other sees this process as dead
    other = StudyStorage(f"sqlite:///{path}")
    other.acquire(study._study_id)
    with pytest.raises(LeaseLostError, match="another kernel owns"):
        study.tell(study.ask(), 2.0)
    assert len(other.get_all_trials(study._study_id)) == 1
    other.close()


def test_two_owners_of_two_studies_of_one_file_never_share_a_trial_id(storage, path):
    other = StudyStorage(f"sqlite:///{path}")
    one = optuna.create_study(storage=storage, study_name="one")
    two = optuna.create_study(storage=other, study_name="two")
    for _ in range(5):
        one.tell(one.ask(), 1.0)
        two.tell(two.ask(), 2.0)
    other.close()
    assert [t.values for t in optuna.load_study(study_name="two", storage=storage).trials] == [[2.0]] * 5


def test_an_enqueued_trial_is_run_under_its_own_number_and_row(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.enqueue_trial({"x": 0.25, "kind": "a"})
    study.optimize(objective, n_trials=2)
    plain = optuna.load_study(study_name="s", storage=f"sqlite:///{path}")
    assert [t.number for t in plain.trials] == [0, 1]
    assert plain.trials[0].params["x"] == 0.25
    plain._storage.remove_session()


def test_a_damaged_trial_is_reported_and_not_believed(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=2)
    storage.close()
    with sqlite3.connect(path) as vandal:
        vandal.execute("UPDATE trial_params SET param_value = param_value + 1e-9 WHERE param_name = 'x'")
    vandal.close()
    again = StudyStorage(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="trial 0 of s is damaged"):
        optuna.load_study(study_name="s", storage=again)
    again.close()


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("damaged", [False, True])
def test_reading_a_study_leaves_the_collector_of_garbage_as_it_was(storage, path, enabled, damaged):
    optuna.create_study(storage=storage, study_name="s").optimize(objective, n_trials=2)
    storage.close()
    if damaged:
        with sqlite3.connect(path) as other:
            other.execute("UPDATE trial_values SET value = 9")
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(StorageError) if damaged else contextlib.nullcontext():
            again = StudyStorage(f"sqlite:///{path}")
            optuna.load_study(study_name="s", storage=again).get_trials()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
        again.close()


def test_a_reader_sees_each_trial_as_it_is_committed(storage, path):
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    reader = Reader(f"sqlite:///{path}", "s")
    assert reader.poll().done == 0
    assert reader.poll() is None
    for value in (1.0, 3.0, 2.0):
        study.tell(study.ask(), value)
    study.tell(study.ask(), state=TrialState.PRUNED)
    snapshot = reader.poll()
    assert [t.values for t in snapshot.trials] == [(1.0,), (3.0,), (2.0,), ()]
    assert snapshot.best.number == 1
    assert {outcome.value: n for outcome, n in snapshot.counts.items()} == {"complete": 3, "pruned": 1}
    assert reader.poll() is None
    reader.close()


def test_a_reader_names_the_studies_that_there_are(storage, path):
    optuna.create_study(storage=storage, study_name="churn")
    with pytest.raises(StudyNotFoundError, match="no study 'chum': the database has churn"):
        Reader(f"sqlite:///{path}", "chum")


def test_deleting_a_study_leaves_nothing_of_it(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=3)
    storage.delete_study(study._study_id)
    storage.close()
    with sqlite3.connect(path) as other:
        tables = [name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept = {t for t in tables if other.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0]}
    other.close()
    assert kept == {"version_info", "alembic_version", "optuna_nb_migrations"}


@pytest.mark.parametrize("name", ["a?b.db", "a%20b.db", "{SCHEMA_VERSION}.db", "ü #1.db", "a&mode=ro.db"])
def test_any_character_of_a_path_stands_for_itself(tmp_path, name):
    storage = StudyStorage(f"sqlite:///{tmp_path / name}")
    storage.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_new_file_is_private(storage, path):
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.parent / "none" / "x.db", "folder .* does not exist"),
        (lambda p: p.parent, "is a folder"),
        (lambda p: p.write_bytes(b"not a database at all" * 100) and p, "is not an SQLite database"),
        (lambda p: p.write_text("") or p.chmod(0o600) or p, None),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_line(path, make, message):
    url = f"sqlite:///{make(path)}"
    if message is None:
        StudyStorage(url).close()  # an empty file is an empty database
        return
    with pytest.raises(StorageError, match=message) as caught:
        StudyStorage(url)
    assert "\n" not in str(caught.value)


def test_a_zero_below_zero_is_a_zero_and_no_damage(storage, path):
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask({"x": optuna.distributions.FloatDistribution(-0.0, 1)})
    trial.report(-0.0, 1)
    told = study.tell(trial, -0.0)
    assert told.values[0].hex() == told.intermediate_values[1].hex() == (0.0).hex()
    storage.close()
    again = StudyStorage(f"sqlite:///{path}")
    assert again.get_all_trials(1) == [told]
    again.close()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_forgotten_trial_takes_back_what_its_sampler_noted_on_the_study(storage):
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.QMCSampler(seed=1))

    def drawn(trial):
        return trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)

    for _ in range(2):  # the first one shows the search space
        trial = study.ask()
        first = drawn(trial)
        study.tell(trial, 0.0)
    forgotten = study.ask()
    second = drawn(forgotten)
    storage.forget_trial(forgotten._trial_id)
    again = study.ask()
    assert again.number == forgotten.number
    assert drawn(again) == second != first


def test_a_study_that_plain_optuna_deletes_takes_all_of_ours_with_it(path):
    url = f"sqlite:///{path}"
    storage = StudyStorage(url)
    optuna.create_study(storage=storage, study_name="s").optimize(objective, n_trials=3)
    storage.close()
    optuna.delete_study(study_name="s", storage=url)
    with sqlite3.connect(path) as other:
        for table in ("trial_commits", "study_status", "trials"):
            assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    other.close()


def test_a_number_of_numpy_is_an_attribute_as_the_number_it_is(tmp_path):
    storage = StudyStorage(f"sqlite:///{tmp_path / 'n.db'}")
    study = optuna.create_study(storage=storage, study_name="n")
    given = {"a": np.int64(3), "b": np.array([1.5, 2.0]), "c": [np.float32(0.5), {"d": np.bool_(True)}]}
    plain = {"a": 3, "b": [1.5, 2.0], "c": [0.5, {"d": True}]}
    trial = study.ask()
    for key, value in given.items():
        trial.set_user_attr(key, value)
        study.set_user_attr(key, value)
    assert storage.get_trial(trial._trial_id).user_attrs == plain
    study.tell(trial, 1.0)
    storage.close()
    read = optuna.load_study(study_name="n", storage=f"sqlite:///{tmp_path / 'n.db'}")
    assert read.user_attrs == plain
    assert read.trials[0].user_attrs == plain
    read._storage.remove_session()


def test_an_attribute_that_json_cannot_hold_names_the_fix(tmp_path):
    storage = StudyStorage(f"sqlite:///{tmp_path / 'n.db'}")
    study = optuna.create_study(storage=storage, study_name="n")
    with pytest.raises(TypeError, match="holds a set, which JSON cannot: set a number, a text"):
        study.ask().set_user_attr("a", {1})
    storage.close()


def test_an_unknown_study_names_the_nearest_ones_first(tmp_path):
    storage = StudyStorage(f"sqlite:///{tmp_path / 'n.db'}")
    for name in ("churn@1", "churn@2", *(f"other {n}" for n in range(8))):
        optuna.create_study(storage=storage, study_name=name)
    with pytest.raises(StudyNotFoundError, match="no study 'chrun': the database has churn@2, other 7"):
        versions.resolve(storage.database.connection, "chrun")
    storage.close()
