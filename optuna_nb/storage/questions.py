"""What people ask of the records, each question as SQL that either database takes.

A question is a ``select`` of SQLAlchemy over plain and derived columns, so that
an index answers it; ``sql_text`` prints what is run, with its values in it, and
the text runs unchanged on SQLite and PostgreSQL.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import aliased

from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import base_name
from optuna_nb.storage.column_types import now
from optuna_nb.storage.record_tables import (
    METHODS,
    STATUSES,
    Experiment,
    MetricValue,
    ModelRun,
    RunEvent,
    RunTag,
    TuningRun,
    WorkerStatus,
)
from optuna_nb.storage.runs import by_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    import pandas as pd
    from sqlalchemy import Select

    from optuna_nb.storage.record_database import RecordDatabase

    Question = Select[*tuple[Any, ...]]

LIMIT = 100
_SUMMARY = (
    TuningRun.id,
    TuningRun.study_name,
    TuningRun.model_type,
    TuningRun.status,
    TuningRun.best_score,
    TuningRun.scoring_metric,
    TuningRun.direction,
    TuningRun.tuning_method,
    TuningRun.best_params,
    TuningRun.n_iterations,
    TuningRun.tuning_time,
    TuningRun.started_at,
    TuningRun.completed_at,
    TuningRun.user_notes,
    TuningRun.tags,
    TuningRun.parent_tuning_run_id,
)
_WHOLE = (*_SUMMARY, TuningRun.results, TuningRun.config, TuningRun.model_run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which runs are meant; all that is given must hold."""

    study: str | None = None  # with its version, "churn@2"
    model: str | None = None
    status: str | None = None
    tag: str | None = None
    experiment: str | None = None
    metric: str | None = None
    longer_than: float | None = None  # seconds since it started, of runs that have not ended
    best: bool = False  # the best scores first, instead of the newest
    limit: int = LIMIT


def runs(filters: Filters | None = None, *, whole: bool = False) -> Question:
    """Ask for tuning runs, newest first.

    Scores compare within one metric: with ``best``, filter by study, model or
    metric. The direction of each run is minded.

    Args:
        filters: Which ones.
        whole: With their results and config, too.

    Raises:
        InvalidOptionError: If a filter cannot be.
    """
    chosen = filters or Filters()
    if chosen.status is not None and chosen.status not in STATUSES:
        msg = f"--status: {chosen.status!r} is none of {', '.join(STATUSES)}"
        raise InvalidOptionError(msg, code="NB414")
    query: Question = select(*(_WHOLE if whole else _SUMMARY))
    for column, value in (
        (TuningRun.study_name, chosen.study),
        (TuningRun.model_type, chosen.model),
        (TuningRun.status, chosen.status),
        (TuningRun.scoring_metric, chosen.metric),
    ):
        if value is not None:
            query = query.where(column == value)
    newest: Any = TuningRun.created_at
    if chosen.experiment is not None:
        models = select(ModelRun.id).join(Experiment).where(Experiment.name == chosen.experiment)
        query = query.where(TuningRun.model_run_id.in_(models))
        if not chosen.best and chosen.longer_than is None and chosen.tag is None:
            # Sorted by their keys alone, before the rows are read.
            ids = query.with_only_columns(TuningRun.id).order_by(newest.desc()).limit(chosen.limit)
            query = query.where(TuningRun.id.in_(ids.correlate(None)))
    if chosen.tag is not None:
        query = query.join(RunTag, RunTag.tuning_run_id == TuningRun.id).where(RunTag.tag == chosen.tag)
        newest = RunTag.created_at
    if chosen.best:
        return (
            query.where(TuningRun.rank_score.is_not(None)).order_by(TuningRun.rank_score).limit(chosen.limit)
        )
    if chosen.longer_than is not None:
        before = now() - dt.timedelta(seconds=chosen.longer_than)
        query = query.where(TuningRun.status == "running", TuningRun.started_at < before)
        return query.order_by(TuningRun.started_at).limit(chosen.limit)
    return query.order_by(newest.desc()).limit(chosen.limit)


def count_by_status() -> Question:
    """Ask how many runs there are of each status."""
    return select(TuningRun.status, func.count().label("runs")).group_by(TuningRun.status)


def mean_time_by_method() -> Question:
    """Ask how long runs of each method took, in seconds, and how many there are.

    One look into the index for each method: SQLite groups five times slower.
    """
    each = [
        select(
            sqlalchemy.literal(method).label("tuning_method"),
            func.avg(TuningRun.tuning_time).label("mean_time"),
            func.count(TuningRun.tuning_time).label("runs"),
        ).where(TuningRun.tuning_method == method)
        for method in sorted(METHODS)
    ]
    methods = sqlalchemy.union_all(*each).subquery("methods")
    return select(*methods.c).where(methods.c.runs > 0)


def best_score_by_model() -> Question:
    """Ask for the best run of each model type, metric and direction.

    The index is walked from one group to the next, not row by row.
    """
    groups = select(func.min(TuningRun.score_group).label("name")).cte("score_groups", recursive=True)
    following = select(func.min(TuningRun.score_group)).where(TuningRun.score_group > groups.c.name)
    groups = groups.union_all(select(following.scalar_subquery()).where(groups.c.name.is_not(None)))
    run = aliased(TuningRun, name="run")
    best = select(run.id).where(run.score_group == groups.c.name).order_by(run.rank_score).limit(1)
    return (
        select(
            TuningRun.model_type,
            TuningRun.scoring_metric,
            TuningRun.direction,
            TuningRun.best_score,
            TuningRun.study_name,
            TuningRun.id,
        )
        .join_from(groups, TuningRun, TuningRun.id == best.scalar_subquery())
        .order_by(TuningRun.score_group)
    )


def parents(run_id: UUID) -> Question:
    """Ask for a run and the runs that it resumed, the run itself first."""
    chain = (
        select(TuningRun.id, TuningRun.parent_tuning_run_id, sqlalchemy.literal(0).label("depth"))
        .where(TuningRun.id == run_id)
        .cte("chain", recursive=True)
    )
    parent = aliased(TuningRun)
    chain = chain.union_all(
        select(parent.id, parent.parent_tuning_run_id, chain.c.depth + 1).join(
            chain, parent.id == chain.c.parent_tuning_run_id
        )
    )
    return select(*_SUMMARY).join(chain, chain.c.id == TuningRun.id).order_by(chain.c.depth)


def events(run_id: UUID) -> Question:
    """Ask what happened during a run, in the order of time."""
    columns = (RunEvent.time, RunEvent.worker, RunEvent.kind, RunEvent.payload)
    return select(*columns).where(RunEvent.tuning_run_id == run_id).order_by(RunEvent.time, RunEvent.id)


def metric_history(run_id: UUID, trial: int | None = None) -> Question:
    """Ask for the named metrics of a run, or of one trial of it."""
    columns = (MetricValue.trial, MetricValue.name, MetricValue.step, MetricValue.worker, MetricValue.value)
    query = select(*columns).where(MetricValue.tuning_run_id == run_id)
    if trial is not None:
        query = query.where(MetricValue.trial == trial)
    return query.order_by(MetricValue.trial, MetricValue.name, MetricValue.step)


def workers(run_id: UUID) -> Question:
    """Ask where each worker of a run is, or was last."""
    columns = [column for column in WorkerStatus.__table__.columns if column.name != "tuning_run_id"]
    return select(*columns).where(WorkerStatus.tuning_run_id == run_id).order_by(WorkerStatus.worker)


def ask(database: RecordDatabase, query: Question) -> pd.DataFrame:
    """Run a question, and return its rows as a DataFrame."""
    import pandas as pd

    with database.records() as connection:
        result = connection.execute(query)
        return pd.DataFrame(result.fetchall(), columns=list(result.keys()), dtype=object).infer_objects()


def sql_text(query: Question) -> str:
    """Print a question as SQL that runs on SQLite and on PostgreSQL."""
    compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    return str(compiled)


def _newest_run(connection: sqlalchemy.Connection, which: sqlalchemy.ColumnElement[bool]) -> UUID | None:
    """Find the newest run that had trials to do; a finished cell that is run again has none."""
    run_id: UUID | None = connection.scalar(_newest(which & (func.coalesce(TuningRun.n_iterations, 1) > 0)))
    return connection.scalar(_newest(which)) if run_id is None else run_id


def run_ids(database: RecordDatabase, words: Sequence[str]) -> list[UUID]:
    """Find runs by id, by how the id begins, or by a study: its newest run that had trials to do.

    Raises:
        InvalidOptionError: If there is no such run.
    """
    found: list[UUID] = []
    with database.records() as connection:
        for word in words:
            newest = _newest_run(connection, TuningRun.study_name == word)
            if newest is None and base_name(word) == word:
                pattern = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "@%"
                newest = _newest_run(connection, TuningRun.study_name.like(pattern, escape="\\"))
            found.append(by_id(connection, TuningRun, word, "tuning run") if newest is None else newest)
    return found


def newest_version(database: RecordDatabase, name: str) -> str:
    """Find the study of the newest run that a name means, on a server that holds records alone.

    Raises:
        InvalidOptionError: If no run is of that study.
    """
    (run_id,) = run_ids(database, [name])
    with database.records() as connection:
        study = connection.scalar(select(TuningRun.study_name).where(TuningRun.id == run_id))
    return study or name


def side_by_side(frame: pd.DataFrame, ids: Sequence[UUID], names: Sequence[str]) -> pd.DataFrame:
    """Turn one row a run into one column a run; parameters and settings get rows of their own."""
    import pandas as pd

    columns = {}
    for run_id, name in zip(ids, names, strict=True):
        row = frame[frame["id"] == run_id].iloc[0].to_dict()
        config, results = row.pop("config") or {}, row.pop("results") or {}
        params = row.pop("best_params") or {}
        row["error"] = results.get("error")
        row |= {f"params.{key}": value for key, value in params.items()}
        row |= {f"flags.{key}": value for key, value in (config.get("flags") or {}).items()}
        row |= {key: config.get(key) for key in ("sampler", "seed")}
        row |= {f"version.{key}": value for key, value in (config.get("versions") or {}).items()}
        columns[name if name not in columns else str(run_id)] = pd.Series(row, dtype=object)
    return pd.DataFrame(columns, dtype=object).reindex(
        list(dict.fromkeys(key for column in columns.values() for key in column.index))
    )


def that_differ(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows in which two columns have not the same; a gap is the same as a gap."""
    texts = frame.map(repr)
    return frame[texts.ne(texts.iloc[:, 0], axis="index").any(axis="columns")]


def _newest(condition: sqlalchemy.ColumnElement[bool]) -> Select[UUID]:
    return select(TuningRun.id).where(condition).order_by(TuningRun.created_at.desc()).limit(1)


def whole_runs(ids: Sequence[UUID]) -> Question:
    """Ask for certain runs with all that is known of them."""
    return select(*_WHOLE).where(TuningRun.id.in_(ids))
