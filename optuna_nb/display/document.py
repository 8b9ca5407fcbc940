"""The report of a study: one static page with everything that the tabs show, and no script."""

from __future__ import annotations

from html import escape, unescape
from typing import TYPE_CHECKING

from optuna_nb.display import parts, style, wording
from optuna_nb.display.report import this_moment
from optuna_nb.display.tabs import catalogue
from optuna_nb.display.tabs.choices import Choices

if TYPE_CHECKING:
    from optuna_nb.display.tabs.choices import Source
    from optuna_nb.records import StudySnapshot

_SECTIONS = ("history", "parameters", "curves", "trials", "runs", "code")
_HEAD = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
)
_PAGE = (
    "body{margin:0;background:#fff}@media(prefers-color-scheme:dark){body{background:#16181c}}"
    ".optuna-nb:has(.onb-page){max-width:none}.onb-page{max-width:900px;margin:0 auto;padding:24px 20px}"
    ".onb-page h2{font-size:15px;margin:28px 0 0;padding-top:10px;border-top:1px solid var(--onb-track)}"
    ".onb-page h3{font-size:13.5px;margin:22px 0 0}"
    ".onb-page .onb-tall,.onb-live.onb-page pre.onb-code{max-height:none}"
)
_PRINT = (
    "@media print{.onb-page{max-width:none;padding:0;print-color-adjust:exact}"
    ".onb-page .onb-scroll{overflow:visible;background:none}.onb-page .onb-chart{min-width:0!important}"
    ".optuna-nb .onb-page .onb-table :is(th,td){padding-right:10px}"
    ".optuna-nb .onb-page table.onb-table{font-size:10.5px}"
    ".optuna-nb .onb-page .onb-table .onb-text{white-space:normal;overflow-wrap:break-word}"
    ".onb-live.onb-page pre.onb-code{white-space:pre-wrap}.onb-page :is(h2,h3,h4){break-after:avoid}"
    ".onb-page :is(svg,tr,.onb-facts){break-inside:avoid}}"
)


def document(snapshot: StudySnapshot, source: Source) -> str:
    """Write a whole HTML document, themed by what the reader prefers, with its date; every name is escaped.

    Args:
        snapshot: The study.
        source: Where what the tabs need beyond it is read.
    """
    drawn = {key: _section(key, snapshot, source) for key in _SECTIONS}
    if "<svg" not in drawn["curves"]:  # most studies report no steps, and how to do so is for who tunes
        del drawn["curves"]
    sections = "".join(f"<h2>{escape(catalogue.TABS[key][0])}</h2>{html}" for key, html in drawn.items())
    failed = snapshot.state == snapshot.state.FAILED
    now = this_moment()
    top = parts.header(snapshot, as_of=now) + parts.progress(snapshot)
    top += parts.note(snapshot.note, wrong=True) if failed else ""  # else it is of the last run alone
    top += f'<p class="onb-quiet">Exported {now}</p>'
    inner = f'<main class="onb-page onb-live">{top}{sections}</main>'
    title = escape(wording.clip_middle(snapshot.name, 80))
    return (
        f"{_HEAD}<title>{title}</title>{style.sheet()}{style.live_sheet()}<style>{_PAGE}{_PRINT}</style></head>"
        f"<body>{parts.wrap(inner, snapshot.state)}</body></html>\n"
    )


def _section(key: str, snapshot: StudySnapshot, source: Source) -> str:
    """Make one tab as it looks where nobody can choose: of several objectives each has its parameters."""
    choices = Choices(interactive=False)
    choices.set("rows", "500")
    choices.set("sort", "value:0" if snapshot.directions[0] == "minimize" else "-value:0")
    render = catalogue.TABS[key][1]
    if key != "parameters" or len(snapshot.directions) == 1 or not snapshot.trials:
        return render(snapshot, source, choices)
    drawn = ""
    for index in range(len(snapshot.directions)):
        choices.set("objective", str(index))
        drawn += f"<h3>{escape(wording.objective(snapshot, index))}</h3>{render(snapshot, source, choices)}"
    return drawn


def study_in(page: str) -> str | None:
    """Return the name of the study in a page that ``document`` wrote, clipped; None of any other page."""
    head, _, rest = page.partition("<title>")
    title, _, body = rest.partition("</title>")
    return unescape(title) if head == _HEAD and '<main class="onb-page' in body else None
