"""The records of a study on their way to another database: each run with its events and metrics.

A run gets a new id there, as the same study may be copied there twice. Its
experiment and its model run are found again by name and by code, or copied too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from optuna_nb.storage.column_types import now
from optuna_nb.storage.record_tables import (
    Experiment,
    MetricValue,
    ModelRun,
    RecordBase,
    RunEvent,
    TuningRun,
    WorkerStatus,
)

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    import sqlalchemy

    from optuna_nb.storage.record_database import RecordDatabase

_AT_ONCE = 2000  # rows
_DERIVED = {
    "model_type",
    "direction",
    "scoring_metric",
    "best_score",
    "rank_score",
    "score_group",
    "tuning_time",
}
_STILL_RAN = {"error": "still ran when the study was copied", "error_type": "Copied"}


def copy_records(source: RecordDatabase, target: RecordDatabase, names: Mapping[str, str]) -> int:
    """Copy the tuning runs of some studies, in one transaction.

    Args:
        source: Where from; only read.
        target: Where to.
        names: What each study is called there, by the name that it has.

    Returns:
        How many runs there were.
    """
    ids: dict[UUID, UUID] = {}
    with source.records() as reading, target.records() as writing:
        query = select(*_columns(TuningRun, but=_DERIVED)).where(TuningRun.study_name.in_(names))
        for found in reading.execute(query.order_by(TuningRun.created_at)).mappings().all():
            run = {**found, "id": uuid4(), "study_name": names[found["study_name"]]}
            run["model_run_id"] = _model_run(reading, writing, found["model_run_id"])
            run["parent_tuning_run_id"] = ids.get(found["parent_tuning_run_id"])
            if found["status"] == "running":  # it goes on, but not there
                run |= {"status": "failed", "completed_at": now(), "results": _STILL_RAN}
            writing.execute(insert(TuningRun).values(run))
            ids[found["id"]] = run["id"]
        for table in (RunEvent, MetricValue, WorkerStatus):
            for old, new in ids.items():
                _copy_rows(reading, writing, table, old, new)
    return len(ids)


def _columns(table: type[RecordBase], but: Container[str] = ()) -> list[Any]:
    return [column for column in table.__table__.columns if column.name not in but]


def _copy_rows(
    reading: sqlalchemy.Connection,
    writing: sqlalchemy.Connection,
    table: type[RunEvent | MetricValue | WorkerStatus],
    old: UUID,
    new: UUID,
) -> None:
    query = select(*_columns(table, but={"id", "tuning_run_id"})).where(table.tuning_run_id == old)
    if table is RunEvent:
        query = query.order_by(RunEvent.id)
    rows = reading.execution_options(yield_per=_AT_ONCE).execute(query).mappings()
    for part in rows.partitions(_AT_ONCE):
        writing.execute(insert(table), [{**row, "tuning_run_id": new} for row in part])


def _model_run(reading: sqlalchemy.Connection, writing: sqlalchemy.Connection, model_run: UUID) -> UUID:
    """Return the model run of the same code there; copy it where there is none."""
    row = _row(reading, ModelRun, model_run)
    experiment = _experiment(reading, writing, row["experiment_id"])
    same = (ModelRun.experiment_id == experiment, ModelRun.model_type == row["model_type"])
    query = select(ModelRun.id).where(*same, ModelRun.code == row["code"], ModelRun.status == "completed")
    known: UUID | None = writing.scalar(query.limit(1))
    return known or _insert(writing, ModelRun, {**row, "experiment_id": experiment})


def _experiment(reading: sqlalchemy.Connection, writing: sqlalchemy.Connection, experiment: UUID) -> UUID:
    row = _row(reading, Experiment, experiment)
    query = select(Experiment.id).where(Experiment.name == row["name"]).order_by(Experiment.created_at)
    known: UUID | None = writing.scalar(query.limit(1))
    return known or _insert(writing, Experiment, row)


def _row(
    connection: sqlalchemy.Connection, table: type[ModelRun | Experiment], key: UUID
) -> Mapping[str, Any]:
    columns = _columns(table)
    found = connection.execute(select(*columns).where(table.id == key)).one()
    return dict(zip((column.name for column in columns), found, strict=True))


def _insert(
    connection: sqlalchemy.Connection, table: type[ModelRun | Experiment], row: Mapping[str, Any]
) -> UUID:
    new = uuid4()
    connection.execute(insert(table).values({**row, "id": new}))
    return new
