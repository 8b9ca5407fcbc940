"""Draws points, lines and cells between two scales as inline SVG; the charts of the tabs are made of it.

As in ``svg``: colours are CSS variables with a fallback, all text is escaped here.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import labels, wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optuna_nb.display.scale import Scale

TEXT = "var(--onb-muted,currentColor)"
POINT = "var(--onb-point,gray)"
ACCENT = "var(--onb-accent,currentColor)"
GRID = "var(--onb-grid,lightgray)"
BAD = "var(--onb-failed,currentColor)"
THIRD = 260  # width of a chart of which three stand beside each other, the least of a column of a grid
_SMALL = 400  # charts up to this width stand in a grid
_READABLE = 760  # pixels: a wide chart is never narrower
_GAP = 6  # between two texts below a chart
_LETTER = 7.0  # width of a letter of a tick, in a broad font


def chart(body: str, width: int, height: float, *, said: str, key: str, font: float = 11.5) -> str:
    """Make one ``<svg>``; a wide one keeps its text readable where there is little room, and scrolls.

    Args:
        body: What is drawn, as SVG.
        width: In units of the drawing, which are pixels where there is room.
        height: Likewise.
        said: What the chart shows, in words.
        key: By which the page finds the chart again when it is repainted.
        font: Size of the text.
    """
    least = f' style="min-width:{min(width, _READABLE)}px"' if width > _SMALL else ""
    drawn = (
        f'<svg class="onb-chart" role="img" viewBox="0 0 {width} {height}" width="{width}"{least}'
        f' font-size="{font}" fill="currentColor" aria-label="{escape(said)}">{body}</svg>'
    )
    return f'<div class="onb-scroll" data-onb-key="chart:{escape(key)}">{drawn}</div>' if least else drawn


@dataclass(frozen=True, slots=True)
class Plane:
    """A drawing with two scales."""

    x_scale: Scale
    y_scale: Scale
    width: int = THIRD
    height: int = 170
    left: int = 46
    top: int = 24
    bottom: int = 34
    right: int = 8

    def x(self, value: object) -> float:
        """Return where a value lies from the left, in units of the drawing."""
        return self.left + (self.width - self.left - self.right) * self.x_scale.place(value)

    def y(self, value: object) -> float:
        """Return where a value lies from the top."""
        return self.height - self.bottom - (self.height - self.top - self.bottom) * self.y_scale.place(value)

    def draw(self, body: str, *, title: str, x_label: str = "", said: str = "") -> str:
        """Put frame, scales and title around what was drawn."""
        heading = f'<text x="2" y="12" font-weight="600">{labels.svg(title, self.width // 7)}</text> '
        body = f"{heading}{self._frame(x_label)}{body}"
        return chart(body, self.width, self.height, said=said or title, key=title)

    def _frame(self, x_label: str) -> str:
        parts = []
        base, right = self.height - self.bottom, self.width - self.right
        for place, text in self.y_scale.ticks():
            y = base - (base - self.top) * place
            parts.append(f'<path d="M{self.left} {y:.1f}H{right}" stroke="{GRID}"/>')
            short = labels.svg(text, max(8, self.left // 6))
            parts.append(
                f'<text x="{self.left - 6}" y="{y + 3.8:.1f}" text-anchor="end" fill="{TEXT}">{short}</text> '
            )
        free, limit = -100.0, 14
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

    def dots(self, points: Iterable[tuple[object, object]], *, color: str = POINT, size: float = 4.5) -> str:
        """Draw points as one path."""
        path = "".join(f"M{self.x(a):.1f} {self.y(b):.1f}h0" for a, b in points)
        if not path:
            return ""
        return (
            f'<path d="{path}" stroke="{color}" stroke-width="{size}" stroke-linecap="round" opacity=".8"/>'
        )

    def ring(self, a: object, b: object) -> str:
        """Mark one point, the best."""
        return (
            f'<circle cx="{self.x(a):.1f}" cy="{self.y(b):.1f}" r="4.5" fill="var(--onb-paper,white)"'
            f' stroke="{ACCENT}" stroke-width="2"/>'
        )

    def line(
        self,
        points: Sequence[tuple[object, object]],
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
