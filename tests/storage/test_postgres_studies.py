"""A study on a PostgreSQL server is a study: the same interface, the same tables, the same promises."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import optuna
import pytest
import sqlalchemy
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

import optuna_nb
from harness.record_bases import new_database
from harness.waiting import until
from optuna_nb.errors import LeaseLostError, LockedStudyError, StorageError, StudyNotFoundError
from optuna_nb.records import StudyState
from optuna_nb.storage import lease, versions
from optuna_nb.storage.doctor import examine
from optuna_nb.storage.queue import enqueue
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.storage.writer import Progress
from optuna_nb.tuning import api

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="session")
def made() -> Iterator[str]:
    """A database with all tables and no study, made once."""
    with new_database() as url:
        StudyStorage(url).close()
        yield url


@pytest.fixture
def url(made: str) -> Iterator[str]:
    """A database of its own."""
    with new_database(made) as url:
        yield url


@pytest.fixture
def storage(url: str) -> Iterator[StudyStorage]:
    """A storage on it."""
    storage = StudyStorage(url)
    yield storage
    storage.close()


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the server itself."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return connection.execute(sql.encode()).fetchall()


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", None, 2, True])
    trial.report(x, step=1)
    trial.report(float("nan"), step=2)
    trial.report(float("inf"), step=3)
    trial.set_user_attr("note", {"deep": [1, "ü", None, "\0"]})
    return x**2 + (kind is None)


class TestConformance(StorageTestCase):
    """Optuna's own gate for storages."""


def plain(url: str, name: str) -> optuna.Study:
    """Open a study by Optuna's own storage, which keeps no connection."""
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sqlalchemy.NullPool})
    return optuna.load_study(study_name=name, storage=storage)


def test_plain_optuna_reads_the_same_trials(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=7)
    study.set_user_attr("note", [1, {"a": None}])
    there = plain(url, "s")
    assert repr(there.trials) == repr(study.trials)
    assert there.user_attrs == study.user_attrs


def test_a_study_that_was_closed_gives_back_the_same_trials(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=7)
    before = repr(study.trials)
    storage.close()
    with contextlib.closing(StudyStorage(url)) as again:
        assert repr(optuna.load_study(study_name="s", storage=again).trials) == before


def test_nothing_of_an_unfinished_trial_reaches_the_tables_of_optuna(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(1.0, 1)
    study.set_user_attr("set while in flight", 1)
    for table in ("trials", "trial_params", "trial_intermediate_values", "study_user_attributes"):
        assert rows(url, f"SELECT count(*) FROM {table}") == [(0,)]
    study.tell(trial, 0.5)
    assert rows(url, "SELECT state, number FROM trials") == [("COMPLETE", 0)]
    assert rows(url, "SELECT value_json FROM study_user_attributes") == [("1",)]


def test_the_trials_of_plain_optuna_are_taken_in_and_no_id_is_used_twice(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    other = plain(url, "s")
    for _ in range(3):
        study.tell(study.ask(), 1.0)
        other.tell(other.ask(), 2.0)
    for _ in range(2):
        other.enqueue_trial({"x": 0.25})
    drawn = [study.ask().suggest_float("x", 0, 1) for _ in range(2)]
    assert drawn == [0.25, 0.25]
    assert sorted(t.number for t in study.trials) == list(range(8))
    assert rows(url, "SELECT count(*) = count(DISTINCT trial_id) FROM trials") == [(True,)]


def test_a_second_owner_is_refused_until_the_first_lets_go(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    with contextlib.closing(StudyStorage(url)) as other:
        with pytest.raises(LockedStudyError, match="already running"):
            other.acquire(study._study_id)
        storage.release(study._study_id)
        other.acquire(study._study_id)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let a lease that is taken now look as if it were taken on another machine."""

    def call_it(name: str) -> None:
        monkeypatch.setattr(lease, "host_name", lambda: name)

    return call_it


def test_an_owner_on_another_machine_is_seen_while_it_is_connected(storage, url, elsewhere):
    elsewhere("far boot-1")
    study = optuna.create_study(storage=storage, study_name="s")
    storage.show_progress(study._study_id, Progress("running", 10))
    elsewhere("far boot-2")  # another machine may have the same name
    with contextlib.closing(StudyStorage(url)) as other, contextlib.closing(Reader(url, "s")) as reader:
        assert reader.snapshot().state is StudyState.RUNNING
        with pytest.raises(LockedStudyError, match="another kernel"):
            other.acquire(study._study_id)
        ((session,),) = storage.database.connection.execute("SELECT pg_backend_pid()").fetchall()
        storage._owned.clear()
        storage.database.close()  # as the server sees the end of a machine, in its own time
        until(lambda: not rows(url, f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"))
        assert versions.list_all(other.database.connection)[0]["state"] is StudyState.INTERRUPTED


def test_a_lease_that_was_taken_over_writes_nothing_more(storage, url, elsewhere):
    elsewhere("far boot")
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    storage.database.let_go(study._study_id, storage.acquire(study._study_id).lease.token)
    elsewhere("near boot")
    with contextlib.closing(StudyStorage(url)) as other:
        taken = lease.acquire(other.database, study._study_id, lease_seconds=0.5)
        assert taken.succeeded_dead_owner
        with pytest.raises(LeaseLostError):
            study.tell(trial, 1.0)
        assert rows(url, "SELECT count(*) FROM trials") == [(0,)]
        storage._owned.clear()


def test_a_reader_sees_each_new_trial_and_asks_little_where_there_is_none(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    with contextlib.closing(Reader(url, "s")) as reader:
        assert reader.snapshot().done == 0
        for count in range(1, 4):
            study.optimize(objective, n_trials=1)
            seen = reader.poll()
            assert seen is not None
            assert seen.done == count
        asked = []
        reader._connection = Counting(reader._connection, asked)
        reader.snapshot()
        asked.clear()
        assert reader.poll() is None
        assert len(asked) == 1
        assert "FROM" not in asked[0]  # no table is looked at


class Counting:
    """Writes down what a connection is asked."""

    def __init__(self, connection: Any, asked: list[str]) -> None:
        self._connection, self._asked = connection, asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> Any:
        self._asked.append(sql)
        return self._connection.execute(sql, *parameters)


def test_a_trial_in_flight_is_shown_with_whatever_its_parameters_hold(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    storage.show_progress(study._study_id, Progress("running", 10))
    trial = study.ask()
    kind = trial.suggest_categorical("kind \0", ["\0 NaN", "b"])
    trial.report(2.5, 3)
    storage.tick(study._study_id)
    with contextlib.closing(Reader(url, "s")) as reader:
        (live,) = reader.snapshot().live
    assert (live.number, live.step, live.value, dict(live.params)) == (0, 3, 2.5, {"kind \0": kind})
    study.tell(trial, 1.0)
    with contextlib.closing(StudyStorage(url)) as again:
        assert optuna.load_study(study_name="s", storage=again).best_params == {"kind \0": kind}


def test_a_name_or_step_that_optunas_columns_do_not_hold_is_refused_when_it_is_given(storage):
    study = optuna.create_study(storage=storage, study_name="s")
    trial = study.ask()
    with pytest.raises(StorageError, match="shorten it"):
        trial.suggest_float("x" * 513, 0, 1)
    with pytest.raises(StorageError, match=r"below 2\*\*31"):
        trial.report(1.0, 2**31)
    study.tell(trial, 1.0)


def test_parameter_sets_are_queued_without_a_lease(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    with contextlib.closing(StudyStorage(url)) as other:
        enqueue(other.database, "s", [{"x": 0.5}, {"x": 0.25}])
    assert [study.ask().suggest_float("x", 0, 1) for _ in range(3)][:2] == [0.5, 0.25]
    assert [t.number for t in study.trials] == [0, 1, 2]


def test_deleting_a_study_leaves_nothing_of_it_and_not_its_id(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=3)
    storage.delete_study(study._study_id)
    tables = [name for (name,) in rows(url, _OUR_TABLES)]
    assert "trial_commits" in tables
    assert {table: rows(url, f"SELECT count(*) FROM {table}")[0][0] for table in tables} == dict.fromkeys(
        tables, 0
    )
    assert optuna.create_study(storage=storage, study_name="s")._study_id > study._study_id
    with pytest.raises(StudyNotFoundError):
        Reader(url, "other")


_OUR_TABLES = (
    "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
    " AND column_name IN ('study_id', 'trial_id') GROUP BY table_name"
)


def test_a_study_gets_another_name_and_its_records_follow(url):
    optuna_nb.tune(objective, name="s", trials=3, storage=url, wait=True)
    assert api.rename("s", "t", url) == {"s@1": "t@1"}
    assert len(api.load("t", url).runs) == 1
    assert rows(url, "SELECT study_name FROM studies") == [("t@1",)]


def test_what_plain_optuna_deletes_takes_ours_along(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=3)
    storage.release(study._study_id)
    there = plain(url, "s")
    there._storage.delete_study(there._study_id)
    assert rows(url, "SELECT (SELECT count(*) FROM trial_commits), (SELECT count(*) FROM study_status)") == [
        (0, 0)
    ]


def test_the_doctor_finds_a_value_that_was_changed_behind_our_back(storage, url):
    import psycopg

    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(objective, n_trials=3)
    assert not any(finding.problem for finding in examine(url, "s"))
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(
            "UPDATE trial_values SET value = 7 WHERE trial_id = (SELECT min(trial_id) FROM trials)"
        )
    problems = {finding.check: finding.problem for finding in examine(url, "s")}
    assert problems["contents of the trials"] == "trial 0 is not what was written"


def test_our_json_is_jsonb(storage, url):
    types = rows(
        url,
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE"
        " (table_name, column_name) IN (('study_versions', 'fingerprint'), ('live_trials', 'params'),"
        " ('tuning_runs', 'results'))",
    )
    assert {kind for _, _, kind in types} == {"jsonb"}
    assert len(types) == 3


def test_a_failed_trial_and_a_pruned_one_are_written_too(storage, url):
    study = optuna.create_study(storage=storage, study_name="s")
    study.tell(study.ask(), state=TrialState.FAIL)
    study.tell(study.ask(), state=TrialState.PRUNED)
    assert rows(url, "SELECT state FROM trials ORDER BY number") == [("FAIL",), ("PRUNED",)]


def test_no_message_shows_the_password(url):
    secret = sqlalchemy.make_url(url).set(password="hunter2", host="127.0.0.1", port=1)  # noqa: S106
    text = secret.render_as_string(hide_password=False)
    for call in (StudyStorage, lambda it: Reader(it, "s"), lambda it: examine(it, "s")):
        with pytest.raises(StorageError) as caught:
            call(text)
        shown = "".join(map(repr, _chain(caught.value)))
        assert "127.0.0.1" in str(caught.value)
        assert "hunter2" not in shown
    assert "hunter2" not in json.dumps([str(_place(text)), repr(_place(text))])


def _place(url: str) -> object:
    from optuna_nb.storage.server import place

    return place(url)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_a_driver_that_studies_cannot_use_is_refused_with_the_fix():
    with pytest.raises(StorageError, match=r"write postgresql\+psycopg://"):
        StudyStorage("postgresql+psycopg2://postgres@127.0.0.1/postgres")


@pytest.mark.parametrize("spelling", ["postgresql://", "postgres://"])
def test_a_url_without_a_driver_means_psycopg(url, spelling):
    with contextlib.closing(StudyStorage(url.replace("postgresql+psycopg://", spelling))) as storage:
        optuna.create_study(storage=storage, study_name="s").optimize(objective, n_trials=2)
    assert rows(url, "SELECT count(*) FROM trials") == [(2,)]
