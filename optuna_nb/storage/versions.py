"""Versions of a study: ``churn@1``, ``churn@2``, each with the code that made it.

A study that plain Optuna made has no version row; it is found under its own
name and becomes version 1 when it is first continued here.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import StudyNotFoundError
from optuna_nb.records import VERSIONED, StudyState, VersionRecord, base_name
from optuna_nb.storage.column_types import now
from optuna_nb.storage.dialect import has_table
from optuna_nb.storage.lease import Owner, seems_gone
from optuna_nb.storage.rows import plain_text
from optuna_nb.storage.schema import StudyVersion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.storage.dialect import Connection

_COLUMNS = "study_id, study_name, base_name, version, seed, fingerprint, code, metric, model, parent_study_id"


def study_name(base_name: str, version: int) -> str:
    """Return the name that Optuna's table holds."""
    return f"{base_name}@{version}"


def renamed(version: VersionRecord, name: str, *, alone: bool) -> VersionRecord:
    """Return a version under another name: alone, it is the first one of that name."""
    adopted = version.study_name == version.base_name  # plain Optuna made it, under its own name
    number = 1 if alone else version.version
    new = name if adopted else study_name(name, number)
    return replace(version, base_name=name, version=number, study_name=new)


def find(connection: Connection, name: str) -> VersionRecord | None:
    """Find a study: ``churn`` is its newest version, ``churn@1`` that one, else an Optuna study."""
    name = plain_text(name, "study name")
    if _has_versions(connection):
        select = f"SELECT {_COLUMNS} FROM study_versions JOIN studies USING (study_id)"  # noqa: S608
        row = connection.execute(
            f"{select} WHERE base_name = ? ORDER BY version DESC LIMIT 1", (name,)
        ).fetchone()
        if row is None and (match := VERSIONED.fullmatch(name)):
            row = connection.execute(
                f"{select} WHERE base_name = ? AND version = ?", (match[1], int(match[2]))
            ).fetchone()
        if row is not None:
            return _record(row)
    return _plain(connection, name)


def _plain(connection: Connection, name: str) -> VersionRecord | None:
    """Find a study that plain Optuna made."""
    row = connection.execute("SELECT study_id FROM studies WHERE study_name = ?", (name,)).fetchone()
    return None if row is None else VersionRecord(row[0], name, name, 0, 0, {}, "")


def find_exactly(connection: Connection, study_name: str) -> VersionRecord | None:
    """Find the study that Optuna knows by a name, which is a version of ours or not."""
    if _has_versions(connection):
        select = f"SELECT {_COLUMNS} FROM study_versions JOIN studies USING (study_id)"  # noqa: S608
        row = connection.execute(f"{select} WHERE study_name = ?", (study_name,)).fetchone()
        if row is not None:
            return _record(row)
    return _plain(connection, study_name)


def name_of_one(connection: Connection, version: VersionRecord) -> str:
    """Return a name that finds this very version; plain Optuna's own name of one stands for the newest."""
    if (
        version.study_name != version.base_name
        or version.version == 0
        or find(connection, version.base_name) == version
    ):
        return version.study_name
    return study_name(version.base_name, version.version)


def _record(row: tuple[Any, ...]) -> VersionRecord:
    study_id, name, base_name, number, seed, fingerprint, code, metric, model, parent = row
    return VersionRecord(
        study_id, name, base_name, number, seed, json.loads(fingerprint), code, metric, model, parent
    )


def _current(connection: Connection, base_name: str) -> VersionRecord | None:
    """Find the version that runs, else the one that ran last."""
    if not _has_versions(connection):
        return None
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM study_versions JOIN studies USING (study_id)"  # noqa: S608
        " LEFT JOIN study_status USING (study_id) WHERE base_name = ? ORDER BY host IS NOT NULL DESC,"
        " (SELECT max(created_at) FROM tuning_runs WHERE tuning_runs.study_name = studies.study_name) DESC"
        " NULLS LAST, version DESC LIMIT 1",
        (base_name,),
    ).fetchone()
    return None if row is None else _record(row)


def resolve(connection: Connection, name: str) -> VersionRecord:
    """Find a study for a view or a verb: ``churn`` is the version that runs, or ran last.

    Raises:
        StudyNotFoundError: If there is none of that name; the message lists what there is.
    """
    found = _current(connection, name) or find(connection, name)
    if found is None:
        names = [n for (n,) in connection.execute(_NEWEST_NAMES)]
        nearest = ", ".join(_nearest_first(name, names))
        there = f"the database has {nearest}" if names else "the database has no study yet"
        msg = f"there is no study {name!r}: {there}"
        raise StudyNotFoundError(msg, code="NB401")
    return found


def owner_of(connection: Connection, version: VersionRecord) -> Owner | None:
    """Return the process that is at work on a version, if one is."""
    if not _has_versions(connection):  # plain Optuna leaves no word of who is
        return None
    row = connection.execute(
        "SELECT host, pid, pid_started FROM study_status WHERE study_id = ?", (version.study_id,)
    ).fetchone()
    if row is None or row[0] is None or seems_gone(connection, version.study_id, Owner(*row)):
        return None
    return Owner(*row)


def all_of(connection: Connection, base_name: str) -> list[VersionRecord]:
    """Return all versions of a study, oldest first; none of a study that plain Optuna made."""
    if not _has_versions(connection):
        return []
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM study_versions JOIN studies USING (study_id)"  # noqa: S608
        " WHERE base_name = ? ORDER BY version",
        (base_name,),
    )
    return [_record(row) for row in rows.fetchall()]


_NEWEST_NAMES = "SELECT study_name FROM studies ORDER BY study_id DESC LIMIT 1000"
_NAMED = 5  # studies that a message names


def _nearest_first(name: str, names: Sequence[str]) -> list[str]:
    """Choose the names that were most likely meant, then the newest."""
    bare = {base_name(it): it for it in reversed(names)}  # of each study its newest version
    near = [bare[it] for it in difflib.get_close_matches(base_name(name), bare, n=3)]
    return [*near, *(it for it in names if it not in near)][:_NAMED]


def add(connection: Connection, version: VersionRecord) -> None:
    """Record a version of a study, in the caller's transaction."""
    connection.execute(
        "INSERT INTO study_versions (study_id, base_name, version, parent_study_id, seed, fingerprint,"
        " code, metric, model, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            version.study_id,
            version.base_name,
            version.version,
            version.parent_study_id,
            version.seed,
            json.dumps(dict(version.fingerprint)),
            version.code,
            version.metric,
            version.model,
            now().replace(tzinfo=None).isoformat(" ", "microseconds"),
        ),
    )


def replace_code(
    connection: Connection, study_id: int, code: str, fingerprint: Mapping[str, str], seed: int
) -> None:
    """Let new code take the place of that of a version."""
    connection.execute(
        "UPDATE study_versions SET code = ?, fingerprint = ?, seed = ? WHERE study_id = ?",
        (code, json.dumps(dict(fingerprint)), seed, study_id),
    )


def set_fingerprint(connection: Connection, study_id: int, fingerprint: Mapping[str, str]) -> None:
    """Record what else is known of a fingerprint, in the caller's transaction."""
    connection.execute(
        "UPDATE study_versions SET fingerprint = ? WHERE study_id = ?",
        (json.dumps(dict(fingerprint)), study_id),
    )


def list_all(connection: Connection) -> list[dict[str, Any]]:
    """List the studies, newest first, with how far each is."""
    versions = "LEFT JOIN study_versions USING (study_id) LEFT JOIN study_status USING (study_id)"
    joins, columns = (
        (versions, "state, target, metric, created_at, host, pid, pid_started")
        if _has_versions(connection)
        else (
            "",
            "NULL, NULL, NULL, NULL, NULL, NULL, NULL",
        )
    )
    rows = connection.execute(
        f"SELECT study_name, (SELECT count(*) FROM trials WHERE trials.study_id = studies.study_id"  # noqa: S608
        f" AND trials.state IN ('COMPLETE', 'PRUNED', 'FAIL')), {columns}, study_id FROM studies {joins}"
        " ORDER BY studies.study_id DESC"
    )
    keys = ("name", "done", "state", "target", "metric", "created_at")
    return [
        {
            **dict(zip(keys, row[:6], strict=True)),
            "state": state(connection, row[9], row[2], row[6:9]),
            "study_id": row[9],
        }
        for row in rows.fetchall()
    ]


def state(connection: Connection, study_id: int, stored: str | None, owner: tuple[Any, ...]) -> StudyState:
    """Return what a study is doing: what its owner wrote, if that owner lives."""
    known = StudyState(stored or StudyState.NEW)
    if not known.is_active:
        return known
    gone = owner[0] is None or seems_gone(connection, study_id, Owner(*owner))
    return StudyState.INTERRUPTED if gone else known


def state_of(connection: Connection, version: VersionRecord) -> StudyState:
    """Return what a study is doing, without a look at its trials."""
    row = None
    if _has_versions(connection):
        row = connection.execute(
            "SELECT state, host, pid, pid_started FROM study_status WHERE study_id = ?", (version.study_id,)
        ).fetchone()
    return StudyState.NEW if row is None else state(connection, version.study_id, row[0], row[1:])


def _has_versions(connection: Connection) -> bool:
    return has_table(connection, StudyVersion.__tablename__)
