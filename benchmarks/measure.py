"""What the benchmarks share: interleaved samples, CPU beside wall time, and a table in BENCHMARKS.md.

The machine is noisy, so the contestants take turns within one run, every
sample has both clocks, and what is compared are ratios of medians.
"""

from __future__ import annotations

import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REPORT = Path(__file__).resolve().parent.parent / "BENCHMARKS.md"


@dataclass
class Samples:
    """Wall and CPU seconds of one contestant."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def wall_ms(self) -> float:
        """Median wall time in ms."""
        return median(self.wall) * 1e3

    @property
    def cpu_ms(self) -> float:
        """Median CPU time in ms."""
        return median(self.cpu) * 1e3


def take_turns(
    contestants: Mapping[str, Callable[[], None]], repeats: int, units: int = 1
) -> dict[str, Samples]:
    """Run each contestant in turn, ``repeats`` times; times are per unit of work."""
    samples = {name: Samples() for name in contestants}
    for _ in range(repeats):
        for name, work in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            samples[name].wall.append((time.perf_counter() - wall) / units)
            samples[name].cpu.append((time.process_time() - cpu) / units)
    return samples


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a Markdown table; floats get three digits that count."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def publish(section: str, command: str, text: str) -> None:
    """Put a section into BENCHMARKS.md, in the place of its former self."""
    machine = f"{platform.system()}, Python {platform.python_version()}"
    body = f"## {section}\n\n`{command}` ({machine})\n\n{text}\n"
    old = REPORT.read_text(encoding="utf-8") if REPORT.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"^## {re.escape(section)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    new = pattern.sub(lambda _: body + "\n", old) if pattern.search(old) else f"{old.rstrip()}\n\n{body}"
    REPORT.write_text(new.rstrip() + "\n", encoding="utf-8")
