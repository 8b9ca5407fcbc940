"""What shorter turns of Python's threads cost (``optuna_nb/tuning/turns.py``).

    python benchmarks/autotune/turns.py [--rounds 9]

One, two and four threads compute in Python until each has done the same work, with
turns of 5 ms, as Python has them, and of 1 ms, as we have them while a study runs, in
alternation. Medians of CPU time, and the ratio within each round.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from statistics import median

from optuna_nb.tuning.turns import TURN_SECONDS

PYTHONS_SECONDS = 0.005
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
    print("| threads that compute | turns of 5 ms, CPU s | turns of 1 ms, CPU s | ratio |\n|---|---|---|---|")
    for threads in (1, 2, 4):
        pairs = []
        for k in range(given.rounds):
            turns = (PYTHONS_SECONDS, TURN_SECONDS)
            spent = {turn: cpu_seconds(threads, turn) for turn in (turns if k % 2 else turns[::-1])}
            pairs.append((spent[PYTHONS_SECONDS], spent[TURN_SECONDS]))
        long, short = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(short / long for long, short in pairs)
        print(f"| {threads} | {long:.3f} | {short:.3f} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()
