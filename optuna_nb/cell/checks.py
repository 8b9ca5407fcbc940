"""What options of a study may be, and be together: the same for flags and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING

from optuna_nb.cell.parser import did_you_mean
from optuna_nb.errors import InvalidOptionError
from optuna_nb.tuning.naming import check_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import TuneOptions

DIRECTIONS = ("minimize", "maximize")
EXECUTORS = ("thread", "dask")
DURABILITIES = ("trial", "pooled", "end")
SYNCHRONOUS = ("auto", "normal", "full")
LARGEST = 2**53  # what every part of a database and JSON holds exactly


def check(options: TuneOptions) -> None:
    """Refuse what cannot be, or cannot be together; the same for flags and arguments.

    Raises:
        InvalidOptionError: one line that names the fix.
    """
    _check_texts(options)
    check_name(options.name or "")
    _check_numbers(options)
    fix: object = options.fix
    if fix is not None and not (isinstance(fix, Mapping) and all(isinstance(name, str) for name in fix)):
        msg = "fix takes a dict of values by parameter name, as {'max_depth': 3}"
        raise InvalidOptionError(msg, code="NB113")
    _one_of("--executor", options.executor, EXECUTORS)
    if options.cluster is not None and options.executor != "dask":
        msg = "--cluster is for --executor dask: give both, or leave --cluster out"
        raise InvalidOptionError(msg, code="NB802")
    _one_of("--durability", options.durability, DURABILITIES)
    _one_of("--synchronous", options.synchronous, SYNCHRONOUS)
    if options.trials is not None and options.more is not None:
        msg = "--trials is the total and --more adds to what is there: give one of them"
        raise InvalidOptionError(msg, code="NB105")
    if options.continue_old and options.warm_start:
        msg = "--continue stays in the old version and --warm-start begins a new one: give one of them"
        raise InvalidOptionError(msg, code="NB105")
    if options.batch > 1 and options.sampler != "tpe":
        msg = "--batch is for `--sampler tpe`, whose model takes time: leave it out for another sampler"
        raise InvalidOptionError(msg, code="NB105")
    if not options.directions:
        msg = "directions is empty: give 'minimize' or 'maximize' for each score"
        raise InvalidOptionError(msg, code="NB107")
    for word in options.directions:
        direction(word)
    _check_metric_names(options)


def direction(text: str) -> str:
    """Return a direction.

    Raises:
        InvalidOptionError: it is none; one line with the nearest one.
    """
    if text not in DIRECTIONS:
        fix = did_you_mean(text, DIRECTIONS) or "; write minimize or maximize"
        msg = f"{text!r} is not a direction{fix}"
        raise InvalidOptionError(msg, code="NB107")
    return text


def texts_of(what: str, given: object) -> tuple[str, ...]:
    """Return an argument that is one text, or several; None is none.

    Raises:
        InvalidOptionError: it is something else.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    if wrong := [it for it in found if not isinstance(it, str)]:
        raise InvalidOptionError(f"{what}: {wrong[0]!r} is no text: put it in quotes", code="NB104")
    return found


def _check_texts(options: TuneOptions) -> None:
    for field in ("name", "metric", "model", "experiment", "notes"):
        text = getattr(options, field)
        if text is not None and not isinstance(text, str):
            raise InvalidOptionError(f"{field}={text!r} is no text: put it in quotes", code="NB104")


def _check_numbers(options: TuneOptions) -> None:
    for flag, number, least in (
        ("--trials", options.trials, 1),
        ("--more", options.more, 1),
        ("--batch", options.batch, 1),
        ("--jobs", options.jobs, 1),
        ("--warm-start", options.warm_start, 0),
        ("--seed", options.seed, 0),
        ("--buffer-size", options.buffer_size, 1),
        ("--step-interval", options.step_interval, 1),
    ):
        if number is not None and (
            isinstance(number, bool) or not isinstance(number, Integral) or number < least
        ):
            msg = f"{flag} takes a whole number from {least}, not {number!r}"
            raise InvalidOptionError(msg, code="NB104")
        if number is not None and number > LARGEST:
            msg = f"{flag} takes a whole number up to {LARGEST}, not {number}"
            raise InvalidOptionError(msg, code="NB104")
    for flag, time in (("--timeout", options.timeout), ("--flush-seconds", options.flush_seconds)):
        if time is not None and (isinstance(time, bool) or not isinstance(time, Real) or not time > 0):
            raise InvalidOptionError(f"{flag} takes a time above 0, not {time!r}", code="NB104")


def _check_metric_names(options: TuneOptions) -> None:
    count = len(options.directions)
    if options.metric is None or count == 1:
        return
    names = [name.strip() for name in options.metric.split(",")]
    if len(names) != count or len(set(names)) < count or not all(names):
        msg = (
            f"--metric {options.metric}: with {count} directions give {count} different names with commas,"
            " as `--metric auc,seconds`"
        )
        raise InvalidOptionError(msg, code="NB107")


def _one_of(flag: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        fix = did_you_mean(str(word), known) or f"; take one of {', '.join(known)}"
        msg = f"{flag}: {word!r} is not known{fix}"
        raise InvalidOptionError(msg, code="NB104")
