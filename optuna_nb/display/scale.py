"""Scales of charts: from values to places between 0 and 1, and the numbers that stand beside them."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HUGE = 1e300  # beyond it, the height of the scale would not be a float
_TINY = 1e-300  # below it, a part of the height would be 0
_MANY = 12  # more different choices than these, and one becomes "other"
_LETTER, _BESIDE = 7.2, 9  # width of a digit, and room between a number and its scale
_LOG_SPAN = 50  # a positive parameter that spans more is drawn on a logarithmic scale


def padded(low: float, high: float) -> tuple[float, float]:
    """Leave a little air around the values, and some room where all are equal."""
    low, high = (min(max(value, -_HUGE), _HUGE) for value in (low, high))
    if not high - low > max(abs(high) * 1e-12, _TINY):
        room = abs(high) * 0.05 if abs(high) > _TINY else 0.5
        return low - room, high + room
    return low - (high - low) * 0.06, high + (high - low) * 0.06


def steps(low: float, high: float, count: int) -> list[float]:
    """Choose round numbers between two values: 1, 2 or 5 times a power of ten."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step)
    return [(first + i) * step for i in range(int((high - first * step) / step + 1e-9) + 1)]


def tick_texts(values: list[float]) -> list[str]:
    """Write the numbers of a scale, all with the same decimals."""
    step = values[1] - values[0] if len(values) > 1 else abs(values[0]) or 1.0
    largest = max(abs(v) for v in values)
    if largest and not 1e-4 <= largest < 1e6:  # noqa: PLR2004 - where plain decimals stop being readable
        digits = min(max(3, math.ceil(math.log10(largest) - math.log10(step)) + 1), 12)
        return [_with_exponent(v, digits) for v in values]
    decimals = min(max(-math.floor(math.log10(step) + 1e-9), 0), 8)
    return [f"{v + 0.0:.{decimals}f}" for v in values]


def _power(exponent: int) -> str:
    """Write a power of ten, out to five digits in full: 0.001, 1000, 1e5."""
    return f"{10.0**exponent:.{max(-exponent, 0)}f}" if -3 <= exponent < 5 else f"1e{exponent}"  # noqa: PLR2004


def room(texts: Iterable[str]) -> int:
    """Return how wide a margin is in which texts stand, in a broad font."""
    return math.ceil(_LETTER * max(map(len, texts), default=0)) + _BESIDE


def _with_exponent(value: float, digits: int) -> str:
    """Write a number with as short an exponent as can be: 1.5e6, 2e-9."""
    return f"{value:.{digits}g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


@dataclass(frozen=True, slots=True)
class Scale:
    """One direction of a chart."""

    low: float
    high: float
    log: bool = False
    choices: tuple[str, ...] = ()  # in full, of a categorical one, which has a place for each
    whole: bool = False  # whether only whole numbers lie on it
    places: Mapping[str, int] = field(default_factory=dict)  # by what tells one choice from all others

    @classmethod
    def of_choices(cls, values: Iterable[Any]) -> Self:
        """Give each different value a place, and those that are too many one together."""
        by_key = {_key(value): value for value in values}
        order = sorted(by_key, key=lambda key: (str(by_key[key]), key))[:_MANY]
        texts = [str(by_key[key]) for key in order]
        alike = {text for text, count in Counter(texts).items() if count > 1}  # as None and "None"
        shown = [repr(by_key[key]) if text in alike else text for key, text in zip(order, texts, strict=True)]
        rest = ["other"] if len(by_key) > _MANY else []
        return cls(0, 1, choices=(*shown, *rest), places={key: index for index, key in enumerate(order)})

    def place(self, value: Any) -> float:
        """Return where a value lies, from 0 to 1."""
        if self.choices:
            index = self.places.get(_key(value), len(self.choices) - 1)
            return (index + 0.5) / len(self.choices)
        number = math.log10(value) if self.log else float(value)
        return min(max((number - self.low) / (self.high - self.low), 0.0), 1.0)

    def side(self, value: Any) -> int:
        """Return on which side of a linear scale a value lies beyond it: 1 above, -1 below, 0 on neither."""
        return 0 if self.choices or self.log else (value > self.high) - (value < self.low)

    def ticks(self, count: int = 4) -> list[tuple[float, str]]:
        """Return places and texts of the numbers beside the scale."""
        if self.choices:
            return [((i + 0.5) / len(self.choices), text) for i, text in enumerate(self.choices)]
        least, most = sys.float_info.min_10_exp, sys.float_info.max_10_exp
        if self.log:
            first, last = math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9)
            powers = range(max(first, least), min(last, most) + 1)
            every = max(1, math.ceil(len(powers) / max(count, 1)))
            if len(powers) > 1 or not least < self.low < self.high < most:
                return [(self.place(10.0**p), _power(p)) for p in powers[::every]]
            values = steps(10.0**self.low, 10.0**self.high, count)  # within one power of ten
        else:
            values = steps(self.low, self.high, count)
        if self.whole:
            values = sorted({float(round(v)) for v in values if abs(v - round(v)) < 1e-9})  # noqa: PLR2004
        return [(self.place(v), text) for v, text in zip(values, tick_texts(values), strict=True)]


def scale_of(values: Sequence[Any], *, log: bool | None = None) -> Scale:
    """Choose the scale of a parameter: choices, a logarithmic or a linear one.

    Args:
        values: Of the parameter, any number.
        log: Whether it was drawn from a logarithmic scale; None, where that is not
            known, guesses it from the values.
    """
    if not values or any(isinstance(v, (str, bool, type(None))) or not _is_number(v) for v in values):
        return Scale.of_choices(values)
    low, high = min(values), max(values)
    if log is None:
        log = low > 0 and high / low > _LOG_SPAN and _leans_low(values, low, high)
    if log and low > 0:  # a value that was enqueued may lie anywhere
        return Scale(*padded(math.log10(low), math.log10(high)), log=True)
    return Scale(*padded(low, high), whole=all(isinstance(value, int) for value in values))


def _leans_low(values: Sequence[float], low: float, high: float) -> bool:
    """Whether the middle value lies nearer to the middle of a logarithmic scale than of a linear one."""
    middle = sorted(values)[len(values) // 2]
    linear = (middle - low) / (high - low)
    logarithmic = math.log(middle / low) / math.log(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _key(value: Any) -> str:
    """Return what tells a choice from all others: 1, "1" and True are three."""
    return f"{type(value).__name__} {value!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
