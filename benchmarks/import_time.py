"""What `import optuna_nb` and `%load_ext optuna_nb` add to a bare IPython.

Each sample is a new process that starts a shell, then imports the package,
then loads the extension, and takes wall and CPU time of each step. The steps
of one process meet the same machine in the same mood, so the ratio to the bare
shell means something even where the milliseconds do not.

    python benchmarks/import_time.py [--samples 9] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TypedDict

STEPS = ("bare IPython", "import optuna_nb", "%load_ext optuna_nb")
HEAVY = ("optuna", "sqlalchemy", "ipywidgets", "anywidget", "pandas", "plotly", "numpy", "sklearn", "xgboost")

_SAMPLE = """
import json, sys, time
def clock():
    return time.perf_counter(), time.process_time()
marks = [clock()]
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
marks.append(clock())
import optuna_nb
marks.append(clock())
shell.run_line_magic("load_ext", "optuna_nb")
marks.append(clock())
steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(marks, marks[1:])]
print(json.dumps({"steps": steps, "modules": sorted(sys.modules)}))
"""


class Row(TypedDict):
    """Medians of one step."""

    step: str
    wall_ms: float
    cpu_ms: float
    of_bare: float  # wall time as a share of the bare shell's


class Report(TypedDict):
    """What ``measure`` found."""

    table: list[Row]
    added_wall_ms: float
    added_cpu_ms: float
    heavy: list[str]


def sample(home: str) -> tuple[list[tuple[float, float]], list[str]]:
    """Return (wall, cpu) seconds of each step in a new process, and the heavy modules it loaded."""
    environment = os.environ | {"HOME": home, "IPYTHONDIR": f"{home}/ipython"}
    command = [sys.executable, "-c", _SAMPLE]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    return [(wall, cpu) for wall, cpu in report["steps"]], [m for m in HEAVY if m in report["modules"]]


def measure(samples: int) -> Report:
    """Return medians over ``samples`` processes, after one that warms the disk cache."""
    with tempfile.TemporaryDirectory() as home:
        sample(home)
        runs = [sample(home) for _ in range(samples)]
    table: list[Row] = []
    for index, name in enumerate(STEPS):
        wall, cpu = (median(steps[index][kind] for steps, _ in runs) for kind in (0, 1))
        ratio = median(steps[index][0] / steps[0][0] for steps, _ in runs)
        table.append({"step": name, "wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3, "of_bare": ratio})
    added = [(steps[1][0] + steps[2][0], steps[1][1] + steps[2][1]) for steps, _ in runs]
    return {
        "table": table,
        "added_wall_ms": median(wall for wall, _ in added) * 1e3,
        "added_cpu_ms": median(cpu for _, cpu in added) * 1e3,
        "heavy": sorted({module for _, loaded in runs for module in loaded}),
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = measure(options.samples)
    if options.json:
        print(json.dumps(report))
        return
    print(f"{'step':<22}{'wall ms':>10}{'CPU ms':>10}{'of bare':>10}")
    for row in report["table"]:
        print(f"{row['step']:<22}{row['wall_ms']:>10.1f}{row['cpu_ms']:>10.1f}{row['of_bare']:>10.3f}")
    print(f"{'added':<22}{report['added_wall_ms']:>10.1f}{report['added_cpu_ms']:>10.1f}")
    print(f"heavy modules loaded: {report['heavy'] or 'none'}")


if __name__ == "__main__":
    main()
