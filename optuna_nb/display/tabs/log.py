"""The tab *Log*: what each trial printed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display.tabs.choices import quiet, select

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot

_LONGEST = 65_536


def render(snapshot: StudySnapshot, source: Source, choices: Choices) -> str:
    """Show the log of one trial: the chosen one, or the newest that printed anything."""
    numbers = source.numbers_with_log()
    if not numbers:
        return _of_the_run(source)
    outcomes = {trial.number: str(trial.outcome) for trial in snapshot.trials[-2 * len(numbers) :]}
    options = [("", "the newest")]
    options += [(str(n), f"trial {n}{', ' + outcomes[n] if n in outcomes else ''}") for n in numbers]
    chosen = choices.one_of("log", [str(n) for n in numbers], "")
    number = int(chosen) if chosen else numbers[0]
    text = source.log(number) or ""
    return (
        f'<div class="onb-tools">{select("log", "Trial", options, chosen)}'
        f'<span class="onb-quiet">trial {number}, {len(text)} characters</span></div>'
        f"{_block(text)}"
    )


def _of_the_run(source: Source) -> str:
    """Show what the newest run ended with, where its first trial failed and is not kept."""
    runs = [run for run in source.runs() if run.study == source.name]
    if not runs or not runs[-1].log:
        return quiet("No finished trial has printed anything")
    return f'<p class="onb-quiet">The trial that ended the run; it is not kept</p>{_block(runs[-1].log)}'


def _block(text: str) -> str:
    return (
        '<pre class="onb-code onb-log" data-onb-key="log" tabindex="0" role="region"'
        ' aria-label="Log of the trial">'
        f"{escape(_printable(text[-_LONGEST:]))}</pre>"
    )


def _printable(text: str) -> str:
    """Leave out terminal escapes and other marks that show nothing; a carriage return begins anew."""
    lines = (line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
        for line in lines
    )
