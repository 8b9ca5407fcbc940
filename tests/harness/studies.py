"""Looks at a study file with nothing but sqlite3 and plain Optuna.

What these functions say does not depend on the package that is under test.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Trajectory = list[tuple[int, str, tuple[tuple[str, str], ...]]]


def finished_trials(path: Path, study: str) -> int:
    """Count the finished trials of a study in the file; 0 while it does not exist."""
    if not path.exists():
        return 0
    query = (
        "SELECT count(*) FROM trials JOIN studies USING (study_id)"
        " WHERE study_name = ? AND state IN ('COMPLETE', 'PRUNED', 'FAIL')"
    )
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            return int(connection.execute(query, (study,)).fetchone()[0])
    except sqlite3.OperationalError:  # the file is there, its tables are not yet
        return 0


def wait_for_trials(path: Path, study: str, count: int, timeout: float = 60) -> int:
    """Wait until the file holds at least ``count`` finished trials; return how many it holds."""
    deadline = time.monotonic() + timeout
    while (found := finished_trials(path, study)) < count:
        assert time.monotonic() < deadline, f"{found} of {count} trials of {study} after {timeout} s"
        time.sleep(0.02)
    return found


def integrity(path: Path) -> str:
    """Return SQLite's own verdict on the file, ``"ok"`` when it is whole."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def trajectory(path: Path, study: str) -> Trajectory:
    """Return number, value and parameters of each trial as plain Optuna reads them.

    Floats are given as hex, so that equal means equal to the last bit. Trials
    that are not finished are an error: no zombie may be left.
    """
    import optuna

    loaded = optuna.load_study(study_name=study, storage=f"sqlite:///{path}")
    steps: Trajectory = []
    for trial in loaded.get_trials(deepcopy=False):
        assert trial.state.is_finished(), f"trial {trial.number} was left {trial.state.name}"
        value = "none" if trial.value is None else float(trial.value).hex()
        params = tuple(
            (name, param.hex() if isinstance(param, float) else repr(param))
            for name, param in sorted(trial.params.items())
        )
        steps.append((trial.number, value, params))
    loaded._storage.remove_session()
    return steps
