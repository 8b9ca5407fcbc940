"""The static bundle: what a saved notebook shows of a study, on any page.

No script, no widget, nothing fetched: one ``text/html`` with inline SVG, and a
``text/plain`` that never changes, so that a diff of two runs stays quiet.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from optuna_nb.display import importance, objectives, parts, style, wording
from optuna_nb.display.bars import bars

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot

MAX_BYTES = 60_000
_PLANE = 2  # objectives; of more, each pair has a chart, and these are too much for a saved page

_HINT = (
    "The page was saved while the study was at work. Running its cell again goes on with it; "
    "to see where it is now: %tune show {name}"
)


def bundle(snapshot: StudySnapshot, *, panel_id: str = "") -> dict[str, str]:
    """Make the mime bundle of a study at one moment.

    Args:
        snapshot: The study, with any number of trials.
        panel_id: Of the live panel that covers the page as long as the kernel lives.

    Returns:
        ``text/html`` under 60 kB, themed by CSS alone, every name escaped; and
        ``text/plain``, the constant ``<Study 'churn@1'>``.
    """
    page = html(snapshot)
    if panel_id:
        page = f'<div data-onb-panel="{panel_id}"><div class="onb-static">{page}</div></div>'
    return {"text/html": page, "text/plain": plain(snapshot.name)}


def _importance(snapshot: StudySnapshot) -> str:
    """Draw which parameters matter, where that is known without reading a long study anew."""
    params = snapshot.trials[0].params if snapshot.trials else {}
    if len(snapshot.directions) != 1 or not getattr(params, "is_read", True):
        return ""
    shares = importance.importances(importance.sample(snapshot))
    return bars(shares, wording.objective(snapshot, 0), most=6) if len(shares) > 1 else ""


def plain(name: str) -> str:
    """Return the constant text of a study, whatever its state."""
    return f"<Study {name!r}>"


def _hint(snapshot: StudySnapshot) -> str:
    """Say of a study that was at work what to do; of any other, nothing."""
    return _HINT.format(name=wording.clip_middle(snapshot.name, 60)) if snapshot.state.is_active else ""


def this_moment() -> str:
    """Return the local time as a page that does not move on has it: "2026-11-29 13:21"."""
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M}"


def html(snapshot: StudySnapshot) -> str:
    """Return the static page of a study; see ``bundle``."""
    failed = snapshot.state == snapshot.state.FAILED
    top = (
        parts.header(snapshot, as_of=this_moment())
        + parts.progress(snapshot)
        + parts.note(snapshot.note, wrong=failed)
        + parts.note(_hint(snapshot))
        + parts.charts(snapshot)
        + (objectives.charts(snapshot) if len(snapshot.directions) == _PLANE else "")
        + _importance(snapshot)
    )
    page = ""
    # Names and choices may be long: give up rows before the page gives up its size.
    for best, last in ((8, 5), (5, 3), (0, 0)):
        tables = parts.best_table(snapshot, best) + (parts.last_table(snapshot, last) if last else "")
        inner = f'<div class="onb-card">{top}<div class="onb-tables">{tables}</div></div>'
        page = parts.wrap(style.sheet() + inner, snapshot.state)
        if len(page.encode()) < MAX_BYTES:
            break
    return page
