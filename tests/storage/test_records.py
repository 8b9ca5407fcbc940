"""What the records promise, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import math
import uuid

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import RunStart
from optuna_nb.storage import questions, runs
from optuna_nb.storage.column_types import from_json, now, to_json
from optuna_nb.storage.history import History
from optuna_nb.storage.questions import Filters, ask
from optuna_nb.storage.record_tables import Experiment, ModelRun, RunEvent, TuningRun


def a_run(**changes):
    plain = {
        "study_name": "churn@1",
        "method": "bayesian",
        "model_type": "XGBClassifier",
        "code": "score",
        "experiment": "churn",
        "config": {"directions": ["maximize"], "flags": {"trials": 5}, "seed": 1},
    }
    return RunStart(**{**plain, **changes})


def end(records, run_id, score=0.9, *, status="completed", seconds=2.0, metric="auc", params=None):
    results = {"best_score": score, "tuning_time": seconds, "scoring_metric": metric, "all_results": []}
    runs.end_run(
        records, run_id, status=status, n_iterations=5, best_params=params or {"x": 1}, results=results
    )


def row_of(records, run_id):
    with records.records() as connection:
        return connection.execute(select(TuningRun).where(TuningRun.id == run_id)).mappings().one()


def test_a_run_starts_as_running_and_ends_once(records):
    run_id = runs.start_run(records, a_run(tags=("a", "b"), notes="first"))
    begun = row_of(records, run_id)
    assert (begun["status"], begun["best_params"], begun["results"]) == ("running", None, None)
    assert (begun["tags"], begun["user_notes"], begun["model_type"]) == (["a", "b"], "first", "XGBClassifier")
    end(records, run_id)
    end(records, run_id, 0.1, status="failed")
    ended = row_of(records, run_id)
    assert (ended["status"], ended["best_score"], ended["rank_score"]) == ("completed", 0.9, -0.9)
    assert (ended["tuning_time"], ended["scoring_metric"], ended["direction"]) == (2.0, "auc", "maximize")


def test_times_are_aware_and_utc_whatever_zone_they_came_from(records):
    run_id = runs.start_run(records, a_run())
    begun = row_of(records, run_id)
    assert begun["created_at"].utcoffset() == begun["started_at"].utcoffset() == dt.timedelta(0)
    assert abs((now() - begun["started_at"]).total_seconds()) < 60
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    with records.records() as connection:
        connection.execute(sqlalchemy.update(TuningRun).values(started_at=moment))
    assert row_of(records, run_id)["started_at"] == moment
    with pytest.raises(sqlalchemy.exc.StatementError, match="aware"), records.records() as connection:
        connection.execute(sqlalchemy.update(TuningRun).values(started_at=moment.replace(tzinfo=None)))


def test_a_run_of_a_dead_kernel_is_marked_failed_and_keeps_the_best_so_far(records):
    first = runs.start_run(records, a_run())
    end(records, first, 0.7, seconds=3.0)
    dead = runs.start_run(records, a_run())
    so_far = ({"x": 2}, {"best_score": 0.8, "tuning_time": 10.0, "total_combinations": 12})
    child = runs.start_run(records, a_run(), lambda: so_far)
    left = row_of(records, dead)
    assert (left["status"], left["best_params"], left["best_score"]) == ("failed", {"x": 2}, 0.8)
    assert (left["results"]["error"], left["n_iterations"], left["tuning_time"]) == ("kernel ended", 7, 7.0)
    assert row_of(records, child)["parent_tuning_run_id"] == dead
    kinds = list(ask(records, questions.events(dead))["kind"])
    assert kinds == ["started", "killed"]
    assert list(ask(records, questions.parents(child))["id"]) == [child, dead, first]


def test_one_notebook_is_one_experiment_and_a_namesake_gets_its_own(records):
    same, other = "/a/churn.ipynb", "/b/churn.ipynb"
    for notebook in (same, other, same):
        runs.start_run(records, a_run(experiment=None, notebook=notebook, study_name=notebook))
    runs.start_run(records, a_run(experiment=None, notebook="/a/my.project", study_name="folder"))
    with records.records() as connection:
        found = connection.execute(select(Experiment.name, Experiment.notebook).order_by("name")).all()
    assert [tuple(row) for row in found] == [
        ("churn", same),
        ("churn (2)", other),
        ("my.project", "/a/my.project"),
    ]


def test_deleting_an_experiment_leaves_no_orphans(records):
    kept = runs.start_run(records, a_run(experiment="other", study_name="kept@1"))
    gone = runs.start_run(records, a_run(tags=("t",)))
    history = History(records, gone)
    history.metrics(0, "kernel", 1, {"auc": 0.5})
    history.worker_is_at("kernel", trial=0)
    history.flush()
    found = runs.find_records(records, experiment="churn")
    assert (found.model_runs, found.tuning_runs, found.studies) == (1, 1, ("churn@1",))
    runs.delete_records(records, found)
    assert list(ask(records, questions.runs())["id"]) == [kept]
    with records.records() as connection:
        tables = ("tuning_run_tags", "metric_history", "run_status")
        counts = [connection.scalar(sqlalchemy.text(f"SELECT count(*) FROM {table}")) for table in tables]
        assert counts == [0, 0, 0]
        assert connection.scalars(select(RunEvent.tuning_run_id)).all() == [kept]
        assert len(connection.scalars(select(ModelRun.id)).all()) == 1
    with pytest.raises(InvalidOptionError, match="the database has other"):
        runs.find_records(records, experiment="churn")


def test_a_model_run_is_found_by_how_its_id_begins(records):
    runs.start_run(records, a_run())
    with records.records() as connection:
        model_run = connection.scalar(select(ModelRun.id))
    assert runs.find_records(records, model_run=str(model_run)[:10]).id == model_run
    with pytest.raises(InvalidOptionError, match="none begins so"):
        runs.find_records(records, model_run="xyz")


def test_metrics_are_pooled_and_a_step_interval_thins_them(records):
    run_id = runs.start_run(records, a_run())
    history = History(records, run_id, step_interval=10, buffer_size=1000, flush_seconds=3600)
    for step in range(100):
        history.metrics(3, "kernel", step, {"auc": step / 100, "loss": math.nan})
    history.metrics(3, "kernel", 0, {"auc": math.inf})
    assert len(ask(records, questions.metric_history(run_id))) == 0
    history.flush()
    kept = ask(records, questions.metric_history(run_id, 3))
    assert list(kept[kept["name"] == "auc"]["step"]) == list(range(0, 100, 10))
    assert kept[kept["name"] == "auc"]["value"].iloc[0] == math.inf
    assert kept[kept["name"] == "loss"]["value"].isna().all()


def test_a_full_buffer_is_written_at_once(records):
    run_id = runs.start_run(records, a_run())
    history = History(records, run_id, buffer_size=5, flush_seconds=3600)
    for step in range(5):
        history.metrics(0, "kernel", step, {"auc": 0.5})
    assert len(ask(records, questions.metric_history(run_id))) == 5


def test_a_run_that_has_ended_takes_no_more_history(records):
    run_id = runs.start_run(records, a_run())
    history = History(records, run_id)
    end(records, run_id)
    history.event("late", None, {})
    history.flush()
    assert list(ask(records, questions.events(run_id))["kind"]) == ["started"]


def test_a_worker_has_one_row_with_where_it_is_now(records):
    run_id = runs.start_run(records, a_run())
    history = History(records, run_id)
    for trial in range(3):
        history.worker_is_at("job 0", trial=trial, step=trial, current=0.1, best=0.5)
        history.flush()
    assert [
        (row.worker, row.trial, row.step) for row in ask(records, questions.workers(run_id)).itertuples()
    ] == [("job 0", 2, 2)]


# Questions


@pytest.fixture
def asked(records):
    """Six runs of two models: four completed, one failed, one running."""
    ids = []
    for number, (model, metric, score, direction) in enumerate(
        [
            ("A", "auc", 0.7, "maximize"),
            ("A", "auc", 0.9, "maximize"),
            ("B", "loss", 0.2, "minimize"),
            ("B", "loss", 0.1, "minimize"),
            ("B", "loss", math.nan, "minimize"),
            ("B", "loss", None, "minimize"),
        ]
    ):
        start = a_run(
            model_type=model,
            study_name=f"s{number}@1",
            config={"directions": [direction]},
            tags=("odd",) if number % 2 else (),
            method="random_search" if model == "A" else "bayesian",
            experiment=f"of {model}",
        )
        ids.append(runs.start_run(records, start))
        if number < 5:
            status = "failed" if number == 4 else "completed"
            end(records, ids[-1], score, status=status, seconds=float(number), metric=metric)
    return records, ids


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [5, 4, 3, 2, 1, 0]),
        (Filters(limit=2), [5, 4]),
        (Filters(model="A"), [1, 0]),
        (Filters(status="completed"), [3, 2, 1, 0]),
        (Filters(tag="odd"), [5, 3, 1]),
        (Filters(tag="odd", model="B"), [5, 3]),
        (Filters(experiment="of A"), [1, 0]),
        (Filters(experiment="of A", tag="odd"), [1]),
        (Filters(experiment="of B", tag="odd", limit=2), [5, 3]),
        (Filters(study="s2@1"), [2]),
        (Filters(metric="auc", best=True), [1, 0]),
        (Filters(model="B", best=True), [3, 2]),
        (Filters(longer_than=3600), []),
        (Filters(longer_than=-60), [5]),
        (Filters(tag="'; DROP TABLE tuning_runs; --"), []),
    ],
)
def test_filters_choose_runs(asked, filters, expected):
    records, ids = asked
    query = questions.runs(filters)
    assert [ids.index(found) for found in ask(records, query)["id"]] == expected
    with records.records() as connection:  # and the SQL that is printed says the same, on both
        printed = connection.exec_driver_sql(questions.sql_text(query).replace("%", "%%")).fetchall()
    assert [ids.index(uuid.UUID(str(row[0]))) for row in printed] == expected


def test_an_unknown_status_is_refused_with_those_that_there_are():
    with pytest.raises(InvalidOptionError, match="running, completed, failed"):
        questions.runs(Filters(status="done"))


def test_runs_are_counted_timed_and_ranked_by_group(asked):
    records, ids = asked
    counts = ask(records, questions.count_by_status())
    assert dict(zip(counts["status"], counts["runs"], strict=True)) == {
        "completed": 4,
        "failed": 1,
        "running": 1,
    }
    times = ask(records, questions.mean_time_by_method())
    assert dict(zip(times["tuning_method"], times["mean_time"], strict=True)) == {
        "bayesian": 3.0,
        "random_search": 0.5,
    }
    best = ask(records, questions.best_score_by_model())
    assert [(row.model_type, row.best_score, row.id) for row in best.itertuples()] == [
        ("A", 0.9, ids[1]),
        ("B", 0.1, ids[3]),
    ]


@pytest.mark.parametrize(
    "question",
    [
        questions.count_by_status(),
        questions.mean_time_by_method(),
        questions.best_score_by_model(),
        questions.parents(uuid.UUID(int=1)),
        questions.events(uuid.UUID(int=1)),
        questions.metric_history(uuid.UUID(int=1), 2),
        questions.workers(uuid.UUID(int=1)),
    ],
)
def test_the_printed_sql_of_every_question_runs_as_it_stands(records, question):
    with records.records() as connection:
        connection.exec_driver_sql(questions.sql_text(question)).fetchall()


def test_runs_are_compared_side_by_side(asked):
    records, ids = asked
    names = ["s0", str(ids[3])[:12]]
    found = questions.run_ids(records, names)
    assert found == [ids[0], ids[3]]
    table = questions.side_by_side(ask(records, questions.whole_runs(found)), found, names)
    assert list(table.columns) == names
    assert list(table.loc["best_score"]) == [0.7, 0.1]
    assert list(table.loc["params.x"]) == [1, 1]


# Values come back as they were

texts = st.text(st.characters(), max_size=20) | st.sampled_from(
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "\0",
        "a\0b",
        "\ud800",
        "\udc80",
        "\U000f0000",
        "\U000f00000000",
        "%",
        "'",
    ]
)
plain_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(2**63, 2**200), st.floats(), texts
)
values = st.recursive(
    plain_values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return type(other) is list and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return type(other) is dict and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


@given(values)
def test_json_of_ours_round_trips(value):
    assert same(value, from_json(to_json(value)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    params=st.dictionaries(texts, plain_values, max_size=4),
    score=st.floats() | st.none(),
    names=st.lists(texts, min_size=4, max_size=4),
)
def test_params_scores_and_names_come_back_as_they_were(records, params, score, names):
    study, model, note, tag = names
    start = a_run(study_name=study, model_type=model, notes=note, tags=(tag,), experiment=note, code=tag)
    run_id = runs.start_run(records, start)
    end(records, run_id, score, params=params, metric=model)
    row = row_of(records, run_id)
    assert same(params or {"x": 1}, row["best_params"])
    assert same(score, row["results"]["best_score"])
    assert (row["study_name"], row["model_type"], row["user_notes"], row["tags"]) == (
        study,
        model,
        note,
        [tag],
    )
    finite = score is not None and math.isfinite(score)
    assert row["best_score"] == (score if finite else None)
    assert row["scoring_metric"] == model
    assert run_id in set(ask(records, questions.runs(Filters(tag=tag, limit=1000)))["id"])
    with records.records() as connection:
        connection.execute(sqlalchemy.delete(Experiment))
