"""What stands in a study file, told by nothing but sqlite3 and JSON.

A trial's ``facts`` are all that it is, with floats as hex: equal means equal to
the last bit. They can be taken from the file and from a trial in memory, and
neither way goes through the package that is under test.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna.distributions import distribution_to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from optuna.trial import FrozenTrial

Facts = list[Any]
CHILDREN = {
    "trial_params": "param_name, param_value, distribution_json",
    "trial_values": "objective, value, value_type",
    "trial_intermediate_values": "step, intermediate_value, intermediate_value_type",
    "trial_user_attributes": "key, value_json",
    "trial_system_attributes": "key, value_json",
}
_OPTIMIZER = "cma:optimizer"  # Optuna cuts the text of a pickle into pieces of this name and a number
_OURS = ("trial_commits", "trial_logs")


@dataclass(frozen=True)
class Stored:
    """A study as it stands in the file."""

    numbers: list[int]  # of the trials, in the order of their numbers
    trials: list[Facts]  # in that order
    attributes: str  # a hash of the study's attributes
    integrity: str  # SQLite's verdict
    orphans: int  # rows that belong to no trial
    in_commits: int  # trials with a row in trial_commits


def short(value: object) -> str:
    """Hash a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def facts_of(trial: FrozenTrial) -> Facts:
    """Take the facts of a trial in memory."""
    return [
        trial.state.name,
        sorted(
            [name, _hex(trial.distributions[name].to_internal_repr(value)), short(_json(trial, name))]
            for name, value in trial.params.items()
        ),
        [[i, *_number(value)] for i, value in enumerate(trial.values or ())],
        sorted([step, *_number(value)] for step, value in trial.intermediate_values.items()),
        _attributes({key: json.dumps(value) for key, value in trial.user_attrs.items()}),
        _attributes({key: json.dumps(value) for key, value in trial.system_attrs.items()}),
    ]


def attributes_of(user: Mapping[str, Any], system: Mapping[str, Any], number_of: Mapping[int, int]) -> str:
    """Hash the attributes of a study.

    Args:
        user: The user's.
        system: Optuna's. Its genetic samplers keep the ids of parents there; they count by number.
        number_of: The number of the trial of each id.
    """
    system = {
        key: [number_of[i] for i in value] if ":parent:" in key else value for key, value in system.items()
    }
    return short([sorted((k, json.dumps(v)) for k, v in kind.items()) for kind in (user, system)])


def read(path: Path, study: str, *, mode: str = "ro") -> Stored:
    """Read a study from its file, and change nothing in it unless ``mode`` is ``rw``."""
    with closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=10)) as connection:
        connection.execute("BEGIN")
        found = connection.execute("SELECT study_id FROM studies WHERE study_name = ?", (study,)).fetchone()
        study_id = found[0] if found else -1
        heads = connection.execute(
            "SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number", (study_id,)
        ).fetchall()
        parts = {table: _rows(connection, table, columns) for table, columns in CHILDREN.items()}
        trials = [
            [state, *(sorted(parts[table].get(trial_id, [])) for table in CHILDREN)]
            for trial_id, _, state in heads
        ]
        ids = {trial_id for trial_id, _, _ in heads}
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        commits = _ids(connection, "trial_commits") if "trial_commits" in tables else []
        orphans = sum(len(ids_of - ids) for ids_of in map(set, parts.values()))
        orphans += sum(len(set(_ids(connection, table)) - ids) for table in _OURS if table in tables)
        user, system = (
            {
                key: json.loads(text)
                for key, text in connection.execute(
                    f"SELECT key, value_json FROM study_{kind}_attributes WHERE study_id = ?", (study_id,)
                )
            }
            for kind in ("user", "system")
        )
        return Stored(
            [number for _, number, _ in heads],
            trials,
            attributes_of(user, system, {trial_id: number for trial_id, number, _ in heads}),
            str(connection.execute("PRAGMA integrity_check").fetchone()[0]),
            orphans,
            len(ids & set(commits)),
        )


def _ids(connection: sqlite3.Connection, table: str) -> list[int]:
    return [trial_id for (trial_id,) in connection.execute(f"SELECT trial_id FROM {table}")]


def _rows(connection: sqlite3.Connection, table: str, columns: str) -> dict[int, list[list[Any]]]:
    return grouped(table, connection.execute(f"SELECT trial_id, {columns} FROM {table}"))


def grouped(table: str, found: Iterable[tuple[Any, ...]]) -> dict[int, list[list[Any]]]:
    """Make facts of the rows of a table, by trial id; the columns are those of ``CHILDREN``."""
    rows: dict[int, list[list[Any]]] = {}
    if table.endswith("attributes"):
        texts: dict[int, dict[str, str]] = {}
        for trial_id, name, text in found:
            texts.setdefault(trial_id, {})[name] = text
        return {trial_id: _attributes(of_trial) for trial_id, of_trial in texts.items()}
    for trial_id, name, *rest in found:
        if table == "trial_params":
            row = [name, _hex(rest[0]), short(rest[1])]
        else:
            row = [name, None if rest[0] is None else _hex(rest[0]), rest[1]]
        rows.setdefault(trial_id, []).append(row)
    return rows


def _attributes(texts: Mapping[str, str]) -> list[list[Any]]:
    """Make facts of a trial's attributes, given as JSON by name."""
    facts = [[key, short(text)] for key, text in texts.items() if _OPTIMIZER not in key]
    pieces = {key: json.loads(text) for key, text in texts.items() if _OPTIMIZER in key}
    if pieces:
        in_order = sorted(pieces, key=lambda key: int(key.rsplit(":", 1)[1]))
        facts.append([_OPTIMIZER, short(_optimizer("".join(pieces[key] for key in in_order)))])
    return sorted(facts)


def _optimizer(pickled: str) -> str:
    """Blank what an optimizer of cmaes has not written yet: its ``np.empty`` holds what lay there before."""
    optimizer = pickle.loads(bytes.fromhex(pickled))  # noqa: S301 - the study is the test's own
    if optimizer.generation < optimizer._funhist_term:  # generations 1, 2, ... have written their pairs
        optimizer._funhist_values[:2] = 0
        optimizer._funhist_values[2 * (optimizer.generation + 1) :] = 0
    return pickle.dumps(optimizer).hex()


def _hex(value: float) -> str:
    return float(value).hex()


def _json(trial: FrozenTrial, name: str) -> str:
    return distribution_to_json(trial.distributions[name])


def _number(value: float) -> tuple[str | None, str]:
    if math.isfinite(value):
        return float(value).hex(), "FINITE"
    if math.isnan(value):
        return None, "NAN"
    return None, "INF_POS" if value > 0 else "INF_NEG"
