"""What shorter turns of Python's threads cost (``optuna_nb/tuning/turns.py``).

    python benchmarks/autotune/turns.py [--rounds 9]

One, two and four threads compute in Python until each has done the same work, with
turns of 5 ms, as Python has them, and of 1 ms and 0.2 ms, as we have them while a study
runs in this process and in others, in alternation. Medians of CPU time, and the ratio
to Python's own within each round.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from statistics import median

from optuna_nb.tuning.turns import COMPUTING_SECONDS, HANDLING_SECONDS

TURNS = (0.005, COMPUTING_SECONDS, HANDLING_SECONDS)
STEPS = 3_000_000


def compute() -> int:
    """Hold the interpreter."""
    total = 0
    for k in range(STEPS):
        total += k % 7
    return total


def cpu_seconds(threads: int, turn: float) -> float:
    """Let threads compute with turns of so many seconds."""
    sys.setswitchinterval(turn)
    workers = [threading.Thread(target=compute) for _ in range(threads)]
    began = time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.process_time() - began


def main() -> None:
    """Print one row a number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    heads = [f"turns of {turn * 1e3:g} ms, CPU s" for turn in TURNS]
    print(f"| threads that compute | {' | '.join(heads)} | ratios |\n|{'---|' * (len(heads) + 2)}")
    for threads in (1, 2, 4):
        spent: dict[float, list[float]] = {turn: [] for turn in TURNS}
        for _ in range(given.rounds):
            for turn in random.sample(TURNS, len(TURNS)):
                spent[turn].append(cpu_seconds(threads, turn))
        pythons, *ours = spent.values()
        ratios = [median(a / b for a, b in zip(it, pythons, strict=True)) for it in ours]
        row = [f"{median(it):.3f}" for it in spent.values()] + [", ".join(f"{it:.3f}" for it in ratios)]
        print(f"| {threads} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
