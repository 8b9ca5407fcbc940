"""How long each question takes with 100,000 tuning runs, on SQLite; and what a metric costs on disk.

    python benchmarks/records.py [FILE.db]

Prints a table for BENCHMARKS.md and fails if a question takes more than 20 ms or uses no index. The
file is made if it is not there (about half a minute).
"""

from __future__ import annotations

import datetime as dt
import random
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from optuna_nb.storage import questions
from optuna_nb.storage.column_types import now
from optuna_nb.storage.history import History
from optuna_nb.storage.questions import Filters
from optuna_nb.storage.record_database import read_records, records_database
from optuna_nb.storage.record_tables import METHODS, Experiment, ModelRun, TuningRun

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 100_000
LIMIT_MS = 20.0
REPEATS = 7


def fill(url: str, count: int = RUNS) -> None:
    """Make a database with so many tuning runs of 1,000 models in 20 experiments."""
    rng = random.Random(1)  # noqa: S311 - data for a measurement
    database = records_database(url)
    experiments = [uuid.uuid4() for _ in range(20)]
    models = [uuid.uuid4() for _ in range(1000)]
    with database.records() as connection:
        connection.execute(
            insert(Experiment), [{"id": e, "name": f"experiment {i}"} for i, e in enumerate(experiments)]
        )
        connection.execute(
            insert(ModelRun),
            [
                {
                    "id": model,
                    "experiment_id": rng.choice(experiments),
                    "model_type": f"Model{i % 8}",
                    "code": "score",
                    "status": "completed",
                }
                for i, model in enumerate(models)
            ],
        )
    rows = list(_runs(rng, models, count))
    for begin in range(0, count, 10_000):
        with database.records() as connection:
            connection.execute(insert(TuningRun), rows[begin : begin + 10_000])
    database.close()


def _runs(rng: random.Random, models: list[uuid.UUID], count: int) -> Iterator[dict[str, Any]]:
    begin = now() - dt.timedelta(days=100)
    entry = {"rank": 1, "params": {"depth": 5, "rate": 0.1}, "mean_score": 0.5, "scores": [0.4, 0.5, 0.6]}
    before = None
    for i in range(count):
        status = rng.choices(["completed", "failed", "running"], [90, 9, 1])[0]
        ended = status != "running"
        results = {
            "best_score": rng.random(),
            "tuning_time": 100 * rng.random(),
            "scoring_metric": rng.choice(["auc", "accuracy"]),
            "all_results": [entry] * 20,
        }
        run_id = uuid.UUID(int=rng.getrandbits(128))
        moment = begin + dt.timedelta(seconds=80 * i)
        yield {
            "id": run_id,
            "model_run_id": rng.choice(models),
            "tuning_method": rng.choice(METHODS),
            "status": status,
            "created_at": moment,
            "started_at": moment,
            "n_iterations": 100,
            "study_name": f"study{i % 5000}@1",
            "parent_tuning_run_id": before if i % 10 else None,
            "tags": ["all", f"tag{i % 50}"],
            "config": {"directions": [rng.choice(["maximize", "minimize"])], "flags": {}, "seed": i},
            "best_params": {"depth": 5, "rate": 0.1} if ended else None,
            "results": results if ended else None,
        }
        before = run_id


def measure(url: str) -> list[tuple[str, float, bool]]:
    """Ask every question: its name, the median of its time in ms, and whether an index answers it."""
    database = read_records(url)
    run_id = questions.run_ids(database, ["study7@1"])[0]
    asked = {
        "runs, newest first": questions.runs(),
        "runs of a model": questions.runs(Filters(model="Model3")),
        "completed runs": questions.runs(Filters(status="completed")),
        "best run by score": questions.runs(Filters(best=True)),
        "best run of a model": questions.runs(Filters(best=True, model="Model3")),
        "count by status": questions.count_by_status(),
        "average time by method": questions.mean_time_by_method(),
        "long-running runs": questions.runs(Filters(longer_than=3600)),
        "best score by model type": questions.best_score_by_model(),
        "runs by tag": questions.runs(Filters(tag="tag7")),
        "runs of an experiment": questions.runs(Filters(experiment="experiment 3")),
        "runs of a study, whole": questions.runs(Filters(study="study7@1"), whole=True),
        "chain of parents": questions.parents(run_id),
        "compare two runs": questions.whole_runs([run_id, run_id]),
    }
    found = []
    for name, query in asked.items():
        times = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            questions.ask(database, query)
            times.append(1000 * (time.perf_counter() - begin))
        with database.records() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {questions.sql_text(query)}").fetchall()
        steps = [str(row[3]) for row in plan if "tuning_runs" in str(row[3]) or " run " in str(row[3])]
        found.append((name, statistics.median(times), bool(steps) and all("INDEX" in step for step in steps)))
    database.close()
    return found


def bytes_per_thousand_steps(folder: Path) -> float:
    """Measure what 1,000 steps of one metric take in a file."""
    from optuna_nb.records import RunStart
    from optuna_nb.storage import runs

    path = folder / "metrics.db"
    database = records_database(str(path))
    run_id = runs.start_run(database, RunStart("s@1", "bayesian", "X", "code", "e", {}))
    history = History(database, run_id)

    def size() -> int:
        history.flush()
        with database.records() as connection:
            pages, bytes_each = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
                for name in ("page_count", "page_size")
            )
            return pages * bytes_each

    before = size()
    for trial in range(20):
        for step in range(1000):
            history.metrics(trial, "kernel", step, {"auc": step / 1000})
    after = size()
    database.close()
    return (after - before) / 20


def main() -> int:
    """Measure, print the table, and tell whether all holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "records.db"
        if not path.exists():
            fill(str(path))
        rows = measure(str(path))
        metric = bytes_per_thousand_steps(Path(folder))
    print(f"| question, {RUNS:,} tuning runs | median, ms | index |\n|---|---|---|")
    for name, milliseconds, indexed in rows:
        print(f"| {name} | {milliseconds:.1f} | {'yes' if indexed else 'NO'} |")
    print(f"\n1,000 steps of one metric: {metric / 1000:.0f} kB")
    return int(any(milliseconds > LIMIT_MS or not indexed for _, milliseconds, indexed in rows))


if __name__ == "__main__":
    sys.exit(main())
