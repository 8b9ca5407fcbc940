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

from optuna_nb.display import wording
from optuna_nb.display.plane import ACCENT, BAD, GRID, POINT, TEXT, chart
from optuna_nb.display.scale import padded, steps, tick_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optuna_nb.display.figures import History

_WIDTH = 826
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 4, 32, 44


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a trial number and a value lie on the drawing."""

    height: int
    last: int
    low: float
    high: float

    def x(self, number: float) -> float:
        room = _WIDTH - _LEFT - _RIGHT
        return _LEFT + 6 + (room - 12) * (number / self.last if self.last > 0 else 0.5)

    def y(self, value: float) -> float:
        room = self.height - _TOP - _BOTTOM
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.height - _BOTTOM - room * share


def history(series: History, *, height: int = 230) -> str:
    """Draw the values by trial, and the best so far as a step line.

    Completed trials are dots, pruned ones ticks and failed ones crosses along
    the lower edge. Values beyond the scale are triangles at its edge.

    Returns:
        One ``<svg>`` in its box, of at most about 16 kB; a line of text while there is nothing to draw.
    """
    if not series.points:
        text = "No completed trial yet"
        return f'<p class="onb-chart onb-quiet" style="min-height:{height}px">{text}</p>'
    axes = _Axes(height, series.last, *padded(series.low, series.high))
    body = [
        *(_labels(series, axes), _legend(series), _grid(axes)),
        *(_dots(series, axes), _best(series, axes)),
        *(_ticks(series.pruned, axes), _crosses(series.failed, axes)),
    ]
    key = f"history of {series.label}"
    return chart("".join(body), _WIDTH, height, said=_describe(series), key=key)


def _describe(series: History) -> str:
    """Say in words what the chart shows, for those who do not see it."""
    best = f", best {wording.number(series.best[-1][1])} at trial {series.best[-1][0]}" if series.best else ""
    return f"History of {series.label} over {series.last + 1} trials{best}"


def _grid(axes: _Axes) -> str:
    values = steps(axes.low, axes.high, 4)
    right, parts = _WIDTH - _RIGHT, []
    for value, text in zip(values, tick_texts(values), strict=True):
        y = axes.y(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="{GRID}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 3.8:.1f}" text-anchor="end" fill="{TEXT}">{text}</text> '
        )
    base = axes.height - _BOTTOM + 18
    numbers = sorted({round(v) for v in steps(0, axes.last, 6)}) if axes.last > 0 else [0]
    for number in numbers:
        x = axes.x(number)
        parts.append(f'<text x="{x:.1f}" y="{base + 10}" text-anchor="middle" fill="{TEXT}">{number}</text> ')
    return "".join(parts)


def _labels(series: History, axes: _Axes) -> str:
    arrow = "↓ lower is better" if series.direction == "minimize" else "↑ higher is better"
    return (
        f'<text x="2" y="13" font-weight="600">{escape(series.label)}'
        f'<tspan dx="8" font-weight="400" fill="{TEXT}">{arrow}</tspan></text> '
        f'<text x="{_LEFT - 8}" y="{axes.height - _BOTTOM + 28}" text-anchor="end" fill="{TEXT}">'
        f"trial</text> "
    )


def _legend(series: History) -> str:
    """Draw a key to what occurs in this chart, from the right to the left."""
    marks = [(f'<path d="M-18 0h12" stroke="{ACCENT}" stroke-width="2"/>', "best so far")]
    marks.append((f'<circle cx="-10" cy="0" r="2.5" fill="{POINT}"/>', "trial"))
    if series.outliers:
        is_above = max(value for _, value in series.points) > series.high
        triangle = "M-13 3h6l-3 -6z" if is_above else "M-13 -3h6l-3 6z"
        marks.append((f'<path d="{triangle}" fill="none" stroke="{POINT}"/>', "beyond the scale"))
    if series.pruned:
        marks.append((f'<path d="M-10 -4v8" stroke="{TEXT}"/>', "pruned"))
    if series.failed:
        marks.append((f'<path d="{_cross(-10, 0)}" stroke="{BAD}" stroke-width="1.5"/>', "failed"))
    x, parts = float(_WIDTH - _RIGHT), []
    for mark, text in marks:
        x -= 6.2 * len(text)
        parts.append(
            f'<g transform="translate({x:.0f} 9.5)">{mark}<text y="3.8" fill="{TEXT}">{text}</text> </g>'
        )
        x -= 34
    return "".join(parts)


def _dots(series: History, axes: _Axes) -> str:
    """Draw all dots as one path of round caps: a third of the size of circles."""
    inside = [(n, v) for n, v in series.points if series.low <= v <= series.high]
    beyond = [(n, v) for n, v in series.points if not series.low <= v <= series.high]
    size = 5 if len(series.points) <= 200 else 3.6  # noqa: PLR2004 - many dots need to be finer
    dots = "".join(f"M{axes.x(n):.1f} {axes.y(v):.1f}h0" for n, v in inside)
    part = f'<path d="{dots}" stroke="{POINT}" stroke-width="{size}" stroke-linecap="round" opacity=".9"/>'
    if beyond:
        top, bottom = axes.y(axes.high), axes.y(axes.low)
        tips = "".join(
            f"M{axes.x(n) - 3:.1f} {top + 6:.1f}l3 -5l3 5z"
            if v > series.high
            else f"M{axes.x(n) - 3:.1f} {bottom - 6:.1f}l3 5l3 -5z"
            for n, v in beyond
        )
        part += f'<path d="{tips}" fill="none" stroke="{POINT}"/>'
    return part


def _best(series: History, axes: _Axes) -> str:
    if not series.best:
        return ""
    (number, value), rest = series.best[0], series.best[1:]
    line = f"M{axes.x(number):.1f} {axes.y(value):.1f}"
    line += "".join(f"H{axes.x(n):.1f}V{axes.y(v):.1f}" for n, v in rest)
    line += f"H{axes.x(max(series.last, number)):.1f}"
    number, value = series.best[-1]
    return (
        f'<path d="{line}" fill="none" stroke="{ACCENT}" stroke-width="2" stroke-linejoin="round"/>'
        f'<circle cx="{axes.x(number):.1f}" cy="{axes.y(value):.1f}" r="4.5" fill="var(--onb-paper,white)" '
        f'stroke="{ACCENT}" stroke-width="2"/>'
    )


def _ticks(numbers: Iterable[int], axes: _Axes) -> str:
    y = axes.height - _BOTTOM + 5
    path = "".join(f"M{axes.x(n):.1f} {y}v7" for n in numbers)
    return f'<path d="{path}" stroke="{TEXT}"/>' if path else ""


def _cross(x: float, y: float) -> str:
    return f"M{x - 3:.1f} {y - 3:.1f}l6 6m-6 0l6 -6"


def _crosses(numbers: Iterable[int], axes: _Axes) -> str:
    path = "".join(_cross(axes.x(n), axes.height - _BOTTOM + 8.5) for n in numbers)
    return f'<path d="{path}" stroke="{BAD}" stroke-width="1.5"/>' if path else ""
