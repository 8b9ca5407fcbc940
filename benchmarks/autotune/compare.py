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
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from data import NAMES

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
    "peers": ["optuna", "optuna-integration", "xgboost", "catboost", "scikit-learn", "pandas"],
    "flaml": ["flaml[automl]", "xgboost", "catboost", "scikit-learn", "pandas"],
    "bluecast": ["bluecast"],
}
OURS = ("autotune", "autotune_one")
TIMED = (*OURS, "naive_again")  # against the naive loop; that it again, with another seed, is the control
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


def report(runs: list[dict[str, Any]]) -> str:
    """Write the tables: medians of held-out loss, the time to the naive loop's quality, every run."""
    lines: list[str] = []
    groups = sorted({(run["series"], run["model"], run["budget"]) for run in runs})
    for series, model, budget in groups:
        chosen = [
            run for run in runs if (run["series"], run["model"], run["budget"]) == (series, model, budget)
        ]
        lines += [f"## Series {series}: {model}, {budget:g} CPU seconds", ""]
        lines += [*_medians(chosen), ""]
        if any(run["tuner"] == "autotune" for run in chosen):
            lines += [*_ranks(chosen), "", *_speed(chosen), ""]
    lines += [
        "## Every run",
        "",
        "| series | model | data | seed | tuner | budget, CPU s | held-out loss | CPU s used | configurations |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for it in sorted(
        runs, key=lambda it: (it["series"], it["model"], it["budget"], it["data"], it["seed"], it["tuner"])
    ):
        score = f"{it['score']:.4f}" if it["score"] is not None else it["why"]
        if it.get("plain"):
            score += f" (one tree a round {it['plain']:.4f})"
        lines.append(
            f"| {it['series']} | {it['model']} | {it['data']} | {it['seed']} | {it['tuner']} | {it['budget']:g} | {score} "
            f"| {it.get('cpu', '')} | {it.get('configurations', '')} |"
        )
    return "\n".join(lines)


def _by_data(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[int, float]]]:
    table: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for it in runs:
        if it["score"] is not None:
            table[it["data"]][it["tuner"]][it["seed"]] = it["score"]
    return table


def _tuners(runs: list[dict[str, Any]]) -> list[str]:
    present = {it["tuner"] for it in runs}
    return [name for name in (*OURS, "autotune_bluecast", *PEERS) if name in present]


def _medians(runs: list[dict[str, Any]]) -> list[str]:
    table, tuners = _by_data(runs), _tuners(runs)
    lines = [
        "Median held-out loss over seeds (log loss or root mean squared error; less is better; worst seed in brackets)",
        "",
        f"| data | {' | '.join(tuners)} |",
        f"|---|{'---|' * len(tuners)}",
    ]
    for name in [it for it in NAMES if it in table] + [it for it in table if it not in NAMES]:
        cells = []
        for tuner in tuners:
            values = list(table[name].get(tuner, {}).values())
            cells.append(f"{median(values):.4f} ({max(values):.4f})" if values else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _ranks(runs: list[dict[str, Any]]) -> list[str]:
    table, tuners = _by_data(runs), _tuners(runs)
    lines = [
        "Runs of `autotune` against each other tuner on the same data and seed, all together; and the worst seeds",
        "",
        "| against | won | of | our loss / theirs, median | worst seed is better on | of |",
        "|---|---|---|---|---|---|",
    ]
    for tuner in tuners:
        if tuner in OURS:
            continue
        rows = {name: row for name, row in table.items() if row.get("autotune") and row.get(tuner)}
        shares = [
            row["autotune"][seed] / score
            for row in rows.values()
            for seed, score in row[tuner].items()
            if seed in row["autotune"]
        ]
        safer = sum(max(row["autotune"].values()) < max(row[tuner].values()) for row in rows.values())
        won = sum(share < 1 for share in shares)
        lines.append(
            f"| {tuner} | {won} | {len(shares)} | {median(shares):.3f} | {safer} | {len(rows)} data sets |"
        )
    return lines


def _speed(runs: list[dict[str, Any]]) -> list[str]:
    """CPU time after which the held-out loss first is at or below the naive loop's final one; naive = 1."""
    traces = {(it["data"], it["seed"], it["tuner"]): it for it in runs if it.get("trace")}
    timed = [tuner for tuner in TIMED if any(key[2] == tuner for key in traces)]
    lines = [
        "CPU time until the incumbent's held-out loss first is as good as the naive loop's last one (naive loop's CPU time = 1)",
        "",
        f"| data | seed | {' | '.join(timed)} |",
        f"|---|---|{'---|' * len(timed)}",
    ]
    shares: dict[str, dict[str, list[float]]] = {tuner: defaultdict(list) for tuner in timed}
    for (name, seed, _), naive in sorted(it for it in traces.items() if it[0][2] == "naive"):
        goal, spent = naive["score"], min(naive["cpu"], naive["budget"])
        cells = []
        for tuner in timed:
            trace = traces.get((name, seed, tuner), {}).get("trace")
            if not trace:
                cells.append("-")
                continue
            at = next((moment for moment, loss in trace if loss <= goal), inf)
            shares[tuner][name].append(at / spent)
            cells.append(_time(at / spent))
        lines.append(f"| {name} | {seed} | {' | '.join(cells)} |")
    for label, summed_up in (("median", _median_of_all), ("median of the worst data set", _worst_median)):
        cells = [_time(summed_up(shares[tuner])) if shares[tuner] else "-" for tuner in timed]
        lines.append(f"| {label} | | {' | '.join(cells)} |")
    never = [[share == inf for own in shares[tuner].values() for share in own] for tuner in timed]
    lines.append(f"| never | | {' | '.join(f'{sum(it)} of {len(it)}' for it in never)} |")
    return lines


def _time(share: float) -> str:
    return "never" if share == inf else f"{share:.2f}"


def _median_of_all(shares: dict[str, list[float]]) -> float:
    return median(share for own in shares.values() for share in own)


def _worst_median(shares: dict[str, list[float]]) -> float:
    return max(median(own) for own in shares.values())


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
        "--series", default="2", help="runs of another day or version are tables of their own"
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
