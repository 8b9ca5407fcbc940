"""What the database itself refuses, tried with plain SQL, as any program could write it."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy
from sqlalchemy import text

REFUSED = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.DataError)
NOBODY = "0" * 32  # the id of no row


@pytest.fixture
def sql(records):
    """Run plain SQL, each statement in a transaction of its own; named values are bound."""

    def run(statement, **values):
        with records.records() as connection:
            result = connection.execute(text(statement), values)
            return result.fetchall() if result.returns_rows else result.rowcount

    return run


@pytest.fixture
def ids(sql):
    """An experiment and a completed model run."""
    found = {"experiment": uuid.uuid4().hex, "model": uuid.uuid4().hex, "run": uuid.uuid4().hex}
    sql("INSERT INTO experiments (id, name) VALUES (:experiment, 'e')", experiment=found["experiment"])
    sql(
        "INSERT INTO model_runs (id, experiment_id, model_type, status)"
        " VALUES (:model, :experiment, 'XGB', 'completed')",
        model=found["model"],
        experiment=found["experiment"],
    )
    return found


INSERT = "INSERT INTO tuning_runs (id, model_run_id, tuning_method) VALUES (:run, :model, 'bayesian')"


@pytest.fixture
def run(sql, ids):
    """A tuning run that is running."""
    sql(INSERT, run=ids["run"], model=ids["model"])
    return ids["run"]


def test_the_least_that_is_inserted_gets_its_defaults(sql, run):
    ((status, model_type, created, score),) = sql(
        "SELECT status, model_type, created_at, best_score FROM tuning_runs"
    )
    assert (status, model_type, score) == ("running", "XGB", None)
    assert created is not None


@pytest.mark.parametrize(
    "columns",
    [
        {"tuning_method": "'hill_climbing'"},
        {"tuning_method": "NULL"},
        {"status": "'done'"},
        {"status": "NULL"},
        {"model_run_id": "NULL"},
        {"model_run_id": f"'{NOBODY}'"},
        {"results": "'{}'"},
        {"best_params": "'{}'"},
        {"parent_tuning_run_id": f"'{NOBODY}'"},
    ],
    ids=str,
)
def test_a_tuning_run_that_may_not_be_is_refused(sql, ids, columns):
    row = {"id": f"'{ids['run']}'", "model_run_id": f"'{ids['model']}'", "tuning_method": "'bayesian'"}
    row |= columns
    with pytest.raises(REFUSED):
        sql(f"INSERT INTO tuning_runs ({', '.join(row)}) VALUES ({', '.join(row.values())})")


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_tuning_run_needs_a_completed_model_run(sql, ids, status):
    model = uuid.uuid4().hex
    sql(
        f"INSERT INTO model_runs (id, experiment_id, model_type, status) VALUES (:m, :e, 'X', '{status}')",
        m=model,
        e=ids["experiment"],
    )
    with pytest.raises(REFUSED, match="completed model run"):
        sql(INSERT, run=ids["run"], model=model)
    sql(INSERT, run=ids["run"], model=ids["model"])
    with pytest.raises(REFUSED, match="completed model run"):
        sql("UPDATE tuning_runs SET model_run_id = :m", m=model)


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_a_run_ends_once_and_keeps_its_status(sql, run, end):
    sql(f"UPDATE tuning_runs SET status = '{end}', results = '{{}}'")
    for other in {"running", "completed", "failed"} - {end}:
        with pytest.raises(REFUSED):
            sql(f"UPDATE tuning_runs SET status = '{other}', results = NULL, best_params = NULL")
    sql(f"UPDATE tuning_runs SET status = '{end}', user_notes = 'still of use'")
    assert sql("SELECT status, user_notes FROM tuning_runs") == [(end, "still of use")]


def test_a_completed_model_run_stays_completed(sql, ids):
    for other in ("running", "failed"):
        with pytest.raises(REFUSED, match="keeps its status"):
            sql(f"UPDATE model_runs SET status = '{other}'")


@pytest.mark.parametrize("column", ["results", "best_params"])
def test_a_run_has_no_results_before_its_end(sql, run, column):
    with pytest.raises(REFUSED):
        sql(f"UPDATE tuning_runs SET {column} = '{{}}'")


def test_a_model_run_needs_an_experiment_and_a_status_of_the_set(sql, ids):
    for values in (
        "'XGB', :missing, 'completed'",
        "'XGB', :experiment, 'done'",
        "NULL, :experiment, 'completed'",
    ):
        given = {"missing": uuid.uuid4().hex} if ":missing" in values else {"experiment": ids["experiment"]}
        with pytest.raises(REFUSED):
            sql(
                f"INSERT INTO model_runs (model_type, experiment_id, status, id) VALUES ({values}, :id)",
                id=uuid.uuid4().hex,
                **given,
            )


@pytest.mark.parametrize("table", ["experiments", "model_runs", "tuning_runs"])
def test_deleting_takes_all_below_with_it(sql, run, table):
    sql(
        "INSERT INTO run_events (tuning_run_id, kind) VALUES (:run, 'mine')",
        run=run,
    )
    sql(
        "INSERT INTO metric_history (tuning_run_id, trial, name, step, value)"
        " VALUES (:run, 0, 'auc', 1, 0.5)",
        run=run,
    )
    sql("UPDATE tuning_runs SET tags = '[\"a\"]'")
    sql(f"DELETE FROM {table}")
    for below in ("tuning_runs", "run_events", "metric_history", "tuning_run_tags"):
        assert sql(f"SELECT count(*) FROM {below}") == [(0,)]


def test_a_deleted_parent_leaves_its_child(sql, ids, run):
    child = uuid.uuid4().hex
    sql(INSERT, run=child, model=ids["model"])
    sql("UPDATE tuning_runs SET parent_tuning_run_id = :run WHERE id = :child", run=run, child=child)
    sql("DELETE FROM tuning_runs WHERE id = :run", run=run)
    assert sql("SELECT parent_tuning_run_id FROM tuning_runs") == [(None,)]


def test_what_is_derived_follows_what_it_is_derived_from(sql, run):
    sql(
        'UPDATE tuning_runs SET status = \'completed\', tags = \'["a", "b", "a", 1]\','
        ' config = \'{"directions": ["maximize"]}\','
        ' results = \'{"best_score": 0.5, "tuning_time": 2, "scoring_metric": "auc"}\''.replace(":", "\\:")
    )
    derived = "SELECT best_score, rank_score, tuning_time, scoring_metric, direction FROM tuning_runs"
    assert sql(derived) == [(0.5, -0.5, 2.0, "auc", "maximize")]
    assert sql("SELECT tag FROM tuning_run_tags ORDER BY tag") == [("a",), ("b",)]
    sql("UPDATE tuning_runs SET tags = NULL")
    sql("UPDATE model_runs SET model_type = 'Other'")
    assert sql("SELECT count(*) FROM tuning_run_tags") == [(0,)]
    assert sql("SELECT model_type, score_group FROM tuning_runs") == [("Other", "Other|auc|maximize")]
    sql('UPDATE tuning_runs SET results = \'{"best_score": "NaN"}\''.replace(":", "\\:"))
    assert sql(derived) == [(None, None, None, None, "maximize")]


@pytest.mark.postgres
@pytest.mark.parametrize("records_url", ["postgresql"], indirect=True)
def test_postgresql_holds_its_own_types(sql):
    rows = sql(
        "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 'tuning_runs'"
    )
    types = dict(rows)
    assert {types[name] for name in ("id", "model_run_id", "parent_tuning_run_id")} == {"uuid"}
    assert {types[name] for name in ("best_params", "results", "config", "tags")} == {"jsonb"}
    assert {types[name] for name in ("created_at", "started_at", "completed_at")} == {"timestamptz"}
    assert types["status"] == "run_state"


@pytest.fixture
def users(records_url):
    """Two users of the server with the writer's role, one with the reader's; each a URL."""
    url = sqlalchemy.make_url(records_url)
    mark = uuid.uuid4().hex[:8]
    names = {"ann": "optuna_nb_writer", "ben": "optuna_nb_writer", "eve": "optuna_nb_reader"}
    admin = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for name, role in names.items():
            connection.exec_driver_sql(f"CREATE ROLE {name}_{mark} LOGIN IN ROLE {role}")
    yield {name: url.set(username=f"{name}_{mark}").render_as_string(False) for name in names}
    with admin.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP ROLE {name}_{mark}")
    admin.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("records_url", ["postgresql"], indirect=True)
def test_a_user_of_a_server_sees_only_their_own_runs_and_a_reader_sees_all(records, users):
    from optuna_nb.records import RunStart
    from optuna_nb.storage import questions, runs
    from optuna_nb.storage.record_database import read_records, records_database

    start = RunStart("s@1", "bayesian", "XGB", "code", "same name", {}, tags=("t",))
    own = {}
    for name in ("ann", "ben"):
        database = records_database(users[name])
        own[name] = runs.start_run(database, start)
        assert list(questions.ask(database, questions.runs())["id"]) == [own[name]]
        assert list(questions.ask(database, questions.runs(questions.Filters(tag="t")))["id"]) == [own[name]]
        with database.records() as connection:
            other = text("UPDATE tuning_runs SET user_notes = 'mine' WHERE id = :id")
            assert connection.execute(other, {"id": own["ann"]}).rowcount == (1 if name == "ann" else 0)
        database.close()
    reader = read_records(users["eve"])
    assert set(questions.ask(reader, questions.runs())["id"]) == set(own.values())
    reader.close()
    engine = sqlalchemy.create_engine(users["eve"])
    with (
        pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
        engine.begin() as connection,
    ):
        connection.execute(text("DELETE FROM tuning_runs"))
    engine.dispose()
