"""The tab *Code*: the cell that this version of the study tunes, and what it depends on."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import wording
from optuna_nb.display.tabs.choices import quiet

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot

_LONGEST = 40_000


def render(_snapshot: StudySnapshot, source: Source, _choices: Choices) -> str:
    """Show the stored code with its fingerprint, seed and the libraries of the last run."""
    found = [version for version in source.versions() if version.name == source.name]
    if not found:
        return quiet("No code is kept: plain Optuna made this study")
    version = found[0]
    runs = [run for run in source.runs() if run.study == source.name]
    libraries = ", ".join(f"{name} {number}" for name, number in runs[-1].versions.items()) if runs else ""
    facts = [
        ("seed", str(version.seed)),
        ("depends on", ", ".join(part for part in version.fingerprint if part != "cell") or "nothing else"),
        ("libraries", libraries or wording.NOTHING),
    ]
    listed = "".join(f"<div>{name} <b>{escape(wording.clip(text, 400))}</b></div>" for name, text in facts)
    return (
        f'<div class="onb-params">{listed}</div>'
        '<pre class="onb-code" data-onb-key="code" tabindex="0" role="region" aria-label="Code of the study">'
        f"{escape(version.code[:_LONGEST].rstrip())}</pre>"
    )
