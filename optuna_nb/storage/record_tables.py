"""The tables of records: what was tried, when, how, and what came of it.

``experiments`` 1-n ``model_runs`` 1-n ``tuning_runs``, and what a tuning run
leaves behind: its tags, events, metrics and the state of its workers. They
point at nothing of Optuna's, so they may live in another database than the
studies. What only a trigger can promise is in :mod:`.record_rules`.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - SQLAlchemy reads the annotations
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from optuna_nb.storage.column_types import NOW, Json, Measured, SafeText, UtcDateTime, now

METHODS = ("grid_search", "random_search", "bayesian")
STATUSES = ("running", "completed", "failed")


class RecordBase(DeclarativeBase):
    """All tables of records, and no others."""

    metadata = MetaData()


_Status = Enum(*STATUSES, name="run_state", metadata=RecordBase.metadata, create_constraint=True)


def _key() -> Mapped[uuid.UUID]:
    return mapped_column(Uuid, primary_key=True, default=uuid.uuid4)


def _created() -> Mapped[dt.datetime]:
    return mapped_column(UtcDateTime, default=now, server_default=NOW)


class Experiment(RecordBase):
    """A notebook's work on one question."""

    __tablename__ = "experiments"
    __table_args__ = (Index("ix_experiments_name", "name"), Index("ix_experiments_notebook", "notebook"))

    id: Mapped[uuid.UUID] = _key()
    name: Mapped[str] = mapped_column(SafeText)
    user: Mapped[str | None] = mapped_column(SafeText)
    notebook: Mapped[str | None] = mapped_column(SafeText)
    dataset: Mapped[str | None] = mapped_column(SafeText)
    created_at: Mapped[dt.datetime] = _created()


class ModelRun(RecordBase):
    """A model as a cell defines it: what a tuning run tunes."""

    __tablename__ = "model_runs"
    __table_args__ = (
        Index("ix_model_runs_experiment_id", "experiment_id"),
        Index("ix_model_runs_model_type", "model_type"),
    )

    id: Mapped[uuid.UUID] = _key()
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    model_type: Mapped[str] = mapped_column(SafeText)
    hyperparameters: Mapped[dict[str, Any] | None] = mapped_column(Json)
    metrics: Mapped[dict[str, Any] | None] = mapped_column(Json)
    model_artifact_path: Mapped[str | None] = mapped_column(SafeText)
    code: Mapped[str | None] = mapped_column(SafeText)
    status: Mapped[str] = mapped_column(_Status, default="running", server_default="running")
    training_time: Mapped[float | None] = mapped_column(Double)
    created_at: Mapped[dt.datetime] = _created()


class TuningRun(RecordBase):
    """One execution of a tuning cell.

    The last columns repeat what stands in the model run and in JSON, so that a
    question has an index; triggers keep them. ``rank_score`` is the best score,
    negated where the run maximises: the lower the better.
    """

    __tablename__ = "tuning_runs"
    __table_args__ = (
        Index("ix_tuning_runs_id", "id"),
        Index("ix_tuning_runs_model_run_id", "model_run_id"),
        Index("ix_tuning_runs_model_run_id_created_at", "model_run_id", "created_at", "id"),
        Index("ix_tuning_runs_status", "status"),
        Index("ix_tuning_runs_created_at", "created_at"),
        Index("ix_tuning_runs_status_created_at", "status", "created_at"),
        Index("ix_tuning_runs_status_started_at", "status", "started_at"),
        Index("ix_tuning_runs_study_name_created_at", "study_name", "created_at"),
        Index("ix_tuning_runs_model_type_created_at", "model_type", "created_at"),
        Index("ix_tuning_runs_rank_score", "rank_score"),
        Index("ix_tuning_runs_model_type_rank_score", "model_type", "rank_score"),
        Index("ix_tuning_runs_score_group", "score_group", "rank_score"),
        Index("ix_tuning_runs_method_tuning_time", "tuning_method", "tuning_time"),
        Index("ix_tuning_runs_parent", "parent_tuning_run_id"),
        CheckConstraint(f"tuning_method IN {METHODS}", name="tuning_run_method"),
        CheckConstraint(
            "status <> 'running' OR (best_params IS NULL AND results IS NULL)", name="tuning_run_results"
        ),
    )

    id: Mapped[uuid.UUID] = _key()
    model_run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("model_runs.id", ondelete="CASCADE"))
    tuning_method: Mapped[str] = mapped_column(Text)
    best_params: Mapped[dict[str, Any] | None] = mapped_column(Json)
    results: Mapped[dict[str, Any] | None] = mapped_column(Json)
    status: Mapped[str] = mapped_column(_Status, default="running", server_default="running")
    created_at: Mapped[dt.datetime] = _created()
    started_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    completed_at: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    n_iterations: Mapped[int | None]
    config: Mapped[dict[str, Any] | None] = mapped_column(Json)
    task_id: Mapped[str | None] = mapped_column(SafeText)
    user_notes: Mapped[str | None] = mapped_column(SafeText)
    tags: Mapped[list[str] | None] = mapped_column(Json)
    parent_tuning_run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("tuning_runs.id", ondelete="SET NULL")
    )
    study_name: Mapped[str | None] = mapped_column(SafeText)
    model_type: Mapped[str | None] = mapped_column(SafeText)
    direction: Mapped[str | None] = mapped_column(Text)
    scoring_metric: Mapped[str | None] = mapped_column(SafeText)
    best_score: Mapped[float | None] = mapped_column(Double)
    rank_score: Mapped[float | None] = mapped_column(Double)
    score_group: Mapped[str | None] = mapped_column(SafeText)  # what scores may be compared
    tuning_time: Mapped[float | None] = mapped_column(Double)


def _of_run(**options: Any) -> Mapped[uuid.UUID]:
    return mapped_column(ForeignKey("tuning_runs.id", ondelete="CASCADE"), **options)


class RunTag(RecordBase):
    """One tag of one run; kept by triggers from ``tuning_runs.tags``, for the index."""

    __tablename__ = "tuning_run_tags"
    __table_args__ = (
        Index("ix_tuning_run_tags_tag", "tag", "created_at"),
        {"sqlite_with_rowid": False},
    )

    tuning_run_id: Mapped[uuid.UUID] = _of_run(primary_key=True)
    tag: Mapped[str] = mapped_column(SafeText, primary_key=True)
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)


class RunEvent(RecordBase):
    """Something that happened at a moment of a run, ours or the user's own."""

    __tablename__ = "run_events"
    __table_args__ = (Index("ix_run_events_run", "tuning_run_id", "time"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    tuning_run_id: Mapped[uuid.UUID] = _of_run()
    time: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now, server_default=NOW)
    worker: Mapped[str | None] = mapped_column(SafeText)
    kind: Mapped[str] = mapped_column(SafeText)
    payload: Mapped[dict[str, Any] | None] = mapped_column(Json)


class MetricValue(RecordBase):
    """A named number that a trial measured at a step, beside the objective."""

    __tablename__ = "metric_history"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's convention

    tuning_run_id: Mapped[uuid.UUID] = _of_run(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(SafeText, primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    worker: Mapped[str | None] = mapped_column(SafeText)
    value: Mapped[float] = mapped_column(Measured, nullable=True)


class WorkerStatus(RecordBase):
    """Where a worker of a run is now; one row each, written over."""

    __tablename__ = "run_status"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's convention

    tuning_run_id: Mapped[uuid.UUID] = _of_run(primary_key=True)
    worker: Mapped[str] = mapped_column(SafeText, primary_key=True)
    trial: Mapped[int | None]
    step: Mapped[int | None] = mapped_column(BigInteger)
    current_value: Mapped[float | None] = mapped_column(Double)
    best_value: Mapped[float | None] = mapped_column(Double)
    time: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now, server_default=NOW)
