"""Draws the importance of parameters as bars, for the panel and the static page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import importance, labels, plane, wording

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARS = 12
_WIDTH = 826


def bars(shares: Sequence[tuple[str, float]], label: str, *, most: int = _BARS) -> str:
    """Draw importances as bars; a line of text where there are too few trials for any."""
    if not shares:
        text = f"Importance needs at least {importance.LEAST} completed trials of different value"
        return f'<p class="onb-chart onb-quiet">{text}</p>'
    shown = shares[:most]
    row, top, left = 19, 26, 180
    scale = (_WIDTH - left - 56) / max(shown[0][1], 0.02)
    parts = []
    for index, (name, share) in enumerate(shown):
        y = top + index * row
        parts.append(
            f'<text x="{left - 8}" y="{y + 11.5}" text-anchor="end">{labels.svg(name, 26)}</text> '
            f'<rect x="{left}" y="{y + 1}" width="{max(share * scale, 1):.1f}" height="{row - 6}" rx="2"'
            f' fill="{plane.ACCENT}"/><text x="{left + max(share * scale, 1) + 6:.1f}" y="{y + 11.5}"'
            f' fill="{plane.TEXT}">{100 * share:.0f} %</text> '
        )
    rest = len(shares) - len(shown)
    more = f", {rest} more parameters below these" if rest > 0 else ""
    height = top + row * len(shown) + 2
    said = "Importance: " + ", ".join(f"{wording.clip_middle(n, 26)} {100 * s:.0f} %" for n, s in shown[:5])
    body = (
        '<text x="2" y="13" font-weight="600">Importance '
        f'<tspan dx="5" font-weight="400" fill="{plane.TEXT}">how much of the rank of {escape(label)} each '
        f"parameter explains alone{more}</tspan></text> {''.join(parts)}"
    )
    return plane.chart(body, _WIDTH, height, said=said, key="importance")
