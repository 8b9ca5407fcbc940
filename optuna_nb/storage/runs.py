"""Records: what was tried, when, how, and what came of it.

Each execution of a tuning cell is one row of ``tuning_runs``. It starts as
``running`` and ends once, as ``completed`` or ``failed``, together with its
results in one transaction.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import sqlalchemy
from sqlalchemy import func, insert, select, update

from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import RecordsFound
from optuna_nb.storage.column_types import now
from optuna_nb.storage.record_tables import Experiment, ModelRun, RunEvent, TuningRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna_nb.records import Baseline, RunStart
    from optuna_nb.storage.record_database import RecordDatabase

KERNEL_ENDED = {"error": "kernel ended", "error_type": "KernelEnded"}
_SHORTEST_ID = 4
_ID_DIGITS = 32


def start_run(
    database: RecordDatabase,
    start: RunStart,
    so_far: Callable[[], tuple[Mapping[str, Any] | None, Mapping[str, Any]]] | None = None,
) -> UUID:
    """Record that a tuning run starts, and close the ones that a dead kernel left open.

    The caller owns the study, so a run of it that is still marked as running
    belongs to a kernel that is gone.

    Args:
        database: Where the records are.
        start: What is known of the run.
        so_far: Gives best parameters and results of the whole study up to now,
            for the run that a dead kernel left open; called only if there is one.
    """
    with database.records() as connection:
        parent = connection.scalar(
            select(TuningRun.id)
            .where(TuningRun.study_name == start.study_name)
            .order_by(TuningRun.created_at.desc())
            .limit(1)
        )
        _close_left_open(connection, start.study_name, so_far)
        run_id = uuid4()
        connection.execute(
            insert(TuningRun).values(
                id=run_id,
                model_run_id=_model_run(connection, start),
                tuning_method=start.method,
                config=dict(start.config),
                user_notes=start.notes,
                tags=list(start.tags) or None,
                started_at=now(),
                parent_tuning_run_id=parent,
                study_name=start.study_name,
            )
        )
        _event(connection, run_id, "started", {"parent": None if parent is None else str(parent)})
    return run_id


def last_flags(database: RecordDatabase, study_name: str) -> dict[str, Any]:
    """Return the flags of a study's newest run; empty where it has none."""
    with database.records() as connection:
        config = connection.scalar(
            select(TuningRun.config)
            .where(TuningRun.study_name == study_name)
            .order_by(TuningRun.created_at.desc())
            .limit(1)
        )
    return dict((config or {}).get("flags", {}))


def _close_left_open(
    connection: sqlalchemy.Connection,
    study_name: str,
    so_far: Callable[[], tuple[Mapping[str, Any] | None, Mapping[str, Any]]] | None,
) -> None:
    of_study = TuningRun.study_name == study_name
    left_open = connection.scalars(select(TuningRun.id).where(of_study, TuningRun.status == "running")).all()
    if not left_open:
        return
    best_params, whole = (None, {}) if so_far is None else so_far()
    seconds, trials = connection.execute(
        select(
            func.coalesce(func.sum(TuningRun.tuning_time), 0.0),
            func.sum(TuningRun.n_iterations),
        ).where(of_study)
    ).one()
    earlier = int(trials or 0)
    results = {**whole, **KERNEL_ENDED}
    if "tuning_time" in whole:
        results["tuning_time"] = max(round(whole["tuning_time"] - seconds, 6), 0.0)
    for run_id in left_open:
        values = {
            "status": "failed",
            "completed_at": now(),
            "best_params": None if best_params is None else dict(best_params),
            "results": results,
            "n_iterations": max(int(whole.get("total_combinations", earlier)) - earlier, 0),
        }
        connection.execute(update(TuningRun).where(TuningRun.id == run_id).values(values))
        _event(connection, run_id, "killed", {"reason": "kernel ended"})


def end_run(
    database: RecordDatabase,
    run_id: UUID,
    *,
    status: str,
    n_iterations: int,
    best_params: Mapping[str, Any] | None,
    results: Mapping[str, Any],
    baseline: Baseline | None = None,
) -> None:
    """Record how a tuning run ended; a run that has ended is left as it is.

    The model run gets what the model scored with its defaults, where that is known.
    """
    with database.records() as connection:
        if baseline is not None:
            connection.execute(
                update(ModelRun)
                .where(
                    ModelRun.id
                    == select(TuningRun.model_run_id).where(TuningRun.id == run_id).scalar_subquery()
                )
                .values(
                    hyperparameters=dict(baseline.params),
                    metrics=dict(baseline.metrics),
                    training_time=baseline.seconds,
                )
            )
        connection.execute(
            update(TuningRun)
            .where(TuningRun.id == run_id, TuningRun.status == "running")
            .values(
                status=status,
                completed_at=now(),
                n_iterations=n_iterations,
                best_params=None if best_params is None else dict(best_params),
                results=dict(results),
            )
        )


def _event(connection: sqlalchemy.Connection, run_id: UUID, kind: str, payload: dict[str, Any]) -> None:
    connection.execute(insert(RunEvent).values(tuning_run_id=run_id, time=now(), kind=kind, payload=payload))


def _model_run(connection: sqlalchemy.Connection, start: RunStart) -> UUID:
    """Return the model run of this code in this experiment; make both where they are new."""
    experiment = _experiment(connection, start)
    known = connection.scalar(
        select(ModelRun.id).where(
            ModelRun.experiment_id == experiment,
            ModelRun.model_type == start.model_type,
            ModelRun.code == start.code,
            ModelRun.status == "completed",
        )
    )
    if known is not None:
        return known
    model_run = uuid4()
    connection.execute(
        insert(ModelRun).values(
            id=model_run,
            experiment_id=experiment,
            model_type=start.model_type,
            code=start.code,
            status="completed",  # the model as the cell defines it; nothing of it is left to be trained
        )
    )
    return model_run


def _experiment(connection: sqlalchemy.Connection, start: RunStart) -> UUID:
    """Find or make the experiment that was named, else the one of the notebook.

    A second notebook of the same name gets an experiment of its own, ``churn (2)``.
    """
    if start.experiment is not None:
        return _experiment_of_name(connection, start.experiment, start.notebook)[0]
    path = PurePath(start.notebook or "")
    stem = (path.stem if path.suffix == ".ipynb" else path.name) or "default"
    for number in itertools.count(1):
        name = stem if number == 1 else f"{stem} ({number})"
        found, notebook = _experiment_of_name(connection, name, start.notebook)
        if notebook == start.notebook:
            return found
    raise AssertionError  # count() has no end


def _experiment_of_name(
    connection: sqlalchemy.Connection, name: str, notebook: str | None
) -> tuple[UUID, str | None]:
    query = select(Experiment.id, Experiment.notebook).where(Experiment.name == name)
    query = query.order_by(Experiment.created_at).limit(1)
    found = connection.execute(query).first()
    if found is None:
        # A unique index of PostgreSQL refuses it where another kernel made it in this moment.
        with contextlib.suppress(sqlalchemy.exc.IntegrityError), connection.begin_nested():
            connection.execute(
                insert(Experiment).values(id=uuid4(), name=name, user=_user(), notebook=notebook)
            )
        found = connection.execute(query).one()
    return found[0], found[1]


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return None


def delete_runs(database: RecordDatabase, study_name: str) -> None:
    """Delete the tuning runs of a study."""
    with database.records() as connection:
        connection.execute(sqlalchemy.delete(TuningRun).where(TuningRun.study_name == study_name))


def find_records(
    database: RecordDatabase, *, experiment: str | None = None, model_run: str | None = None
) -> RecordsFound:
    """Say what would go if an experiment or a model run were deleted.

    Args:
        database: Where the records are.
        experiment: Name of an experiment, or
        model_run: id of a model run, or how it begins.

    Raises:
        InvalidOptionError: If there is none of that name.
    """
    with database.records() as connection:
        if experiment is not None:
            root = connection.scalar(select(Experiment.id).where(Experiment.name == experiment))
            if root is None:
                there = ", ".join(connection.scalars(select(Experiment.name).limit(5))) or "none yet"
                msg = f"there is no experiment {experiment!r}: the database has {there}"
                raise InvalidOptionError(msg, code="NB414")
            models = select(ModelRun.id).where(ModelRun.experiment_id == root)
            what = f"experiment {experiment!r}"
        else:
            root = by_id(connection, ModelRun, str(model_run), "model run")
            models = select(ModelRun.id).where(ModelRun.id == root)
            what = f"model run {root}"
        ids = connection.scalars(models).all()
        runs = connection.execute(
            select(TuningRun.study_name, TuningRun.status).where(TuningRun.model_run_id.in_(models))
        ).all()
    studies = sorted({name for name, _ in runs if name is not None})
    running = sorted({name for name, status in runs if name is not None and status == "running"})
    return RecordsFound(
        what, root, experiment is not None, len(ids), len(runs), tuple(studies), tuple(running)
    )


def delete_records(database: RecordDatabase, found: RecordsFound) -> None:
    """Delete an experiment or a model run with all that hangs on it, in one transaction."""
    table: type[Experiment | ModelRun] = Experiment if found.is_experiment else ModelRun
    with database.records() as connection:
        connection.execute(sqlalchemy.delete(table).where(table.id == found.id))


def by_id(connection: sqlalchemy.Connection, table: type[ModelRun | TuningRun], text: str, what: str) -> UUID:
    """Find a row by its id, or by how its id begins.

    Raises:
        InvalidOptionError: If none or several begin so.
    """
    digits = text.strip().lower().replace("-", "")
    found: list[UUID] = []
    if _SHORTEST_ID <= len(digits) <= _ID_DIGITS and set(digits) <= set("0123456789abcdef"):
        first, last = UUID(digits.ljust(_ID_DIGITS, "0")), UUID(digits.ljust(_ID_DIGITS, "f"))
        found = list(connection.scalars(select(table.id).where(table.id.between(first, last)).limit(2)))
    if len(found) != 1:
        many = "several begin" if found else "none begins"
        msg = f"there is no {what} {text!r} ({many} so): %tune runs shows the ids"
        raise InvalidOptionError(msg, code="NB414")
    return found[0]
