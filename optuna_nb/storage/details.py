"""What a view asks for when a person opens it: curves, logs, versions, runs.

Each function reads on demand, only what is drawn, on the reader's own connection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from optuna_nb.records import Cluster, Curve, RunView, VersionView, WorkerView, thinned
from optuna_nb.storage.column_types import from_json
from optuna_nb.storage.rows import decode_number, text_to_time
from optuna_nb.storage.views import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.storage.dialect import Connection

_MOST_STEPS = 160  # points of a curve

_STEPS = (
    "SELECT step, intermediate_value, intermediate_value_type FROM trial_intermediate_values"
    " WHERE trial_id = ? ORDER BY step"
)


def cluster(text: str) -> Cluster:
    """Read what a run says of its workers."""
    said = json.loads(text)
    workers = tuple(WorkerView(**it | {"trials": tuple(it["trials"])}) for it in said["workers"])
    return Cluster(workers, said["count"], said["dashboard"])


def curves(connection: Connection, study_id: int, numbers: Sequence[int]) -> list[Curve]:
    """Read the reported values of some trials; a long curve keeps the extremes of each stretch."""
    found = []
    for number in numbers:
        row = connection.execute(
            "SELECT trial_id, state FROM trials WHERE study_id = ? AND number = ?", (study_id, number)
        ).fetchone()
        if row is None:
            continue
        rows = connection.execute(_STEPS, row[:1])
        points = [(step, decode_number(value, kind)) for step, value, kind in rows]
        if points and row[1] in OUTCOMES:
            found.append(Curve(number, OUTCOMES[row[1]], tuple(thinned(points, _MOST_STEPS))))
    return found


def numbers_with_steps(connection: Connection, study_id: int, newest: int) -> list[int]:
    """Return which of the newest trials have reported anything, newest first."""
    rows = connection.execute(
        "SELECT number FROM (SELECT trial_id, number FROM trials WHERE study_id = ?"
        " ORDER BY trial_id DESC LIMIT ?) AS newest WHERE EXISTS"
        " (SELECT 1 FROM trial_intermediate_values AS steps WHERE steps.trial_id = newest.trial_id)",
        (study_id, newest),
    )
    return [number for (number,) in rows]


def log(connection: Connection, study_id: int, number: int) -> str | None:
    """Read what one trial printed; None where no log of it is kept."""
    row = connection.execute(
        "SELECT text FROM trial_logs JOIN trials USING (trial_id) WHERE study_id = ? AND number = ?",
        (study_id, number),
    ).fetchone()
    return None if row is None else str(row[0])


def numbers_with_log(connection: Connection, study_id: int, limit: int) -> list[int]:
    """Return the newest trials that printed something, newest first."""
    rows = connection.execute(
        "SELECT number FROM trial_logs JOIN trials USING (trial_id)"
        " WHERE study_id = ? AND text <> '' ORDER BY trial_id DESC LIMIT ?",
        (study_id, limit),
    )
    return [number for (number,) in rows]


def version_views(connection: Connection, study_id: int) -> list[VersionView]:
    """Read all versions of the study that one of them belongs to, oldest first."""
    rows = connection.execute(
        "SELECT studies.study_id, study_name, version, code, fingerprint, seed, created_at,"
        " (SELECT study_name FROM studies AS parents WHERE parents.study_id = parent_study_id)"
        " FROM study_versions JOIN studies USING (study_id) WHERE base_name ="
        " (SELECT base_name FROM study_versions WHERE study_id = ?) ORDER BY version",
        (study_id,),
    )
    return [
        VersionView(name, version, code, json.loads(marks), seed, text_to_time(made), parent)
        for _, name, version, code, marks, seed, made, parent in rows
    ]


def run_views(connection: Connection, names: Sequence[str]) -> list[RunView]:
    """Read the tuning runs of some studies, oldest first."""
    marks = ", ".join("?" * len(names))
    rows = connection.execute(
        "SELECT id, study_name, status, tuning_method, n_iterations, started_at, completed_at, config,"  # noqa: S608
        " results, best_score, user_notes, tags, parent_tuning_run_id, tuning_time FROM tuning_runs"
        f" WHERE study_name IN ({marks}) ORDER BY created_at",
        tuple(names),
    ).fetchall()
    position = {row[0]: index + 1 for index, row in enumerate(rows)}
    return [_run(index + 1, row, position) for index, row in enumerate(rows)]


def _run(index: int, row: tuple[Any, ...], position: dict[str, int]) -> RunView:
    (
        _,
        name,
        status,
        method,
        count,
        started,
        completed,
        config,
        results,
        best,
        notes,
        tags,
        parent,
        seconds,
    ) = row
    settings = from_json(config) if config else {}
    outcome = from_json(results) if results else {}
    return RunView(
        index=index,
        study=name,
        status=status,
        method=method,
        trials=count,
        started=text_to_time(started),
        completed=text_to_time(completed),
        flags=settings.get("flags") or {},
        versions=settings.get("versions") or {},
        best=best,  # the column holds numbers alone; in JSON a NaN is a text
        error=str(outcome.get("error") or ""),
        notes=notes or "",
        tags=tuple(from_json(tags)) if tags else (),
        parent=position.get(parent),
        seconds=seconds,
        log=str(outcome.get("log") or ""),
    )


def time_limit(connection: Connection, name: str) -> float | None:
    """Return the elapsed seconds at which the run in progress ends by its timeout, or None."""
    row = connection.execute(
        "SELECT config FROM tuning_runs WHERE study_name = ? AND status = 'running'"
        " ORDER BY created_at DESC LIMIT 1",
        (name,),
    ).fetchone()
    if row is None or not row[0]:
        return None
    settings = from_json(row[0])
    timeout = (settings.get("flags") or {}).get("timeout")
    return None if timeout is None else float(timeout) + float(settings.get("elapsed_before") or 0.0)
