"""How the views put a study into words: numbers, durations, states.

Everything here returns plain text. What turns it into HTML escapes it; what
prints it to a terminal may trust that no control character is left in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optuna_nb.records import StudyState, TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import StudySnapshot

NOTHING = "\N{EN DASH}"

# A sign beside the word, so that neither colour nor language alone carries the state.
STATE_SIGN = {
    StudyState.NEW: "○",
    StudyState.RUNNING: "●",
    StudyState.PAUSED: "‖",
    StudyState.STOPPING: "◍",
    StudyState.STOPPED: "■",
    StudyState.COMPLETED: "✓",
    StudyState.FAILED: "✕",
    StudyState.INTERRUPTED: "△",
}

_STATE_SAID = {
    StudyState.NEW: "has not begun",
    StudyState.STOPPED: "was stopped",
    StudyState.COMPLETED: "has completed",
    StudyState.FAILED: "has failed",
    StudyState.INTERRUPTED: "was interrupted",
}

OUTCOME_SIGN = {TrialOutcome.COMPLETE: "✓", TrialOutcome.PRUNED: "✂", TrialOutcome.FAILED: "✕"}

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FIXED_DIGITS, _MAX_DECIMALS = 6, 6
_FIXED_RANGE = (1e-4, 1e7)
_LIST_DIGITS, _LIST_SPAN = 3, 1e4
_FAST = 10  # trials per second
_WHOLE = 100  # from here on a speed has no decimals, and never an exponent


def clip(text: str, limit: int) -> str:
    """Make one line of printable text of at most ``limit`` characters, as of a sentence.

    Control characters, terminal escapes and marks that turn the reading
    direction are replaced, since they could make a name read as another.
    """
    line = _one_line(text[: 4 * limit])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clip_middle(text: str, limit: int) -> str:
    """Do the same with a name: what is left out lies in the middle, since names often begin alike."""
    if len(text) > 8 * limit:
        text = f"{text[: 4 * limit]}…{text[-4 * limit :]}"
    line = _one_line(text)
    end = (limit - 1) // 2
    return line if len(line) <= limit else f"{line[: limit - 1 - end]}…{line[-end:]}"


def _one_line(text: str) -> str:
    return " ".join(
        "".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text).split()
    )


def number(value: float | None) -> str:
    """Format one value with six significant digits; a dash where there is none."""
    return NOTHING if value is None else f"{value:.6g}"


def parameter(value: Any, limit: int = 40) -> str:
    """Format one parameter of any type."""
    if isinstance(value, float):
        return f"{value:.5g}"
    return clip_middle(str(value), limit)


def column(values: Sequence[Any]) -> list[str]:
    """Format a column of one table, so that numbers line up on the decimal point.

    Numbers share their count of decimals as long as they are of like size;
    else each has its own exponent. Anything that is no number is clipped text.
    """
    sizes = [abs(v) for v in values if isinstance(v, float) and v and math.isfinite(v)]
    low, high = min(sizes, default=1.0), max(sizes, default=1.0)
    if low < _FIXED_RANGE[0] or high >= _FIXED_RANGE[1] or high / low > _LIST_SPAN:
        return [parameter(v, 24) for v in values]
    decimals = min(max(_LIST_DIGITS - 1 - math.floor(math.log10(low)), 0), _MAX_DECIMALS)
    return [f"{v:.{decimals}f}" if isinstance(v, float) else parameter(v, 24) for v in values]


def scores(values: Sequence[float | None]) -> list[str]:
    """Format a column of objective values, with six digits for the largest."""
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    high = max(sizes, default=1.0)
    if not _FIXED_RANGE[0] <= high < _FIXED_RANGE[1]:
        return [number(v) for v in values]
    decimals = min(max(_FIXED_DIGITS - 1 - math.floor(math.log10(high)), 0), _MAX_DECIMALS)
    return [NOTHING if v is None else f"{v:.{decimals}f}" for v in values]


def duration(seconds: float | None) -> str:
    """Say how long: "0.42 s", "12 s", "3 min 05 s", "2 h 05 min", "3 d 4 h"."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 10:  # noqa: PLR2004 - below ten seconds the tenths are what tells trials apart
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def durations(values: Sequence[float | None]) -> list[str]:
    """Format a column of durations; those of less than a minute share their decimals."""
    longest = max((value for value in values if value is not None), default=0.0)
    if longest >= _MINUTE:
        return [duration(value) for value in values]
    decimals = 3 if longest < 0.1 else 2 if longest < 10 else 1  # noqa: PLR2004 - three digits of the longest
    return [NOTHING if value is None else f"{value:.{decimals}f} s" for value in values]


def rate(per_second: float | None) -> str:
    """Say how fast: per second only if that is fast, so that the unit seldom changes in a run."""
    if not per_second:
        return NOTHING
    unit, seconds = ("s", 1) if per_second >= _FAST else ("min", _MINUTE)
    if per_second * _MINUTE < 1:
        unit, seconds = "h", _HOUR
    speed = per_second * seconds
    return f"{speed:,.0f} trials/{unit}" if speed >= _WHOLE else f"{speed:.3g} trials/{unit}"


def progress(snapshot: StudySnapshot) -> str:
    """Say how far: "42 of 100 done, 58 to go"."""
    if snapshot.target is None:
        return f"{snapshot.done} done, no limit"
    if snapshot.done > snapshot.target:
        return f"{snapshot.done} done, {snapshot.target} asked for"
    left = snapshot.target - snapshot.done
    return f"{snapshot.done} of {snapshot.target} done" + (f", {left} to go" if left else "")


def state(now: StudyState) -> str:
    """Say what a study does, after its name: "is running", "has failed"."""
    return _STATE_SAID.get(now, f"is {now}")


def none_completed(now: StudyState) -> str:
    """Say that no trial has completed, and whether one may still do so."""
    return "No completed trial" + ("" if now.has_ended else " yet")


def objective(snapshot: StudySnapshot, index: int) -> str:
    """Name one objective: by its metric, or by its number as Optuna's own figures do."""
    names = _metrics(snapshot)
    if len(snapshot.directions) > 1:
        return names[index] if names else f"objective {index}"
    return names[0] if names else "value"


def goal(snapshot: StudySnapshot) -> str:
    """Say what is sought: "maximize roc_auc", "maximize accuracy, minimize seconds", "minimize, maximize"."""
    if len(snapshot.directions) > 1 and not _metrics(snapshot):
        return ", ".join(snapshot.directions)
    return ", ".join(f"{way} {objective(snapshot, index)}" for index, way in enumerate(snapshot.directions))


def _metrics(snapshot: StudySnapshot) -> list[str]:
    """Return the name of each objective; none where they are not all known."""
    count = len(snapshot.directions)
    names = (snapshot.metric or "").split(",") if count > 1 else [snapshot.metric or ""]
    return [clip_middle(name.strip(), 40) for name in names] if len(names) == count and names[0] else []
