"""A study on a server survives the death of its kernel, and the kernel survives the end of the server."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

import optuna_nb
from harness import servers, stored
from harness.lives import CASES, NAME
from harness.record_bases import new_database
from harness.servers import Server, wait_for_trials
from optuna_nb.errors import StorageError, StorageTroubleError
from optuna_nb.storage.dialect import is_connected
from optuna_nb.storage.server import server_records
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.storage.writer import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna
    import psycopg

pytestmark = pytest.mark.postgres
LIVE = "harness.lives:live"


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own."""
    with new_database() as url:
        yield url


@pytest.mark.parametrize("case", ["random", "tpe", "nsgaii", "everything"])
def test_a_study_that_is_killed_at_any_statement_ends_as_if_it_was_not(nursery, url, tmp_path, case):
    whole = nursery.run(LIVE, path=str(tmp_path / "whole.db"), case=case)  # the same on SQLite, bit for bit
    moments = random.Random(case)  # noqa: S311 - which, and the same ones each time
    kills = 0
    while True:
        child = nursery.spawn(LIVE, path=url, case=case, kill_at=moments.randint(1, 90), after_acks=1)
        said = child.hear_all()
        nursery.bury(child)
        found = servers.read(url, NAME)
        done = len(found.trials)
        assert found.numbers == list(range(done))
        assert found.trials == [one["facts"] for one in whole[:done]]
        assert found.orphans == 0
        assert found.in_commits == done
        assert found.attributes == whole[done - 1]["attributes"]
        if not said or "killed" not in said[-1]:
            break
        kills += 1
    assert done == CASES[case].trials
    assert kills >= 1


def slow_square(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", -3, 3)
    trial.report(x, 1)
    time.sleep(0.1)
    return (x - 1) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fast", "immediate"], ids=["ended", "crashed"])
def test_a_study_waits_while_the_server_is_away_and_goes_on(tmp_path, caplog, how):
    flags = {"name": "s", "trials": 40, "seed": 3, "sampler": "tpe"}
    with Server() as server, caplog.at_level(logging.WARNING, "optuna_nb"):
        handle = optuna_nb.tune(slow_square, **flags, storage=server.url)
        wait_for_trials(server.url, "s@1", 5)
        server.stop(how)
        time.sleep(2.5)
        server.start()
        wait_for_trials(server.url, "s@1", 20)
        server.stop(how)
        server.start()
        handle.wait()
        found = servers.read(server.url, "s@1")
        runs = servers.ask(server.url, "SELECT status, n_iterations FROM tuning_runs")
    whole = optuna_nb.tune(slow_square, **flags, storage=f"sqlite:///{tmp_path / 'whole.db'}", wait=True)
    assert found.numbers == list(range(40))
    assert found.trials == stored.read(tmp_path / "whole.db", whole.name).trials
    assert runs == [("completed", 40)]
    told = [record.getMessage() for record in caplog.records]
    assert sum("kept in memory until it can be written" in line for line in told) <= 2  # once for each end
    assert any("can be written again, nothing is lost" in line for line in told)


class Cut:
    """Loses the connection at the COMMIT of a trial, before or after the server has done it."""

    def __init__(self, raw: psycopg.Connection, *, done: bool) -> None:
        self._raw, self._done = raw, done

    def __getattr__(self, name: str) -> object:
        return getattr(self._raw, name)

    def execute(self, sql: str, *parameters: object) -> object:
        import psycopg

        if sql == "COMMIT":
            if self._done:
                self._raw.execute(sql)
            self._raw.close()
            msg = "server closed the connection unexpectedly"
            raise psycopg.OperationalError(msg)
        return self._raw.execute(sql, *parameters)


@pytest.mark.parametrize("done", [True, False], ids=["it was done", "it was not"])
def test_a_commit_that_was_not_answered_is_asked_about_and_no_trial_is_written_twice(url, done):
    import optuna

    storage = StudyStorage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    ledger = storage.acquire(study._study_id)
    told: list[object] = []
    ledger.on_trouble = told.append
    connection = storage.database.connection
    study.tell(study.ask(), 1.0)
    trial = study.ask()
    connection._raw = Cut(connection._raw, done=done)
    study.tell(trial, 2.0)
    study.tell(study.ask(), 3.0)
    storage.close()
    assert servers.ask(
        url, "SELECT number, value FROM trials JOIN trial_values USING (trial_id) ORDER BY 1"
    ) == [
        (0, 1.0),
        (1, 2.0),
        (2, 3.0),
    ]
    assert [type(one) for one in told] == [type(told[0]), type(None)]


def test_records_are_as_patient_as_studies_and_hear_what_a_url_says(url):
    patience = {
        "lock_timeout": "20s", "idle_in_transaction_session_timeout": "1min", "tcp_keepalives_idle": "10",
        "application_name": "mine",
    }  # fmt: skip
    with contextlib.closing(server_records(f"{url}?application_name=mine")) as server:
        for _ in range(2):  # also once the pool has taken the connection back
            with server.records() as connection:
                found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in patience}
            assert found == patience


def test_what_cannot_be_written_now_is_said_to_be_passing(url):
    import optuna

    storage = StudyStorage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    storage.acquire(study._study_id)
    end_all_sessions(url)
    with pytest.raises(StorageTroubleError):
        storage.show_progress(study._study_id, Progress("running", 1))
    storage.show_progress(study._study_id, Progress("running", 1))  # over a new connection
    storage.close()


def test_two_kernels_that_open_a_new_database_at_once_both_find_it_made(url):
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            StudyStorage(url).close()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def end_all_sessions(url: str) -> None:
    """End the sessions of a database, as a restart of its server does."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_trial_begins_over_a_new_connection_and_the_owner_is_seen_there_again(url):
    import optuna

    storage = StudyStorage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    assert is_connected(storage.database.connection, study._study_id)
    end_all_sessions(url)
    study.tell(study.ask(), 1.0)
    assert is_connected(storage.database.connection, study._study_id)
    storage._owned[study._study_id].ledger.next_trial_id = 10**6  # the ids that were set aside are used up
    end_all_sessions(url)
    study.tell(study.ask(), 2.0)
    plain = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sqlalchemy.NullPool})
    optuna.load_study(study_name="s", storage=plain).enqueue_trial({"x": 0.5})
    end_all_sessions(url)
    assert study.ask().suggest_float("x", 0, 1) == 0.5
    storage.close()
    assert servers.count(url, "s") == 3


def test_a_role_of_the_team_writes_studies_and_a_reader_only_reads_them(url):
    import optuna
    import psycopg

    StudyStorage(url).close()
    names = {role: f"test_{uuid.uuid4().hex}" for role in ("optuna_nb_writer", "optuna_nb_reader")}
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        for role, name in names.items():
            admin.execute(f"CREATE ROLE {name} LOGIN IN ROLE {role}".encode())
        try:
            writer, reader = (
                sqlalchemy.make_url(url).set(username=name).render_as_string(hide_password=False)
                for name in names.values()
            )
            handle = optuna_nb.tune(
                lambda trial: trial.suggest_float("x", 0, 1), name="s", trials=3, storage=writer, wait=True
            )
            assert len(handle.runs) == 1
            assert optuna_nb.load("s", reader).snapshot().done == 3
            storage = StudyStorage(reader)
            study = optuna.load_study(study_name="s@1", storage=storage)
            with pytest.raises(StorageError, match="permission denied"):
                study.ask()
            storage.close()
        finally:
            for name in names.values():
                admin.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())
