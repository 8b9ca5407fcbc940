"""Draws a series as inline SVG, for a page that runs no script.

Colours are CSS variables of ``style`` with a fallback, so a chart follows the
theme around it, and is still readable where the style sheet was stripped. Where
the drawing itself is stripped, as in a notebook that is not trusted, the words
stay and a space keeps them apart. All text is escaped here.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import marks, wording
from optuna_nb.display.marks import ACCENT, BAD, POINT, TEXT
from optuna_nb.display.plane import GRID, chart
from optuna_nb.display.scale import padded, room, steps, tick_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optuna_nb.display.figures import History

_WIDTH = 826
_RIGHT, _BOTTOM = 4, 44
_LEAST_LEFT, _TOP, _ROW = 50, 32, 18
_BOLD, _LETTER = 7.6, 6.6  # width of a letter of the title, and of what stands beside it


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a trial number and a value lie on the drawing."""

    height: int
    last: int
    low: float
    high: float
    left: int
    top: int

    @property
    def bottom(self) -> int:
        return self.height - _BOTTOM

    def x(self, number: float) -> float:
        wide = _WIDTH - self.left - _RIGHT
        return self.left + 6 + (wide - 12) * (number / self.last if self.last > 0 else 0.5)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - self.top) * share


def history(series: History, *, height: int = 230) -> str:
    """Draw the values by trial, and the best so far as a step line.

    Completed trials are dots, hollow where they break a constraint; pruned ones are
    ticks and failed ones crosses along the lower edge. Values beyond the scale are
    triangles at its edge, those that are not finite full ones.

    Returns:
        One ``<svg>`` in its box, of at most about 16 kB; a line of text while there is nothing to draw.
    """
    if not series.points:
        if series.not_finite:
            text = f"No finite value, of {series.not_finite} completed trials"
            return f'<p class="onb-chart onb-quiet">{text}</p>'
        return f'<p class="onb-chart onb-quiet" style="min-height:{height}px">No completed trial yet</p>'
    key = _key(series)
    arrow = "↓ lower is better" if series.direction == "minimize" else "↑ higher is better"
    title = _BOLD * len(series.label) + _LETTER * len(arrow)
    below = 0 if title + marks.width(key) < _WIDTH else _ROW  # the key in a row of its own
    low, high = padded(series.low, series.high)
    values = steps(low, high, 4)
    ticks = list(zip(values, tick_texts(values), strict=True))
    left = max(_LEAST_LEFT, room(text for _, text in ticks))
    axes = _Axes(height + below, series.last, low, high, left, _TOP + below)
    body = [
        *(_labels(series, axes, arrow), marks.key(key, _WIDTH - _RIGHT, 9.5 + below), _grid(axes, ticks)),
        *(_dots(series, axes), _best(series, axes)),
        *(_ticks(series.pruned, axes), _crosses(series.failed, axes)),
    ]
    name = f"history of {series.label}"
    return chart("".join(body), _WIDTH, axes.height, said=_describe(series), key=name, from_right=True)


def _describe(series: History) -> str:
    """Say in words what the chart shows, for those who do not see it."""
    best = f", best {wording.number(series.best[-1][1])} at trial {series.best[-1][0]}" if series.best else ""
    return f"History of {series.label} over {series.last + 1} trials{best}"


def _grid(axes: _Axes, ticks: Iterable[tuple[float, str]]) -> str:
    right, parts = _WIDTH - _RIGHT, []
    for value, text in ticks:
        y = axes.y(value)
        parts.append(f'<path d="M{axes.left} {y:.1f}H{right}" stroke="{GRID}"/>')
        parts.append(
            f'<text x="{axes.left - 8}" y="{y + 3.8:.1f}" text-anchor="end" fill="{TEXT}">{text}</text> '
        )
    numbers = sorted({round(v) for v in steps(0, axes.last, 6)}) if axes.last > 0 else [0]
    for number in numbers:
        x, y = axes.x(number), axes.bottom + 28
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="{TEXT}">{number}</text> ')
    return "".join(parts)


def _labels(series: History, axes: _Axes, arrow: str) -> str:
    return (
        f'<text x="2" y="13" font-weight="600">{escape(series.label)}'
        f'<tspan dx="8" font-weight="400" fill="{TEXT}">{arrow}</tspan></text> '
        f'<text x="{axes.left - 8}" y="{axes.bottom + 28}" text-anchor="end" fill="{TEXT}">trial</text> '
    )


def _key(series: History) -> list[marks.Entry]:
    """Name what occurs in this chart."""
    found = [marks.BEST_SO_FAR, marks.TRIAL]
    if series.infeasible:
        found.append(marks.INFEASIBLE)
    if series.outliers:
        found.append(marks.beyond(above=max(value for _, value in series.points) > series.high))
    if series.not_finite:
        found.append(marks.not_finite(series.not_finite, above=max(v for _, v in series.infinite) > 0))
    return found + [marks.PRUNED] * bool(series.pruned) + [marks.FAILED] * bool(series.failed)


def _dots(series: History, axes: _Axes) -> str:
    within = [(n, v) for n, v in series.points if series.low <= v <= series.high]
    size = 5 if len(series.points) <= 200 else 3.6  # noqa: PLR2004 - many dots need to be finer
    kept = [(axes.x(n), axes.y(v)) for n, v in within if n not in series.infeasible]
    broken = [(axes.x(n), axes.y(v)) for n, v in within if n in series.infeasible]
    beyond = [point for point in series.points if not series.low <= point[1] <= series.high]
    return (
        marks.hollow(broken, size=size)
        + marks.dots(kept, size=size)
        + _tips(beyond, series.high, axes)
        + _tips(series.infinite, series.high, axes, fill=POINT)
    )


def _tips(points: Iterable[tuple[int, float]], high: float, axes: _Axes, *, fill: str = "none") -> str:
    above: list[float] = []
    below: list[float] = []
    for number, value in points:
        (above if value > high else below).append(axes.x(number))
    return marks.tips(above, below, top=axes.top, bottom=axes.bottom, fill=fill)


def _best(series: History, axes: _Axes) -> str:
    if not series.best:
        return ""
    (number, value), rest = series.best[0], series.best[1:]
    line = f"M{axes.x(number):.1f} {axes.y(value):.1f}"
    line += "".join(f"H{axes.x(n):.1f}V{axes.y(v):.1f}" for n, v in rest)
    line += f"H{axes.x(max(series.last, number)):.1f}"
    number, value = series.best[-1]
    drawn = f'<path d="{line}" fill="none" stroke="{ACCENT}" stroke-width="2" stroke-linejoin="round"/>'
    return drawn + marks.ring(axes.x(number), axes.y(value), number, value)


def _ticks(numbers: Iterable[int], axes: _Axes) -> str:
    path = "".join(f"M{axes.x(n):.1f} {axes.bottom + 5}v7" for n in numbers)
    return f'<path d="{path}" stroke="{TEXT}"/>' if path else ""


def _crosses(numbers: Iterable[int], axes: _Axes) -> str:
    path = "".join(marks.cross(axes.x(n), axes.bottom + 8.5) for n in numbers)
    return f'<path d="{path}" stroke="{BAD}" stroke-width="1.5"/>' if path else ""
