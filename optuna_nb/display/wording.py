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
_LIST_DIGITS, _LIST_SPAN, _LINEAR_DIGITS = 3, 1e4, 5
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


def column(values: Sequence[Any], among: Sequence[Any] = (), *, is_linear: bool = False) -> list[str]:
    """Format a column of one table, so that numbers line up on the decimal point.

    Numbers share their count of decimals as long as they are of like size;
    else each has its own exponent. Anything that is no number is clipped text.

    Args:
        values: What is shown.
        among: By what the decimals are chosen; of nothing, by what is shown.
        is_linear: Whether equal steps matter equally, so that the largest decides and not the smallest.
    """
    sizes = [abs(v) for v in among or values if isinstance(v, float) and v and math.isfinite(v)]
    low, high = min(sizes, default=1.0), max(sizes, default=1.0)
    if is_linear and _FIXED_RANGE[0] <= high < _FIXED_RANGE[1]:
        return [_fixed(v, _decimals(high, _LINEAR_DIGITS)) for v in values]
    if low < _FIXED_RANGE[0] or high >= _FIXED_RANGE[1] or high / low > _LIST_SPAN:
        return [parameter(v, 24) for v in values]
    return [_fixed(v, _decimals(low, _LIST_DIGITS)) for v in values]


def _decimals(size: float, digits: int) -> int:
    return min(max(digits - 1 - math.floor(math.log10(size)), 0), _MAX_DECIMALS)


def _fixed(value: Any, decimals: int) -> str:
    """Format with fixed decimals what is a number that they suit."""
    suits = isinstance(value, float) and (10**-decimals <= abs(value) < _FIXED_RANGE[1] or not value)
    return f"{value:.{decimals}f}" if suits else parameter(value, 24)


def scores(values: Sequence[float | None], best: float | None = None) -> list[str]:
    """Format a column of objective values, with six digits for the best of the study or the largest."""
    sizes = [abs(v) for v in (values if best is None else [best]) if v and math.isfinite(v)]
    high = max(sizes, default=1.0)
    if not _FIXED_RANGE[0] <= high < _FIXED_RANGE[1]:
        return [number(v) for v in values]
    decimals = _decimals(high, _FIXED_DIGITS)
    return [f"{v:.{decimals}f}" if v is not None and abs(v) < _FIXED_RANGE[1] else number(v) for v in values]


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


def durations(values: Sequence[float | None], among: Sequence[float | None] = ()) -> list[str]:
    """Format a column of durations; those of less than a minute share their decimals.

    Args:
        values: What is shown, in seconds.
        among: By what the decimals are chosen; of nothing, by what is shown.
    """
    longest = max((value for value in among or values if value is not None), default=0.0)
    decimals = 3 if longest < 0.1 else 2 if longest < 10 else 1  # noqa: PLR2004 - three digits of the longest
    return [
        duration(value) if value is None or max(longest, value) >= _MINUTE else f"{value:.{decimals}f} s"
        for value in values
    ]


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
    names = metrics(snapshot)
    if len(snapshot.directions) > 1:
        return names[index] if names else f"objective {index}"
    return names[0] if names else "value"


def goal(snapshot: StudySnapshot) -> str:
    """Say what is sought: "maximize roc_auc", "maximize accuracy, minimize seconds", "minimize, maximize"."""
    if len(snapshot.directions) > 1 and not metrics(snapshot):
        return ", ".join(snapshot.directions)
    return ", ".join(f"{way} {objective(snapshot, index)}" for index, way in enumerate(snapshot.directions))


def metrics(snapshot: StudySnapshot) -> list[str]:
    """Return the name of each objective; none where they are not all known."""
    count = len(snapshot.directions)
    names = (snapshot.metric or "").split(",") if count > 1 else [snapshot.metric or ""]
    return [clip_middle(name.strip(), 40) for name in names] if len(names) == count and names[0] else []
