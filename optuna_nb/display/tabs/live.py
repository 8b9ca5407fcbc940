"""The tab *Live*: the trials in flight, with what they have reported."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import wording
from optuna_nb.display.tabs.choices import quiet

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import LiveTrial, StudySnapshot

_MOST, _PARAMS = 64, 30


def render(snapshot: StudySnapshot, _source: Source, _choices: Choices) -> str:
    """List the trials in flight."""
    if not snapshot.live:
        return quiet(
            "No trial is in flight" if snapshot.state.is_active else f"The study is {snapshot.state}"
        )
    rows = "".join(_row(trial) for trial in list(snapshot.live)[:_MOST])
    heads = "".join(
        f'<th scope="col"{left}>{name}</th>'
        for name, left in (
            ("trial", ""),
            ("for", ""),
            ("step", ""),
            ("last value", ""),
            ("worker", ' class="onb-text"'),
            ("parameters", ' class="onb-text"'),
        )
    )
    return (
        '<div class="onb-scroll onb-tall" data-onb-key="live" tabindex="0" role="region"'
        ' aria-label="Trials in flight"><table class="onb-table">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(trial: LiveTrial) -> str:
    seconds = max((datetime.now(UTC) - trial.started).total_seconds(), 0.0)
    params = ", ".join(
        f"{wording.clip(name, 24)} {wording.parameter(value, 20)}"
        for name, value in list(trial.params.items())[:_PARAMS]
    )
    return (
        f'<tr class="onb-s-running"><th scope="row">{trial.number}</th><td>{wording.duration(seconds)}</td>'
        f"<td>{wording.NOTHING if trial.step is None else trial.step}</td>"
        f"<td>{wording.number(trial.value)}</td>"
        f'<td class="onb-text">{escape(wording.clip(trial.worker or "this kernel", 30))}</td>'
        f'<td class="onb-text">{escape(wording.clip(params or "none yet", 400))}</td></tr>'
    )
