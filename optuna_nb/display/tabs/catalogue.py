"""All tabs, in the order in which they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display.tabs import code, curves, history, live, log, parameters, runs, trials

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot

    Render = Callable[[StudySnapshot, Source, Choices], str]

TABS: dict[str, tuple[str, Render]] = {
    "history": ("History", history.render),
    "parameters": ("Parameters", parameters.render),
    "curves": ("Learning curves", curves.render),
    "live": ("Live", live.render),
    "trials": ("Trials", trials.render),
    "log": ("Log", log.render),
    "runs": ("Runs", runs.render),
    "code": ("Code", code.render),
}
FIRST = "history"
