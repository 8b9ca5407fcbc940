"""Names that are longer than their place: clipped in the middle, and in full where the mouse rests on them.

Names of one search space often begin alike, so what stands at their end must stay.
"""

from __future__ import annotations

from html import escape

from optuna_nb.display import wording

_FULL = 160  # letters of what is called the full text: a page has only so much room


def svg(text: str, limit: int) -> str:
    """Return what stands in a ``<text>``, escaped; with a ``<title>`` where something is left out."""
    short, full = wording.clip_middle(text, limit), wording.clip_middle(text, _FULL)
    return escape(short) if short == full else f"<title>{escape(full)}</title> {escape(short)}"


def html(text: str, limit: int) -> str:
    """Return what stands in an element of a page, escaped; in a ``<span>`` where something is left out."""
    short, full = wording.clip_middle(text, limit), wording.clip_middle(text, _FULL)
    return escape(short) if short == full else f'<span title="{escape(full)}">{escape(short)}</span>'
