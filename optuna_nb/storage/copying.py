"""A study on its way from one database to another: read whole, written in one transaction.

Export and import meet here. Trial ids are kept where they are free and moved by
one offset where they are not; what refers to them moves along, such as the
parents that NSGA-II and NSGA-III remember by id.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from optuna_nb.errors import InvalidOptionError, StorageError
from optuna_nb.records import StudyState, VersionRecord
from optuna_nb.storage import versions, writer
from optuna_nb.storage.dialect import insert_study_row, pipelined, take_trial_ids
from optuna_nb.storage.loader import load_study, one_moment
from optuna_nb.storage.memory import changed
from optuna_nb.storage.migrations import applied_steps
from optuna_nb.storage.opening import open_file, open_read_only
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.rows import encode, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from optuna.study import StudyDirection

    from optuna_nb.storage.dialect import Connection, StudyDatabase

_AT_ONCE = 200  # trials that are sent before the server's answers are read
_PARENTS = re.compile(r"(?s).+:parent:\d+")  # study attribute of the genetic samplers: a list of trial ids
_NOTE = re.compile(r"(?s)(dashboard:(?:artifacts:)?)(\d+)(:.+)")  # of optuna-dashboard: an id in the key


@dataclass(frozen=True, slots=True)
class StudyCopy:
    """All of one study that another database can hold."""

    name: str
    directions: Sequence[StudyDirection]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: Sequence[FrozenTrial]  # finished or waiting
    left_out: int = 0  # trials that were running
    version: VersionRecord | None = None  # of a study of ours
    elapsed: float = 0.0
    target: int | None = None  # trials in total that were asked for
    logs: Mapping[int, str] = field(default_factory=dict)  # by trial id


def is_movable(trial: FrozenTrial) -> bool:
    """Whether a trial is finished or waits; one that runs belongs to a process elsewhere."""
    return trial.state != TrialState.RUNNING


def read_study(connection: Connection, name: str, *, exactly: bool = False) -> StudyCopy:
    """Read a study whole, as of one moment.

    Args:
        connection: Of its database.
        name: As a user says it.
        exactly: Whether it is the name that Optuna has for it.

    Raises:
        StudyNotFoundError: If there is no such study.
        StorageError: If a trial is not what was once committed.
    """
    with one_moment(connection):
        found = versions.find_exactly(connection, name) if exactly else None
        version = found or versions.resolve(connection, name)
        memory = load_study(connection, version.study_id)
        elapsed, target, logs = 0.0, None, {}
        if applied_steps(connection):
            key = (version.study_id,)
            row = connection.execute(
                "SELECT elapsed, target FROM study_status WHERE study_id = ?", key
            ).fetchone()
            elapsed, target = row or (0.0, None)
            sql = "SELECT trial_id, text FROM trial_logs JOIN trials USING (trial_id) WHERE study_id = ?"
            logs = dict(connection.execute(sql, key))
    trials = [trial for trial in memory.trials if is_movable(trial)]
    return StudyCopy(
        version.study_name,
        memory.directions,
        memory.user_attrs,
        memory.system_attrs,
        trials,
        len(memory.trials) - len(trials),
        version if version.version else None,
        elapsed,
        target,
        logs,
    )


def write_study(database: StudyDatabase, copy: StudyCopy, name: str | None = None) -> str:
    """Write a study into a database, in one transaction.

    Args:
        database: Where to.
        copy: The study.
        name: What it is to be called there; None for the name that it has.

    Returns:
        Its name there, with the version where it has one.

    Raises:
        InvalidOptionError: If there is a study of that name.
    """
    return write_versions(database, [copy], name)[0]


def write_versions(
    database: StudyDatabase, copies: Sequence[StudyCopy], name: str | None = None
) -> list[str]:
    """Write the versions of one study into a database, in one transaction; see :func:`write_study`."""
    written: list[str] = []
    ids: dict[int, int] = {}  # of a version there -> here
    with database.transaction() as connection:
        for copy in copies:
            version = _renamed(copy, name, alone=len(copies) == 1)
            study_name = version.study_name if version is not None else name or copy.name
            _check_free(connection, study_name, version)
            study_id = _write(connection, copy, study_name)
            if version is not None:
                ids[version.study_id] = study_id
                parent = None if version.parent_study_id is None else ids.get(version.parent_study_id)
                versions.add(connection, replace(version, study_id=study_id, parent_study_id=parent))
            written.append(study_name)
    return written


def _write(connection: Connection, copy: StudyCopy, study_name: str) -> int:
    ids = [trial._trial_id for trial in copy.trials] or [1]
    offset = take_trial_ids(connection, max(ids) - min(ids) + 1, least=min(ids)) - min(ids)
    study_id = insert_study_row(connection, study_name)
    connection.executemany(
        "INSERT INTO study_directions (direction, study_id, objective) VALUES (?, ?, ?)",
        [(direction.name, study_id, i) for i, direction in enumerate(copy.directions)],
    )
    for kind, attrs in (("user", copy.user_attrs), ("system", _moved(copy.system_attrs, offset))):
        connection.executemany(
            f"INSERT INTO study_{kind}_attributes (study_id, key, value_json) VALUES (?, ?, ?)",  # noqa: S608
            [(study_id, key, to_json(value)) for key, value in attrs.items()],
        )
    for begin in range(0, len(copy.trials), _AT_ONCE):
        with pipelined(connection):
            for trial in copy.trials[begin : begin + _AT_ONCE]:
                twin = changed(trial)
                twin._trial_id = trial._trial_id + offset
                writer.insert(connection, encode(twin, study_id))
    connection.executemany(
        "INSERT INTO trial_logs (trial_id, text) VALUES (?, ?)",
        [(trial_id + offset, text) for trial_id, text in copy.logs.items()],
    )
    connection.execute(
        "INSERT INTO study_status (study_id, token, beat, last_trial_id, state, target, elapsed, note)"
        " VALUES (?, 0, 0, 0, ?, ?, ?, '')",
        (
            study_id,
            StudyState.STOPPED.value if copy.trials else StudyState.NEW.value,
            copy.target,
            copy.elapsed,
        ),
    )
    return study_id


def _renamed(copy: StudyCopy, name: str | None, *, alone: bool) -> VersionRecord | None:
    version = copy.version
    return version if version is None or name is None else versions.renamed(version, name, alone=alone)


def _check_free(connection: Connection, study_name: str, version: VersionRecord | None) -> None:
    base = study_name if version is None else version.base_name
    found = versions.find(connection, base)
    taken = connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (study_name,)).fetchone()
    same_line = found is not None and version is not None and found.base_name == base and found.version > 0
    if taken or (found is not None and not same_line) or _has_version(connection, version):
        msg = f"there is a study {base!r} already: choose another name with --name"
        raise InvalidOptionError(msg, code="NB412")


def _has_version(connection: Connection, version: VersionRecord | None) -> bool:
    if version is None:
        return False
    sql = "SELECT 1 FROM study_versions WHERE base_name = ? AND version = ?"
    return connection.execute(sql, (version.base_name, version.version)).fetchone() is not None


def _moved(attrs: Mapping[str, Any], offset: int) -> dict[str, Any]:
    """Let what names trials by id name them by their new ids."""
    moved: dict[str, Any] = {}
    for key, value in attrs.items():
        if _PARENTS.fullmatch(key) and isinstance(value, list):
            moved[key] = [i + offset if isinstance(i, int) else i for i in value]
        elif match := _NOTE.fullmatch(key):
            moved[f"{match[1]}{int(match[2]) + offset}{match[3]}"] = value
        else:
            moved[key] = value
    return moved


def export_database(url: str, name: str, target: Path) -> int:
    """Write one study into a file of its own, which plain Optuna reads; ids are kept.

    The file is built aside and put in its place whole.

    Args:
        url: Where the study is.
        name: The study.
        target: The file; an earlier export of the same study is replaced.

    Returns:
        How many trials it holds.

    Raises:
        StorageError: If the study cannot be read or the file not be written.
        InvalidOptionError: If the file is something else.
    """
    with contextlib.closing(open_read_only(url)) as connection:
        copy = read_study(connection, name)
    _check_replaceable(target, copy)
    with written_aside(target) as draft:
        database = open_file(f"sqlite:///{draft}")
        try:
            write_study(database, copy)
            with translated(draft):
                database.connection.execute(
                    "PRAGMA journal_mode = DELETE"
                ).fetchall()  # one file, no log beside it
        finally:
            database.close()
    return len(copy.trials)


@contextlib.contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Give a path to write to, and put what was written there in its place whole.

    Raises:
        StorageError: If it cannot be written.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}.export")
    try:
        _remove(draft)  # a process of this number was killed while it wrote
        yield draft
        draft.replace(target)
    except OSError as error:
        msg = f"{target} cannot be written ({error.strerror or error}): name another file"
        raise StorageError(msg, code="NB504") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(draft)


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _check_replaceable(target: Path, copy: StudyCopy) -> None:
    """Refuse to replace anything but an earlier export, whose trials are all in the new one."""
    if not target.exists():
        return
    if target.with_name(f"{target.name}-wal").exists():
        raise taken(target, copy.name)
    try:
        with contextlib.closing(open_read_only(str(target))) as connection, translated(target):
            names = [found for (found,) in connection.execute("SELECT study_name FROM studies")]
            is_earlier = names == [copy.name] and _moments(read_study(connection, *names)) <= _moments(copy)
    except StorageError:
        is_earlier = False
    if not is_earlier:
        raise taken(target, copy.name)


def taken(target: Path, name: str) -> InvalidOptionError:
    """Refuse to write over a file that is no export of a study."""
    msg = f"{target} is there already and is not an export of {name}: name another file"
    return InvalidOptionError(msg, code="NB511")


def _moments(copy: StudyCopy) -> set[tuple[int, datetime | None]]:
    return {(trial.number, trial.datetime_complete) for trial in copy.trials if trial.state.is_finished()}
