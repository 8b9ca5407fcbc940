"""A time axis that leaves out the hours in which nothing ran."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CUT = 0.15  # a gap longer than this share of all work is cut out
_GAP = 16.0  # its width on the drawing
_LEAST = 8.0  # width of the shortest stretch
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_APART = 96.0  # of two labels


class TimeAxis:
    """Places of moments, in seconds since the epoch, from left to right."""

    def __init__(self, spans: Iterable[tuple[float, float]], left: float, right: float) -> None:
        """Lay out stretches of work side by side.

        Args:
            spans: Begin and end of each run, at least one.
            left: Place of the first moment.
            right: Place of the last one.
        """
        self.stretches = _merged(sorted(spans))
        count = len(self.stretches)
        self.gap = min(_GAP, 0.4 * (right - left) / max(count - 1, 1))
        room = right - left - self.gap * (count - 1)
        least = min(_LEAST, room / (2 * count))
        work = sum(end - begin for begin, end in self.stretches)
        self.places: list[tuple[float, float]] = []
        x = left
        for begin, end in self.stretches:
            share = (end - begin) / work if work > 0 else 1 / count
            width = least + (room - least * count) * share
            self.places.append((x, x + width))
            x += width + self.gap

    def x(self, moment: float) -> float:
        """Return where a moment lies; one in a gap lies at the end of what was before."""
        at = self.places[0][0]
        for (begin, end), (left, right) in zip(self.stretches, self.places, strict=True):
            if moment < begin:
                break
            share = (min(moment, end) - begin) / (end - begin) if end > begin else 0.5
            at = left + (right - left) * share
        return at

    def cuts(self) -> list[tuple[float, float]]:
        """Return the middle of each gap, and how many seconds it leaves out."""
        return [
            (self.places[i][1] + self.gap / 2, self.stretches[i + 1][0] - self.stretches[i][1])
            for i in range(len(self.stretches) - 1)
        ]

    def ticks(self, shift: float) -> list[tuple[float, float]]:
        """Choose moments to be labelled: where stretches begin, and round ones between; place and moment.

        Args:
            shift: Seconds from UTC to the clock of the reader.
        """
        found: list[tuple[float, float]] = []
        for (begin, end), (left, right) in zip(self.stretches, self.places, strict=True):
            found.append((left, begin))
            if right - left < 2 * _APART or end <= begin:
                continue
            wanted = (end - begin) * _APART / (right - left)
            step = next((s for s in _STEPS if s >= wanted), 86400 * math.ceil(wanted / 86400))
            first = math.ceil((begin + shift) / step) * step - shift
            between = [first + i * step for i in range(int((end - first) / step) + 1)]
            is_last = right >= self.places[-1][1]  # else the next stretch needs its label more
            places = ((self.x(moment), moment) for moment in between)
            found += [pair for pair in places if is_last or pair[0] <= right + self.gap - _APART]
        free, kept = -math.inf, []
        for place, moment in found:
            if place >= free:
                kept.append((place, moment))
                free = place + _APART
        return kept


def _merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join what is near to each other."""
    work = sum(end - begin for begin, end in spans)
    joined = [spans[0]]
    for begin, end in spans[1:]:
        if begin - joined[-1][1] <= max(_CUT * work, 1.0):
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined
