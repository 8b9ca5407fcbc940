"""Tuners against each other: equal CPU budget, same rows, judged on rows that none of them saw.

    python benchmarks/autotune/compare.py --budget 60 --seeds 4

One command: it makes an environment for each peer (with the ordinary pip), runs every
tuner on every data set and seed, and writes each run to ``results.jsonl`` and the tables
to ``results.md``, both beside this file. What is in ``results.jsonl`` is not run again.
"""

# ruff: noqa: E501 - rows of tables are long
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data import NAMES
from tables import OURS, TIMED, report

HERE = Path(__file__).resolve().parent
PEERS = {
    "naive": "peers",
    "naive_again": "peers",
    "optuna_search_cv": "peers",
    "randomized": "peers",
    "halving": "peers",
    "flaml": "flaml",
    "bluecast": "bluecast",
}
PACKAGES = {
    "peers": ["optuna", "optuna-integration", "xgboost", "catboost", "scikit-learn", "pandas", "pillow"],
    "flaml": ["flaml[automl]", "xgboost", "catboost", "scikit-learn", "pandas", "pillow"],
    "bluecast": ["bluecast", "pillow"],
}
TRACED = ("naive", *TIMED)
Key = tuple[str, str, str, int]


def python_of(tuner: str, environments: Path) -> str:
    """Return the interpreter of a tuner, its environment made if need be."""
    if tuner in (*OURS, "autotune_bluecast"):
        return sys.executable
    folder = environments / PEERS[tuner]
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES[PEERS[tuner]]], check=True)
    return str(python)


def run(key: Key, budget: float, environments: Path, limit: float) -> dict[str, Any]:
    """Run one worker; a run that fails or takes far too long is a line, too."""
    tuner, model, name, seed = key
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    if tuner in TRACED:
        settings["BENCH_TRACE"] = "1"
    command = [
        python_of(tuner, environments),
        str(HERE / "worker.py"),
        tuner,
        model,
        name,
        str(seed),
        str(budget),
    ]
    try:
        done = subprocess.run(
            command, cwd=HERE, env=settings, capture_output=True, text=True, timeout=limit, check=True
        )
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        why = f"no result within {limit:g} s" if isinstance(error, subprocess.TimeoutExpired) else "failed"
        found = {
            "tuner": tuner,
            "model": model,
            "data": name,
            "seed": seed,
            "budget": budget,
            "score": None,
            "why": why,
        }
    return found


def main() -> None:
    """Run what has not been run, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=60.0, help="CPU seconds a run")
    parser.add_argument("--seeds", type=int, default=4, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--models", default="xgboost", help="xgboost, catboost, with commas")
    parser.add_argument("--data", default=",".join(NAMES))
    parser.add_argument("--tuners", default=",".join([*OURS, *PEERS]))
    parser.add_argument(
        "--series", default="2", help="runs of another version or machine are tables of their own"
    )
    parser.add_argument("--limit", type=float, help="wall seconds after which a run is given up")
    parser.add_argument("--parallel", type=int, default=1, help="runs at the same time")
    parser.add_argument(
        "--environments", type=Path, default=HERE / ".venv", help="folder of the peers' environments"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    given = parser.parse_args()
    for tuner in given.tuners.split(","):
        python_of(tuner, given.environments)
    runs = (
        [json.loads(line) for line in given.results.read_text().splitlines()]
        if given.results.exists()
        else []
    )
    done = {
        (it["tuner"], it["model"], it["data"], it["seed"], it["budget"])
        for it in runs
        if it["series"] == given.series
    }
    keys = [
        (tuner, model, name, seed)
        for model in given.models.split(",")
        for seed in range(given.first, given.first + given.seeds)
        for name in given.data.split(",")
        for tuner in given.tuners.split(",")
        if (tuner, model, name, seed, given.budget) not in done
    ]
    limit = given.limit or max(120.0, 15 * given.budget)
    with ThreadPoolExecutor(given.parallel) as pool, given.results.open("a") as file:
        for found in pool.map(lambda key: run(key, given.budget, given.environments, limit), keys):
            found["series"] = given.series
            runs.append(found)
            file.write(json.dumps(found) + "\n")
            file.flush()
            print(found["tuner"], found["data"], found["seed"], found["score"], found.get("cpu"), flush=True)
    head = (
        "# Tuners at equal CPU time\n\nWritten by `python benchmarks/autotune/compare.py`; what is compared, and how, "
        "stands in [README.md](README.md).\n\n"
    )
    given.results.with_suffix(".md").write_text(head + report(runs) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
