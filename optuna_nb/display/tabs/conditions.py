"""What a person writes to filter the table of trials: ``x < 0.5, state = pruned and value > 0.9``."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna_nb.display import wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from optuna_nb.records import StudySnapshot, TrialView

_NAMED = 12  # columns that are named to somebody who asked for another
_BETWEEN = re.compile(r",|\sand\s", re.IGNORECASE)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "!=": lambda a, b: a != b,
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
}
_FIELDS: dict[str, Callable[[TrialView], Any]] = {
    "trial": lambda t: t.number,
    "number": lambda t: t.number,
    "state": lambda t: str(t.outcome),
    "time": lambda t: t.seconds,
    "seconds": lambda t: t.seconds,
}


def filtered(snapshot: StudySnapshot, text: str) -> Sequence[TrialView]:
    """Keep the trials that pass every condition: ``name < 3``, ``value >= 0.9``, or a word of theirs."""
    fields = _fields(snapshot)
    conditions = [_condition(part, fields) for part in _parts(text)]
    if not conditions:
        return snapshot.trials
    return [trial for trial in snapshot.trials if all(passes(trial) for passes in conditions)]


def trouble(snapshot: StudySnapshot, text: str, params: Sequence[str]) -> str:
    """Say in one line which column of a filter there is not; empty where there are all.

    Args:
        snapshot: The study.
        text: The filter.
        params: The parameters that the table knows of.
    """
    labels = [wording.objective(snapshot, index) for index in range(len(snapshot.directions))]
    known = {*_fields(snapshot), *params}
    for part in _parts(text):
        name, _, _ = _split(part)
        if name and name not in known and not any(name in trial.params for trial in snapshot.trials):
            listed = ["trial", "state", *labels, *params, "time"]
            there = ", ".join(wording.clip_middle(each, 24) for each in listed[:_NAMED])
            more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
            return f"There is no column {wording.clip_middle(name, 40)}; there are {there}{more}"
    return ""


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in _BETWEEN.split(text) if part.strip())


def _split(text: str) -> tuple[str, str, str]:
    """Return name, sign and wanted value of a comparison; no name and no sign of a mere word."""
    for sign in _SIGNS:
        name, found, wanted = (part.strip() for part in text.partition(sign))
        if found and name:
            return name, sign, wanted
    return "", "", text


def _fields(snapshot: StudySnapshot) -> dict[str, Callable[[TrialView], Any]]:
    """Return how the columns that are no parameters are read, under each of their names."""
    values = {
        wording.objective(snapshot, index): partial(_value, index=index)
        for index in range(len(snapshot.directions))
    }
    return {"value": _value, "score": _value, **_FIELDS, **values}


def _value(trial: TrialView, index: int = 0) -> float | None:
    return trial.values[index] if index < len(trial.values) else None


def _condition(text: str, fields: dict[str, Callable[[TrialView], Any]]) -> Callable[[TrialView], bool]:
    name, sign, wanted = _split(text)
    if name:
        return partial(_passes, name, fields.get(name), wanted, _SIGNS[sign])
    word = text.lower()
    return lambda t: (
        word in str(t.outcome)
        or word == str(t.number)
        or any(word in str(value).lower() for value in t.params.values())
    )


def _passes(
    name: str,
    field: Callable[[TrialView], Any] | None,
    wanted: str,
    holds: Callable[[Any, Any], bool],
    trial: TrialView,
) -> bool:
    value = trial.params[name] if name in trial.params else field(trial) if field else None
    return _compare(value, wanted, holds)


def _compare(value: Any, wanted: str, holds: Callable[[Any, Any], bool]) -> bool:
    if value is None:
        return False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return holds(value, float(wanted))
        except ValueError:
            return False
    return holds(str(value).lower(), wanted.lower())
