"""The tab *History*: every trial and the best so far; with several objectives also their front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display import objectives, parts

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot


_ROWS = 8


def render(snapshot: StudySnapshot, _source: Source, choices: Choices) -> str:
    """Draw the tab; as long as trials come, a live one is as high as the tables will be."""
    tables = [parts.best_table(snapshot, _ROWS), parts.last_table(snapshot, _ROWS)]
    if choices.interactive and snapshot.state.is_active:
        rows = min(_ROWS, max(snapshot.target or _ROWS, snapshot.done))
        tables = [f'<div class="onb-rows" style="--onb-rows:{rows}">{table}</div>' for table in tables]
    drawn = parts.charts(snapshot) + objectives.charts(snapshot)
    return f'{drawn}<div class="onb-tables">{"".join(tables)}</div>' if any(tables) else drawn
