"""A file that has come to harm is told from a sound one, and mended after a copy is kept."""

import contextlib
import sqlite3
import time

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

import optuna_nb
from optuna_nb.errors import LockedStudyError, StorageError, StudyNotFoundError
from optuna_nb.storage.doctor import doubled_trials, examine
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.repair import repair
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import api

TRIALS = 40


@pytest.fixture
def url(path):
    storage = StudyStorage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage, study_name="s", sampler=RandomSampler(seed=1))
    study.set_user_attr("who", "me")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), TRIALS)
    storage.close()
    return f"sqlite:///{path}"


def damage(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for sql in statements:
            connection.execute(sql)
        connection.commit()


def problems(url):
    return {finding.check: finding.problem for finding in examine(url, "s") if finding.problem}


def mended(url, path):
    before = path.read_bytes()
    copy, done = repair(url, "s")
    assert copy.read_bytes()[:16] == before[:16]
    assert problems(url) == {}
    return done


def load(url):
    storage = StudyStorage(url)
    try:
        return optuna.load_study(study_name="s", storage=storage).get_trials()
    finally:
        storage.close()


def test_doubled_numbers_of_many_trials_are_found_in_no_time(url, path):
    damage(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)"
        " INSERT INTO trials (number, study_id, state) SELECT i % 39990, 1, 'FAIL' FROM n",
    )
    began = time.process_time()
    with contextlib.closing(open_read_only(url)) as connection:
        doubled = doubled_trials(connection, 1)
    assert time.process_time() - began < 1
    assert [number for _, number in doubled] == [*range(11)]


@pytest.mark.parametrize("statement", ["SELECT 1", "CREATE TABLE other (x)"])
def test_a_file_without_studies_is_told_in_one_line(tmp_path, statement):
    path = tmp_path / "other.db"
    damage(path, statement)
    for look in (
        lambda: examine(str(path), "s"),
        lambda: optuna_nb.load("s", str(path)),
        lambda: api.list_studies(str(path)),
    ):
        with pytest.raises(StudyNotFoundError, match="holds no studies yet: run a %%tune cell first"):
            look()


def test_a_sound_file_has_no_problem_and_a_repair_changes_nothing(url, path):
    assert problems(url) == {}
    before = load(url)
    assert mended(url, path) == []
    assert load(url) == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE trial_values SET value = value + 1e-12 WHERE trial_id = 8",
        "UPDATE trial_params SET param_value = 0.5 WHERE trial_id = 8",
        "UPDATE trials SET state = 'PRUNED' WHERE trial_id = 8",
        "DELETE FROM trial_values WHERE trial_id = 8",
        "UPDATE trial_params SET distribution_json = 'no json' WHERE trial_id = 8",
        "UPDATE trial_params SET distribution_json = CAST(x'ff' AS TEXT) WHERE trial_id = 8",
    ],
)
def test_a_trial_that_is_not_what_was_written_is_found_and_its_number_runs_again(url, path, sql):
    damage(path, sql)
    with pytest.raises(StorageError):
        load(url)
    assert problems(url) == {"contents of the trials": "trial 7 is not what was written"}
    assert mended(url, path) == ["took out the damaged trials 7: these numbers run again"]
    assert [t.number for t in load(url)] == [i for i in range(TRIALS) if i != 7]
    storage = StudyStorage(url)
    assert optuna.load_study(study_name="s", storage=storage).ask().number == 7
    storage.close()


def test_rows_without_a_parent_are_found_and_deleted(url, path):
    damage(path, "PRAGMA foreign_keys = OFF", "DELETE FROM trials WHERE trial_id = 8")
    assert "belong to nothing" in problems(url)["rows without a parent"]
    assert mended(url, path)[0].startswith("deleted ")
    assert len(load(url)) == TRIALS - 1


def test_trials_that_run_for_ever_are_found_and_failed(url, path):
    optuna.load_study(study_name="s", storage=url).ask()
    assert problems(url) == {
        "trials that run for ever": f"trial {TRIALS} is marked as running, by plain Optuna"
    }
    mended(url, path)
    last = load(url)[-1]
    assert (last.number, last.state) == (TRIALS, TrialState.FAIL)
    assert last.datetime_complete is not None


def test_numbers_that_are_there_twice_are_found_and_the_later_trial_moves(url, path):
    optuna.load_study(study_name="s", storage=url).add_trial(optuna.trial.create_trial(value=1.0))
    damage(path, f"UPDATE trials SET number = 3 WHERE number = {TRIALS}")
    assert problems(url) == {"numbers of the trials": "trial 3 is there more than once"}
    mended(url, path)
    assert sorted(t.number for t in load(url)) == list(range(TRIALS + 1))
    assert load(url)[-1].values == [1.0]


def test_attributes_that_are_no_json_are_found_and_deleted(url, path):
    damage(path, "UPDATE study_user_attributes SET value_json = '{'")
    assert "1 attributes cannot be read" in problems(url)["directions and attributes of the study"]
    mended(url, path)
    assert len(load(url)) == TRIALS


def test_an_index_that_does_not_fit_its_table_is_built_anew(url, path):
    name = "ix_studies_study_name"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        entry = connection.execute("SELECT * FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    damage(path, "PRAGMA writable_schema = ON", f"DELETE FROM sqlite_master WHERE name = '{name}'")
    damage(path, "UPDATE studies SET study_name = 'S'", "UPDATE studies SET study_name = 's' || study_id")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", entry)
        connection.commit()
    found = {finding.check: finding for finding in examine(url, "s1")}
    assert "missing from index" in found["integrity of the file"].problem
    _, done = repair(url, "s1")
    assert done == ["built the indexes anew"]
    assert not any(finding.problem for finding in examine(url, "s1"))


def test_a_page_that_is_gone_is_named_whichever_it_is(url, path):
    whole = path.read_bytes()
    size = int.from_bytes(whole[16:18], "big")
    missed = 0
    for start in range(size, len(whole), 3 * size):
        path.write_bytes(whole[:start] + b"\xff" * size + whole[start + size :])
        try:
            missed += not problems(url)
        except StorageError as error:
            missed += "\n" in str(error)  # not even the list of tables can be read
    assert missed == 0


def test_each_repair_keeps_a_copy_of_its_own(url, path):
    damage(path, "UPDATE trial_values SET value = 7 WHERE trial_id = 8")
    before = sqlite3.connect(path)
    dump = list(before.iterdump())
    before.close()
    first, _ = repair(url, "s")
    second, _ = repair(url, "s")
    assert [it.name for it in (first, second)] == ["study.db.before-repair", "study.db.before-repair-2"]
    kept = sqlite3.connect(first)
    assert list(kept.iterdump()) == dump
    kept.close()


def test_a_file_in_which_a_kernel_runs_a_study_is_examined_but_not_mended(url, path):
    storage = StudyStorage(url)
    storage.acquire(1)
    assert problems(url) == {}
    with pytest.raises(LockedStudyError, match="%tune stop s first"):
        repair(url, "s")
    assert list(path.parent.glob("*before-repair*")) == []
    storage.close()


def test_a_study_that_is_not_there_is_not_examined(url):
    with pytest.raises(StudyNotFoundError):
        examine(url, "t")
    with pytest.raises(StudyNotFoundError):
        repair(url, "t")


def test_a_file_of_plain_optuna_is_examined_as_it_is(tmp_path):
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    study = optuna.create_study(storage=url, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    assert problems(url) == {}


def test_rows_of_tables_without_row_ids_that_belong_to_nothing_are_deleted(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"

    def objective(trial):
        optuna_nb.log_metrics(1, auc=0.5)
        return trial.suggest_float("x", 0, 1)

    optuna_nb.tune(objective, name="s", trials=3, storage=url, tags=("a", "b"), wait=True)
    damage(tmp_path / "s.db", "DELETE FROM tuning_runs")  # plain SQLite does not look at what belongs to them
    assert "belong to nothing" in str(problems(url))

    done = mended(url, tmp_path / "s.db")
    assert "rows that belonged to nothing" in str(done)
    assert optuna_nb.load("s", url).snapshot().done == 3
