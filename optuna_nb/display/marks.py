"""The marks that stand for trials in a chart, and the key that names those that occur in it.

Many marks of one kind are one path, a third of the size of an element each: round
caps of lines without length are dots, and a smaller one in the colour of the paper
makes a dot hollow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna_nb.display import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TEXT = "var(--onb-muted,currentColor)"
POINT = "var(--onb-point,gray)"
ACCENT = "var(--onb-accent,currentColor)"
BAD = "var(--onb-failed,currentColor)"
PAPER = "var(--onb-paper,white)"

Place = tuple[float, float]  # from the left and from the top, in units of the drawing
_LETTER, _BESIDE = 6.2, 34  # of a key: width of a letter, and room for the mark and for air


def dots(places: Iterable[Place], *, color: str = POINT, size: float = 4.5, opacity: str = ".9") -> str:
    """Draw trials."""
    path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
    if not path:
        return ""
    line = f'stroke="{color}" stroke-width="{size}" stroke-linecap="round" opacity="{opacity}"'
    return f'<path d="{path}" {line}/>'


def hollow(places: Sequence[Place], *, size: float = 4.5) -> str:
    """Draw trials that break a constraint."""
    return dots(places, size=size + 1, opacity="1") + dots(places, color=PAPER, size=size - 1.6, opacity="1")


def tips(
    above: Iterable[float], below: Iterable[float], *, top: float, bottom: float, fill: str = "none"
) -> str:
    """Draw trials beyond the scale as triangles at its edges, by how far from the left they are."""
    path = "".join(f"M{x - 3:.1f} {top + 6:.1f}l3 -5l3 5z" for x in above)
    path += "".join(f"M{x - 3:.1f} {bottom - 6:.1f}l3 5l3 -5z" for x in below)
    return f'<path d="{path}" fill="{fill}" stroke="{POINT}"/>' if path else ""


def ring(x: float, y: float, number: int, value: float) -> str:
    """Draw the best trial, with its number and value where the mouse rests on it."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{PAPER}" stroke="{ACCENT}" stroke-width="2">'
        f"<title>trial {number}: {wording.number(value)}</title></circle> "
    )


def cross(x: float, y: float) -> str:
    """Return the path of a cross."""
    return f"M{x - 3:.1f} {y - 3:.1f}l6 6m-6 0l6 -6"


@dataclass(frozen=True, slots=True)
class Entry:
    """One mark of a key, drawn around 10 left of its text."""

    mark: str
    text: str


BEST_SO_FAR = Entry(f'<path d="M-18 0h12" stroke="{ACCENT}" stroke-width="2"/>', "best so far")
TRIAL = Entry(f'<circle cx="-10" cy="0" r="2.5" fill="{POINT}"/>', "trial")
INFEASIBLE = Entry(f'<circle cx="-10" cy="0" r="2.3" fill="none" stroke="{POINT}"/>', "infeasible")
PRUNED = Entry(f'<path d="M-10 -4v8" stroke="{TEXT}"/>', "pruned")
FAILED = Entry(f'<path d="{cross(-10, 0)}" stroke="{BAD}" stroke-width="1.5"/>', "failed")


def beyond(*, above: bool, text: str = "beyond the scale", fill: str = "none") -> Entry:
    """Make the entry of the triangles; they point as most of those in the chart do."""
    triangle = "M-13 3h6l-3 -6z" if above else "M-13 -3h6l-3 6z"
    return Entry(f'<path d="{triangle}" fill="{fill}" stroke="{POINT}"/>', text)


def not_finite(count: int, *, above: bool) -> Entry:
    """Make the entry of the values that lie at no place of any scale."""
    return beyond(above=above, text=f"{count} not finite", fill=POINT)


def width(entries: Iterable[Entry]) -> float:
    """Return how wide a key is."""
    return sum(_LETTER * len(entry.text) + _BESIDE for entry in entries)


def key(entries: Iterable[Entry], right: float, middle: float = 9.5) -> str:
    """Draw a key from the right to the left, so that it ends at the edge of its chart."""
    x, parts = right, []
    for entry in entries:
        x -= _LETTER * len(entry.text)
        parts.append(
            f'<g transform="translate({x:.0f} {middle})">{entry.mark}'
            f'<text y="3.8" fill="{TEXT}">{entry.text}</text> </g>'
        )
        x -= _BESIDE
    return "".join(parts)


def line(entries: Sequence[Entry]) -> str:
    """Draw the key that several charts share as a line above them; nothing where there is nothing to say."""
    if not entries:
        return ""
    wide = math.ceil(width(entries))
    return (
        f'<svg class="onb-chart" viewBox="0 0 {wide} 19" width="{wide}" height="19" font-size="11.5"'
        f' fill="currentColor" aria-hidden="true">{key(entries, wide - _BESIDE + 18)}</svg>'
    )
