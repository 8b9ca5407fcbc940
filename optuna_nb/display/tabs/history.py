"""The tab *History*: every trial and the best so far; with several objectives also their front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display import objectives, parts

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot


_ROWS = 8


def render(snapshot: StudySnapshot, _source: Source, choices: Choices) -> str:
    """Draw the tab; until the study ends, a live one is as high as the table will be."""
    table = parts.last_table(snapshot, _ROWS)
    if choices.interactive and not snapshot.state.has_ended:
        rows = min(_ROWS, max(snapshot.target or _ROWS, snapshot.done))
        table = f'<div class="onb-rows" style="--onb-rows:{rows}">{table}</div>'
    return parts.charts(snapshot) + objectives.charts(snapshot) + table
