"""Draws points, lines and cells between two scales as inline SVG; the charts of the tabs are made of it.

As in ``svg``: colours are CSS variables with a fallback, all text is escaped here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import labels, marks, wording
from optuna_nb.display.marks import ACCENT, BAD, POINT, TEXT
from optuna_nb.display.scale import room

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optuna_nb.display.scale import Scale

__all__ = ["ACCENT", "BAD", "GRID", "POINT", "TEXT", "Plane", "chart"]

Point = tuple[object, object]

GRID = "var(--onb-grid,lightgray)"
THIRD = 260  # width of a chart of which three stand beside each other, the least of a column of a grid
_READABLE = 0.793  # of its width: a narrower chart would have text of less than 9 pixels
_GAP = 6  # between two texts below a chart
_LETTER, _BOLD = 7.0, 8.0  # width of a letter of a tick, and of a title, in a broad font
_LONGEST = 14  # letters of a choice beside or below a chart


def chart(
    body: str, width: int, height: float, *, said: str, key: str, font: float = 11.5, from_right: bool = False
) -> str:
    """Make one ``<svg>`` whose text stays readable where there is little room; all but small ones scroll.

    Args:
        body: What is drawn, as SVG.
        width: In units of the drawing, which are pixels where there is room.
        height: Likewise.
        said: What the chart shows, in words.
        key: By which the page finds the chart again when it is repainted.
        font: Size of the text.
        from_right: Whether the right end is what a page shows first that has no room for all.
    """
    has_box = width > THIRD
    sizes = f"min-width:{_READABLE * width:.0f}px"
    box = ""
    if has_box and from_right:  # what is written from the right to the left is scrolled to there at first
        sizes += ";direction:ltr;margin-right:auto"
        box = ' style="direction:rtl"'
    drawn = (
        f'<svg class="onb-chart" role="img" viewBox="0 0 {width} {height}" width="{width}" style="{sizes}"'
        f' font-size="{font}" fill="currentColor" aria-label="{escape(said)}">{body}</svg>'
    )
    return (
        f'<div class="onb-scroll" data-onb-key="chart:{escape(key)}"{box}>{drawn}</div>' if has_box else drawn
    )


@dataclass(frozen=True, slots=True)
class Plane:
    """A drawing with two scales."""

    x_scale: Scale
    y_scale: Scale
    width: int = THIRD
    height: int = 170
    top: int = 24
    bottom: int = 34
    right: int = 8
    left: int = field(init=False)  # as much as the numbers beside the scale need

    def __post_init__(self) -> None:
        texts = [wording.clip_middle(text, _LONGEST) for _, text in self.y_scale.ticks()]
        object.__setattr__(self, "left", max(46, room(texts)))

    def x(self, value: object) -> float:
        """Return where a value lies from the left, in units of the drawing."""
        return self.left + (self.width - self.left - self.right) * self.x_scale.place(value)

    def y(self, value: object) -> float:
        """Return where a value lies from the top."""
        return self.height - self.bottom - (self.height - self.top - self.bottom) * self.y_scale.place(value)

    def draw(self, body: str, *, title: str, x_label: str = "", said: str = "") -> str:
        """Put frame, scales and title around what was drawn."""
        heading = f'<text x="2" y="12" font-weight="600">{labels.svg(title, int(self.width / _BOLD))}</text> '
        body = f"{heading}{self._frame(x_label)}{body}"
        return chart(body, self.width, self.height, said=said or title, key=title)

    def _frame(self, x_label: str) -> str:
        parts = []
        base, right = self.height - self.bottom, self.width - self.right
        for place, text in self.y_scale.ticks():
            y = base - (base - self.top) * place
            parts.append(f'<path d="M{self.left} {y:.1f}H{right}" stroke="{GRID}"/>')
            parts.append(
                f'<text x="{self.left - 6}" y="{y + 3.8:.1f}" text-anchor="end" fill="{TEXT}">'
                f"{labels.svg(text, _LONGEST)}</text> "
            )
        free, limit = -100.0, _LONGEST
        if self.x_scale.choices:  # all of them, if their names can be told apart in that room
            room = (right - self.left) / len(self.x_scale.choices) - _GAP
            limit = min(limit, max(6, int(room / _LETTER)))
        for place, text in self.x_scale.ticks(max(4, self.width // 80)):
            x = self.left + (right - self.left) * place
            short = wording.clip_middle(text, limit)
            if x - len(short) * _LETTER / 2 < free:
                continue
            free = x + len(short) * _LETTER / 2 + _GAP
            shift = min(x, self.width - len(short) * _LETTER / 2)
            parts.append(
                f'<text x="{shift:.1f}" y="{base + 15}" text-anchor="middle" fill="{TEXT}">'
                f"{labels.svg(text, limit)}</text> "
            )
        if x_label:
            parts.append(
                f'<text x="{right}" y="{base + 29}" text-anchor="end" fill="{TEXT}">{escape(x_label)}</text> '
            )
        return "".join(parts)

    def dots(self, points: Iterable[Point], *, color: str = POINT, size: float = 4.5) -> str:
        """Draw points; a triangle at the edge stands for one that lies beyond the scale of values."""
        within, edges = self._parted(points)
        return marks.dots(within, color=color, size=size, opacity=".8") + edges

    def hollow(self, points: Iterable[Point]) -> str:
        """Draw points of trials that break a constraint."""
        within, edges = self._parted(points)
        return marks.hollow(within) + edges

    def _parted(self, points: Iterable[Point]) -> tuple[list[marks.Place], str]:
        """Place the points within the scale of values, and draw the others."""
        within: list[marks.Place] = []
        above: list[float] = []
        below: list[float] = []
        for a, b in points:
            side = self.y_scale.side(b)
            if side:
                (above if side > 0 else below).append(self.x(a))
            else:
                within.append((self.x(a), self.y(b)))
        return within, marks.tips(above, below, top=self.top, bottom=self.height - self.bottom)

    def ring(self, point: Point, number: int, value: float) -> str:
        """Mark one point, the best."""
        return marks.ring(self.x(point[0]), self.y(point[1]), number, value)

    def line(
        self,
        points: Sequence[Point],
        *,
        color: str = ACCENT,
        width: float = 1.5,
        dash: str = "",
    ) -> str:
        """Join points by a line."""
        if not points:
            return ""
        path = "L".join(f"{self.x(a):.1f} {self.y(b):.1f}" for a, b in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        return (
            f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{width}"'
            f' stroke-linejoin="round"{dashed}/>'
        )
