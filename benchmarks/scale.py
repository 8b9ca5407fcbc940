"""What it costs to run trials elsewhere: speed-up, the coordinator's time, and DaskStorage beside it.

python benchmarks/scale.py              print the tables
python benchmarks/scale.py --publish    and put them into BENCHMARKS.md

Needs the extra ``dask``, xgboost, and for the comparison ``pip install optuna-integration``.
Threads are counted, so run it without OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import optuna
from measure import publish
from scale_batch import batch
from scale_coordinator import coordinator
from scale_rival import rival
from scale_speed import speed

PARTS = {part.__name__: part for part in (speed, coordinator, batch, rival)}


def main() -> None:
    """Run all, print, and publish when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--publish", action="store_true", help="write the tables into BENCHMARKS.md")
    parser.add_argument("--only", help="run one part", choices=list(PARTS))
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    texts = []
    for name, part in PARTS.items():
        if options.only in (None, name):
            print(f"{name} ...", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                texts.append(part(Path(folder)))
                print(texts[-1], "\n", flush=True)
    if options.publish and not options.only:
        publish("Scale", "python benchmarks/scale.py --publish", "\n\n".join(texts))


if __name__ == "__main__":
    main()
