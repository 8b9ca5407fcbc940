"""The tab *History*: every trial and the best so far; with several objectives also their front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display import objectives, parts

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot


def render(snapshot: StudySnapshot, _source: Source, _choices: Choices) -> str:
    """Draw the tab."""
    return parts.charts(snapshot) + objectives.charts(snapshot) + parts.last_table(snapshot)
