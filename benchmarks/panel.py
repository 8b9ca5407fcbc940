"""What the panel costs with a long study: time to the first paint, and kernel CPU of each update.

The study has 10,000 trials of 30 parameters with 1,000 reported steps each (about 500 MB; ``--steps 100``
makes a smaller one). It is written by SQL, without running anything. The panel needs no notebook to be
measured: what a page would get is made, and thrown away.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from optuna_nb.display import report
from optuna_nb.display.tabs.catalogue import TABS
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.display.widgets import LiveView
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.storage.reader import Reader
from optuna_nb.tuning import api

FIRST_PAINT, UPDATE, IDLE = 1.0, 0.050, 0.001  # seconds that are promised


def write_study(file: Path, trials: int, params: int, steps: int) -> None:
    """Make a study by a short run, and add the rest by SQL."""

    def objective(trial: Any) -> float:
        return float(sum(trial.suggest_float(f"parameter_{i}", 0, 1) for i in range(params)))

    options = TuneOptions(name="long", storage=f"sqlite:///{file}", trials=2, sampler="random", seed=1)
    api.start(Objective(objective, "x", {"cell": "a"}), options).wait()
    append(file, trials - 2, steps)


def append(file: Path, count: int, steps: int) -> None:
    """Add finished trials like the last one."""
    rng = random.Random(count)  # noqa: S311 - made-up values, no secret
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        study, last, number = db.execute("SELECT study_id, max(trial_id), max(number) FROM trials").fetchone()
        pairs = db.execute(
            "SELECT param_name, distribution_json FROM trial_params WHERE trial_id = ?", (last,)
        ).fetchall()
        ids = range(last + 1, last + 1 + count)
        db.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)"
            " VALUES (?, ?, ?, ?, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:01.000000')",
            ((i, number + i - last, study, "COMPLETE" if i % 10 else "PRUNED") for i in ids),
        )
        db.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
            " VALUES (?, ?, ?, ?)",
            ((i, name, rng.random(), text) for i in ids for name, text in pairs),
        )
        db.executemany(
            "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
            ((i, rng.random()) for i in ids if i % 10),
        )
        db.execute(
            "WITH RECURSIVE s(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM s WHERE x + 1 < ?)"
            " INSERT INTO trial_intermediate_values"
            " (trial_id, step, intermediate_value, intermediate_value_type)"
            " SELECT trial_id, x, 1.0 / (1 + x), 'FINITE' FROM trials, s WHERE trial_id > ?",
            (steps, last),
        )
        db.executemany(
            "INSERT INTO trial_commits (study_id, trial_id, hash) VALUES (?, ?, '')",
            ((study, i) for i in ids),
        )


def measure(file: Path, steps: int) -> bool:
    """Measure, print a table, and tell whether every promise holds."""
    url, choices, held = f"sqlite:///{file}", Choices(), []

    def line(what: str, seconds: float, limit: float | None = None) -> None:
        held.append(limit is None or seconds <= limit)
        promise = (
            "" if limit is None else f"   at most {1000 * limit:g} ms{'' if held[-1] else '   EXCEEDED'}"
        )
        print(f"{what:<46}{1000 * seconds:10.2f} ms{promise}")

    def paint(snapshot: Any, reader: Reader, tab: str) -> float:
        begin = time.thread_time()
        view.paint(snapshot)
        view.body(tab, TABS[tab][1](snapshot, reader, choices))
        return time.thread_time() - begin

    view = LiveView(lambda _message: None)
    begin = time.perf_counter()
    reader = Reader(url, "long")
    snapshot = reader.snapshot()
    page = report.bundle(snapshot, panel_id=view.panel_id)["text/html"]
    paint(snapshot, reader, "history")
    line("first paint", time.perf_counter() - begin, FIRST_PAINT)
    print(f"{'static page':<46}{len(page) / 1000:10.1f} kB")
    for tab in TABS:
        line(f"first opening of {TABS[tab][0]}", paint(snapshot, reader, tab))
    begin = time.perf_counter()
    for _ in range(1000):
        reader.poll()
    line("look at a file that did not change", (time.perf_counter() - begin) / 1000, IDLE)
    for tab in TABS:
        spent = []
        for _ in range(3):
            append(file, 10, steps)
            begin = time.thread_time()
            newer = reader.poll()
            polled = time.thread_time() - begin
            spent.append(polled + paint(newer, reader, tab))
        line(f"update with 10 new trials, {TABS[tab][0]}", min(spent), UPDATE)
    line("of which reading them", polled, 0.005)
    reader.close()
    view.close()
    return all(held)


def main() -> int:
    """Make the study in a temporary folder, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    for flag, default in (("--trials", 10_000), ("--params", 30), ("--steps", 1000)):
        parser.add_argument(flag, type=int, default=default)
    parser.add_argument("--file", type=Path, help="keep the study here, and use it again")
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        file = given.file or Path(folder) / "long.db"
        if not file.exists():
            write_study(file, given.trials, given.params, given.steps)
        return 0 if measure(file, given.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
