"""A trial as rows of Optuna's tables, and back: the only place that knows both.

Times are naive UTC text, infinities and NaN are a type beside a NULL, and
attributes are JSON, all exactly as Optuna 5 writes them. The digest covers the
whole trial, as a flipped byte passes SQLite's own integrity check.
"""

from __future__ import annotations

import hashlib
import json
import math
import time as clock
from copy import deepcopy
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from optuna_nb.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

DISTRIBUTIONS_KEPT = 10_000
FIXED_PARAMS = "fixed_params"  # Optuna's system attribute of an enqueued trial
MOST_EXACT = 2**53  # parameters are stored as floats, which hold every integer below this
_MOST_STEP = 2**63
_CHOICES = (str, int, float, bool, type(None))
_PLAIN = frozenset({str, int, bool, type(None)})


class TrialRows(NamedTuple):
    """The rows of one trial, in the order of the columns of the INSERTs."""

    trial_id: int
    study_id: int
    trial: tuple[int, int, int, str, str | None, str | None]
    params: list[tuple[int, str, float, str]]
    values: list[tuple[int, int, float | None, str]]
    steps: list[tuple[int, int, float | None, str]]
    user_attrs: list[tuple[int, str, str]]
    system_attrs: list[tuple[int, str, str]]

    @property
    def digest(self) -> str:
        """Return a hash of all that the trial is, but for the ids that name it."""
        return digest(
            self.trial[1],
            self.trial[3:],
            *(
                sorted([row[1:] for row in rows]) if rows else []
                for rows in (self.params, self.values, self.steps, self.user_attrs, self.system_attrs)
            ),
        )


def digest(*parts: object) -> str:
    """Hash plain values; floats count bit for bit, as ``repr`` keeps them all."""
    return digest_of_text(repr(parts))


def digest_of_text(text: str) -> str:
    """Hash what ``repr`` made of plain values."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def encode(trial: FrozenTrial, study_id: int, internals: Mapping[str, float] | None = None) -> TrialRows:
    """Turn a trial into rows.

    Args:
        trial: The trial; its number and id are final.
        study_id: The study that it belongs to.
        internals: Its parameters in Optuna's internal form, where they are known.
    """
    trial_id = trial._trial_id
    distributions = trial.distributions
    if internals is None:
        internals = {name: distributions[name].to_internal_repr(v) for name, v in trial.params.items()}
    return TrialRows(
        trial_id,
        study_id,
        (
            trial_id,
            trial.number,
            study_id,
            trial.state.name,
            time_to_text(trial.datetime_start),
            time_to_text(trial.datetime_complete),
        ),
        [
            (trial_id, name, float(value) + 0.0, distribution_text(distributions[name]))
            for name, value in internals.items()
        ],
        [(trial_id, i, *encode_number(value)) for i, value in enumerate(trial.values or ())],
        [(trial_id, int(step), *encode_number(value)) for step, value in trial.intermediate_values.items()],
        [(trial_id, key, to_json(value)) for key, value in trial.user_attrs.items()],
        [(trial_id, key, to_json(value)) for key, value in trial.system_attrs.items()],
    )


def plain_text(text: object, what: str, longest: int | None = None) -> str:
    """Return a name as it would come back from the database, and check that it would.

    A subclass of ``str``, such as numpy's, becomes a plain one, as the digest tells them apart.

    Raises:
        StorageError: If it is no text, or cannot be stored.
    """
    if type(text) is str and text.isascii() and (longest is None or len(text) <= longest):
        return text  # nearly all
    if not isinstance(text, str):
        msg = f"the {what} {text!r:.60} is of type {type(text).__name__}: use a text"
        raise StorageError(msg, code="NB307")
    plain = str.__str__(text)
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        msg = f"the {what} {text!r:.60} holds half a character (a lone surrogate): use another name"
        raise StorageError(msg, code="NB307") from error
    if longest is not None and len(plain) > longest:  # a column of a server holds no more
        msg = f"the {what} {plain:.60}... has more than {longest} letters, a server's limit: shorten it"
        raise StorageError(msg, code="NB307")
    return plain


def check_param(name: str, distribution: BaseDistribution) -> None:
    """Check that every value of a parameter would come back from the database as it is.

    Raises:
        StorageError: If some integer would be rounded, or some choice would become another object.
    """
    if type(distribution) is FloatDistribution:  # asking for the class takes a tenth of isinstance here
        return
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            if not isinstance(choice, _CHOICES):
                msg = (
                    f"the choice {choice!r:.60} of {name!r:.60} is of type {type(choice).__name__},"
                    " which cannot be stored: suggest names, and look up what they stand for"
                )
                raise StorageError(msg, code="NB307")
        return
    if isinstance(distribution, IntDistribution) and (
        distribution.high >= MOST_EXACT or distribution.low <= -MOST_EXACT
    ):
        msg = (
            f"the integer parameter {name!r:.60} reaches 2**53, from where on Optuna rounds:"
            " suggest a smaller range, or a categorical"
        )
        raise StorageError(msg, code="NB307")


def check_step(step: int, largest: int = _MOST_STEP - 1) -> None:
    """Check that a step can be stored.

    Raises:
        StorageError: If it is too large for a database.
    """
    if not -largest - 1 <= step <= largest:
        msg = f"the step {step} is too large to store: report a step below 2**{largest.bit_length()}"
        raise StorageError(msg, code="NB307")


def storable(template: FrozenTrial) -> FrozenTrial:
    """Return a copy of a trial as it would come back from the database, and check that it would.

    Raises:
        StorageError: If something in it cannot be stored.
        TypeError: If JSON cannot hold an attribute.
    """
    trial = deepcopy(template)
    for name, distribution in trial.distributions.items():
        check_param(name, distribution)
    for step in trial.intermediate_values:
        check_step(step)
    trial.distributions = {plain_text(name, "parameter"): d for name, d in trial.distributions.items()}
    trial.params = {
        str.__str__(name): value + 0.0 if type(value) is float else value
        for name, value in trial.params.items()
    }
    trial.intermediate_values = {step: value + 0.0 for step, value in trial.intermediate_values.items()}
    if trial.values is not None:
        trial.values = [value + 0.0 for value in trial.values]
    for kind in ("user_attrs", "system_attrs"):
        attributes = getattr(trial, kind)
        setattr(trial, kind, {plain_text(key, "attribute"): round_trip(v) for key, v in attributes.items()})
    return trial


def encode_number(value: float) -> tuple[float | None, str]:
    """Split a number into what the value and the type columns hold.

    Adding 0.0 turns -0.0 into 0.0, as SQLite does in the file: the digest must be of what will be read.
    """
    if math.isfinite(value):
        return float(value) + 0.0, "FINITE"
    if math.isnan(value):
        return None, "NAN"
    return None, "INF_POS" if value > 0 else "INF_NEG"


_SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def decode_number(value: float | None, kind: str) -> float:
    """Put the two columns of a number together again."""
    if kind == "FINITE":
        return math.nan if value is None else value
    return _SPECIAL[kind]


def time_to_text(time: datetime | None) -> str | None:
    """Turn a local naive time into naive UTC, as Optuna 5 and SQLAlchemy write it."""
    if time is None:
        return None
    if time.tzinfo is not None:
        return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    global _minute  # noqa: PLW0603 - one tuple, put in place at once
    begin, end, offset, *place = _minute
    if not (begin <= time < end and place == [time.fold, clock.tzname, clock.timezone]):
        begin = time.replace(second=0, microsecond=0)
        offset = begin - begin.astimezone(UTC).replace(tzinfo=None)
        _minute = begin, begin + timedelta(minutes=1), offset, time.fold, clock.tzname, clock.timezone
    return (time - offset).isoformat(" ", "microseconds")


# How far local time is from UTC in one minute, as clocks change between minutes, never within one:
# begin, end, offset, and the fold and time zone for which that holds.
_minute = datetime(1, 1, 1), datetime(1, 1, 1), timedelta(), 0, clock.tzname, clock.timezone  # noqa: DTZ001 - none yet


def text_to_time(text: str | None) -> datetime | None:
    """Turn stored UTC into an aware time."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def local_time(text: str | None) -> datetime | None:
    """Turn stored UTC into the local naive time that Optuna's trials carry."""
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    if time.tzinfo is not None or text[16:17] != ":":  # not as Optuna writes it
        time = time.replace(tzinfo=None)
        text = time.isoformat(" ")
    offset, fold = _to_local(text[:16], clock.tzname, clock.timezone)
    return (time + offset).replace(fold=fold) if fold else time + offset


@lru_cache(maxsize=10_000)
def _to_local(until_minute: str, _names: tuple[str, str], _west: int) -> tuple[timedelta, int]:
    """Return how far local time is from this minute of UTC, and which of two equal local times it is."""
    minute = datetime.fromisoformat(until_minute)
    local = minute.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
    changes = 1 < local.year < MAXYEAR  # at the ends of time the way back may not exist
    return local - minute, int(changes and local.astimezone(UTC).replace(tzinfo=None) != minute)


def to_json(value: Any) -> str:
    """Write an attribute as Optuna does; a number of numpy, which Optuna refuses, as the number it is.

    Raises:
        TypeError: If JSON cannot hold the value.
    """
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """Turn numbers and arrays of numpy and its kin into Python's own, as a trial is full of them."""
    to_list = getattr(value, "tolist", None)
    if callable(to_list) and not isinstance(value, type):
        return to_list()
    msg = (
        f"an attribute holds a {type(value).__name__}, which JSON cannot:"
        " set a number, a text, or a list or dict of these"
    )
    raise TypeError(msg)


def round_trip(value: Any) -> Any:
    """Return the value as it would come back from the database, and check that it would."""
    return value if type(value) in _PLAIN else json.loads(to_json(value))


_texts: dict[int, tuple[BaseDistribution, str]] = {}


def distribution_text(distribution: BaseDistribution) -> str:
    """Return the JSON of a distribution; one object is written out once."""
    known = _texts.get(id(distribution))
    if known is not None and known[0] is distribution:
        return known[1]
    text = distribution_to_json(distribution)
    if len(_texts) > DISTRIBUTIONS_KEPT:  # distributions that change with each trial
        _texts.clear()
    _texts[id(distribution)] = (distribution, text)
    return text
