"""The tables of ours that a study needs beside Optuna's, in the same database.

Its versions, status and lease, trials in flight, commits, logs and requests.
Optuna never reads any of them. Records of what was tried are another matter:
see :mod:`.record_tables`.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - SQLAlchemy reads the annotations
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from optuna_nb.storage.column_types import Json, UtcDateTime, now


class Base(DeclarativeBase):
    """All tables of ours, and none of Optuna's."""

    metadata = MetaData()


# Optuna makes these two; we only point at them.
OPTUNA_STUDIES = Table("studies", Base.metadata, Column("study_id", Integer, primary_key=True))
OPTUNA_TRIALS = Table("trials", Base.metadata, Column("trial_id", Integer, primary_key=True))


def _study_key(**options: Any) -> Mapped[int]:
    return mapped_column(ForeignKey("studies.study_id", ondelete="CASCADE"), **options)


class StudyVersion(Base):
    """What makes ``churn@2`` the second version of ``churn``."""

    __tablename__ = "study_versions"
    __table_args__ = (UniqueConstraint("base_name", "version"),)

    study_id: Mapped[int] = _study_key(primary_key=True)
    base_name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    parent_study_id: Mapped[int | None]
    seed: Mapped[int]
    fingerprint: Mapped[dict[str, str]] = mapped_column(Json)
    code: Mapped[str] = mapped_column(Text)
    metric: Mapped[str | None] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now)


class StudyStatus(Base):
    """Who may write a study, and how far it is; one row, updated with each trial.

    The owner's commit is one ``UPDATE`` of this row that also checks ``token``:
    an owner that lost its lease finds no row and cannot write. ``beat`` grows
    while the owner is alive; no wall clock decides anything.
    """

    __tablename__ = "study_status"

    study_id: Mapped[int] = _study_key(primary_key=True)
    token: Mapped[int] = mapped_column(default=0)  # fencing token, one higher with each owner
    beat: Mapped[int] = mapped_column(default=0)
    host: Mapped[str | None] = mapped_column(Text)  # NULL where nobody owns it
    pid: Mapped[int | None]
    pid_started: Mapped[float | None]
    last_trial_id: Mapped[int] = mapped_column(default=0)  # the owner may use trial ids up to here
    state: Mapped[str] = mapped_column(Text, default="new")
    target: Mapped[int | None]
    elapsed: Mapped[float] = mapped_column(default=0.0)
    note: Mapped[str] = mapped_column(Text, default="")


class TrialCommit(Base):
    """In which order trials were committed, and a hash of what was."""

    __tablename__ = "trial_commits"

    seq: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _study_key()
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.trial_id", ondelete="CASCADE"), unique=True)
    hash: Mapped[str] = mapped_column(Text)


class TrialLog(Base):
    """What a trial printed."""

    __tablename__ = "trial_logs"

    trial_id: Mapped[int] = mapped_column(
        ForeignKey("trials.trial_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    text: Mapped[str] = mapped_column(Text)


class LiveTrialRow(Base):
    """A trial in flight."""

    __tablename__ = "live_trials"

    study_id: Mapped[int] = _study_key(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    params: Mapped[dict[str, Any]] = mapped_column(Json)
    step: Mapped[int | None]
    value: Mapped[float | None]
    started_at: Mapped[dt.datetime] = mapped_column(UtcDateTime)
    worker: Mapped[str] = mapped_column(Text)  # unused, always "": study_status.workers has them


class TrialDeath(Base):
    """How often a trial was in flight when its kernel died."""

    __tablename__ = "trial_deaths"

    study_id: Mapped[int] = _study_key(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    deaths: Mapped[int]


class Request(Base):
    """What somebody asks of a study's owner: pause, resume, stop, more."""

    __tablename__ = "requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = _study_key(index=True)
    verb: Mapped[str] = mapped_column(Text)
    argument: Mapped[int | None]


class Migration(Base):
    """Which named steps this database has been through. Optuna's are in ``alembic_version``."""

    __tablename__ = "optuna_nb_migrations"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    applied_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=now)


STUDY_TABLES = [
    table
    for table in Base.metadata.sorted_tables
    if table not in (OPTUNA_STUDIES, OPTUNA_TRIALS, Migration.__table__)
]


def _follow(table: str, key: str, followers: list[str]) -> str:
    """Say a trigger that deletes what belongs to a row of Optuna's, whoever deletes that row.

    Optuna's own connections do not enforce foreign keys on SQLite, and an id
    that is used again would inherit what was left.
    """
    deletes = " ".join(f"DELETE FROM {name} WHERE {key} = OLD.{key};" for name in followers)  # noqa: S608 - fixed names
    return f"CREATE TRIGGER {table}_take_theirs AFTER DELETE ON {table} BEGIN {deletes} END"


FOLLOW_DELETES = (
    _follow("studies", "study_id", [table.name for table in STUDY_TABLES if "study_id" in table.columns]),
    # Not trial_commits: a commit without its trial is how a trial that went missing is noticed.
    _follow("trials", "trial_id", [TrialLog.__tablename__]),
)
