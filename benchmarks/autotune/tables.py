"""The tables of ``results.md``: from every run to medians, ranks, and times to the naive loop's quality."""

# ruff: noqa: E501 - rows of tables are long
from __future__ import annotations

from collections import defaultdict
from math import inf, sqrt
from statistics import mean, median, stdev
from typing import Any

from data import BUNDLED, NAMES

OURS = ("autotune", "autotune_one")
TIMED = (*OURS, "naive_again")  # against the naive loop; that it again, with another seed, is the control
ORDER = (
    *OURS,
    "autotune_bluecast",
    "naive",
    "naive_again",
    "optuna_search_cv",
    "randomized",
    "halving",
    "flaml",
    "bluecast",
)
SPLITS = 8  # of a bundled data set that are judged together


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
        if len({run["seed"] for run in chosen}) >= SPLITS:
            pooled = _pooled(chosen)
            lines += [*_differences(chosen), "", f"### {SPLITS} splits of a bundled data set as one run", ""]
            lines += [*_medians(pooled), "", *_ranks(pooled), "", *_speed(pooled), ""]
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
    return [name for name in ORDER if name in present]


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
        both = [
            (row["autotune"], row[tuner], row["autotune"].keys() & row[tuner].keys()) for row in rows.values()
        ]
        safer = sum(
            max(ours[seed] for seed in seeds) < max(theirs[seed] for seed in seeds)
            for ours, theirs, seeds in both
        )
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


def _pooled(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge eight splits of a bundled data set as one run: 155 to 200 held-out rows say too little alone."""
    kept = [run for run in runs if run["data"] not in BUNDLED]
    for name in BUNDLED:
        by = {(run["tuner"], run["seed"]): run for run in runs if run["data"] == name}
        seeds = sorted(seed for tuner, seed in by if tuner == "naive")
        for at in range(0, len(seeds) - SPLITS + 1, SPLITS):
            group = seeds[at : at + SPLITS]
            for tuner in _tuners(runs):
                found = [by[tuner, seed] for seed in group if (tuner, seed) in by]
                if len(found) == SPLITS and all(run["score"] is not None for run in found):
                    kept.append(_mean(found) | {"seed": f"{group[0]} to {group[-1]}"})
    return kept


def _mean(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one run of several: the means of their losses, and of their incumbents' losses at each moment."""
    traces, trace = [run["trace"] for run in runs], []
    for moment in sorted(at for own in traces for at, _ in own):
        held = [[loss for at, loss in own if at <= moment] for own in traces]
        if all(held):
            trace.append((moment, mean(losses[-1] for losses in held)))
    cpu = mean(min(run["cpu"], run["budget"]) for run in runs)
    return runs[0] | {"score": mean(run["score"] for run in runs), "cpu": cpu, "trace": trace}


def _differences(runs: list[dict[str, Any]]) -> list[str]:
    """Say by how much ours differs from each other tuner, and how much of that may be chance."""
    table, tuners = _by_data(runs), [tuner for tuner in _tuners(runs) if tuner not in OURS]
    lines = [
        f"Our loss less theirs, in percent of theirs, from {SPLITS} seeds on: mean and its 95 % interval (1.96 standard errors)",
        "",
        f"| data | {' | '.join(tuners)} |",
        f"|---|{'---|' * len(tuners)}",
    ]
    for name in (name for name in NAMES if name in table):
        cells = []
        for tuner in tuners:
            theirs, ours = table[name].get(tuner, {}), table[name].get("autotune", {})
            both = [100 * (ours[seed] / theirs[seed] - 1) for seed in theirs if seed in ours]
            if len(both) < SPLITS:
                cells.append("-")
                continue
            half = 1.96 * stdev(both) / sqrt(len(both))
            cells.append(f"{mean(both):+.1f} ({mean(both) - half:+.1f} to {mean(both) + half:+.1f})")
        if set(cells) != {"-"}:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _time(share: float) -> str:
    return "never" if share == inf else f"{share:.2f}"


def _median_of_all(shares: dict[str, list[float]]) -> float:
    return median(share for own in shares.values() for share in own)


def _worst_median(shares: dict[str, list[float]]) -> float:
    return max(median(own) for own in shares.values())
