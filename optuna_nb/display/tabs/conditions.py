"""What a person writes to filter the table of trials: ``x < 0.5, state = pruned and kernel = "rbf"``."""

from __future__ import annotations

import operator
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna_nb.display import wording
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optuna_nb.records import StudySnapshot, TrialView

    _Reader = Callable[[TrialView], Any]

_NAMED = 12  # columns that are named to somebody who asked for another
_QUOTED = r""""[^"]*"|'[^']*'"""
_BETWEEN = re.compile(rf"(?<!\w)({_QUOTED})|,|\sand\s", re.IGNORECASE)
_COMPARISON = re.compile(rf"({_QUOTED}|.+?)\s*(<=|>=|!=|==|<|>|=)\s*(.*)", re.DOTALL)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_FEASIBLE, _INFEASIBLE = "feasible", "infeasible"
_STATES = (*map(str, TrialOutcome), _FEASIBLE, _INFEASIBLE)
_FIELDS: dict[str, _Reader] = {
    "trial": lambda t: t.number,
    "number": lambda t: t.number,
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
    """Say in one line what of a filter cannot hold for any trial; empty where all can.

    Args:
        snapshot: The study.
        text: The filter.
        params: The parameters that the table knows of.
    """
    labels = [wording.objective(snapshot, index) for index in range(len(snapshot.directions))]
    fields = _fields(snapshot)
    for name, sign, wanted in map(_split, _parts(text)):
        column, words = wording.clip_middle(name, 40), wording.clip_middle(wanted, 40)
        if name == "state" and wanted.lower() not in _STATES and not _has(snapshot, name):
            return f"There is no state {words}; there are {', '.join(_STATES)}"
        if name and name != "state" and _number(wanted) is None:
            having = [trial.params[name] for trial in snapshot.trials if name in trial.params]
            if all(map(_is_number, having)) if having else name in fields:
                return f"{words or 'Nothing'} is no number: {column} {sign} takes one"
        if name and name not in {"state", *fields, *params} and not _has(snapshot, name):
            listed = ["trial", "state", *labels, *params, "time"]
            there = ", ".join(wording.clip_middle(each, 24) for each in listed[:_NAMED])
            more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
            return f"There is no column {column}; there are {there}{more}"
    return ""


def _has(snapshot: StudySnapshot, name: str) -> bool:
    return any(name in trial.params for trial in snapshot.trials)


def _parts(text: str) -> Iterator[str]:
    """Cut at each comma and each "and" that does not stand in quotes."""
    begin = 0
    for found in _BETWEEN.finditer(text):
        if not found[1]:
            yield from filter(None, [text[begin : found.start()].strip()])
            begin = found.end()
    yield from filter(None, [text[begin:].strip()])


def _split(text: str) -> tuple[str, str, str]:
    """Return name, sign and wanted value of a comparison; no name and no sign of a mere word."""
    found = _COMPARISON.fullmatch(text)
    return (_bare(found[1]), found[2], _bare(found[3])) if found else ("", "", _bare(text))


def _bare(text: str) -> str:
    """Take the quotes off."""
    return text[1:-1] if re.fullmatch(_QUOTED, text) else text


def _fields(snapshot: StudySnapshot) -> dict[str, _Reader]:
    """Return how the columns of numbers that are no parameters are read, under each of their names."""
    values = {
        wording.objective(snapshot, index): partial(_value, index=index)
        for index in range(len(snapshot.directions))
    }
    return {"value": _value, "score": _value, **_FIELDS, **values}


def _value(trial: TrialView, index: int = 0) -> float | None:
    return trial.values[index] if index < len(trial.values) else None


def _states(trial: TrialView) -> set[str]:
    """Return the words for how a trial ended; one that did not complete is not called feasible."""
    if not trial.feasible:
        return {str(trial.outcome), _INFEASIBLE}
    return {str(trial.outcome), *([_FEASIBLE] if trial.outcome is TrialOutcome.COMPLETE else [])}


def _condition(text: str, fields: dict[str, _Reader]) -> Callable[[TrialView], bool]:
    name, sign, wanted = _split(text)
    if name:
        return partial(_passes, name, fields.get(name), wanted, sign)
    word = wanted.lower()
    return lambda t: (
        word in str(t.outcome)
        or word in _states(t)
        or word == str(t.number)
        or any(word in str(value).lower() for value in t.params.values())
    )


def _passes(name: str, field: _Reader | None, wanted: str, sign: str, trial: TrialView) -> bool:
    if name in trial.params:
        return _compare(trial.params[name], wanted, sign)
    if name == "state":
        return sign in {"=", "==", "!="} and (wanted.lower() in _states(trial)) == (sign != "!=")
    value = field(trial) if field else None
    return value is not None and _compare(value, wanted, sign)


def _compare(value: Any, wanted: str, sign: str) -> bool:
    """Compare as numbers where the value is one; with a text a number can only be unequal."""
    if not _is_number(value):
        return _SIGNS[sign](str(value).lower(), wanted.lower())
    number = _number(wanted)
    return sign == "!=" if number is None else _SIGNS[sign](value, number)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
