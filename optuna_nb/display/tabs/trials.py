"""The tab *Trials*: all trials in a table to sort, to filter, and to take away as CSV."""

from __future__ import annotations

import csv
import io
import math
from html import escape
from typing import TYPE_CHECKING, Any

from optuna_nb.display import columns, labels, parts, wording
from optuna_nb.display.tabs import conditions
from optuna_nb.display.tabs.choices import quiet, select
from optuna_nb.records import cell_of_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot, TrialView

_ROWS = ("25", "100", "500")
_COLUMNS = 8  # parameters that are shown before somebody chooses
_PEEK = 200  # trials that are asked for the names of parameters
_LEFT = ' class="onb-text"'


def render(snapshot: StudySnapshot, _source: Source, choices: Choices) -> str:
    """Lay out the table."""
    if not snapshot.trials:
        return quiet("No finished trial" + ("" if snapshot.state.has_ended else " yet"))
    names = param_names(snapshot)
    shown = [n for n in names[:_COLUMNS] if n not in choices.hidden]
    shown += [n for n in names[_COLUMNS:] if n in choices.shown]
    trials = _sorted(conditions.filtered(snapshot, choices.text("filter")), choices.text("sort", "-number"))
    limit = int(choices.one_of("rows", _ROWS, _ROWS[0]))
    rows = trials[:limit]
    return (
        _tools(snapshot, choices, names, set(shown), len(trials))
        + parts.note(conditions.trouble(snapshot, choices.text("filter"), names), wrong=True)
        + f'<div class="onb-scroll onb-tall" data-onb-key="trials" tabindex="0" role="region" '
        f'aria-label="Trials"><table class="onb-table"><thead><tr>{_heads(snapshot, shown, choices)}</tr>'
        f"</thead><tbody>{_body(snapshot, rows, shown)}</tbody></table></div>"
    )


def param_names(snapshot: StudySnapshot) -> list[str]:
    """List parameters by what the first and the newest trials have."""
    trials = snapshot.trials
    looked = [*trials[:_PEEK], *trials[-_PEEK:]] if len(trials) > 2 * _PEEK else trials
    return list(dict.fromkeys(name for trial in looked for name in trial.params))


def to_csv(snapshot: StudySnapshot, choices: Choices) -> str:
    """Write the trials that the filter lets pass, in the order of the table, with every parameter.

    A text that a spreadsheet would take for a formula is given a quote in front.
    """
    names = param_names(snapshot)
    labels = [wording.objective(snapshot, index) for index in range(len(snapshot.directions))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(cell_of_csv(c) for c in ["number", "state", *labels, *names, "started", "seconds"])
    trials = conditions.filtered(snapshot, choices.text("filter"))
    for t in _sorted(trials, choices.text("sort", "number")):
        values = [t.values[i] if i < len(t.values) else "" for i in range(len(labels))]
        params = [cell_of_csv(t.params.get(name, "")) for name in names]
        started = t.started.isoformat() if t.started else ""
        writer.writerow(
            [t.number, t.outcome, *values, *params, started, "" if t.seconds is None else t.seconds]
        )
    return out.getvalue()


def _tools(
    snapshot: StudySnapshot, choices: Choices, names: Sequence[str], shown: set[str], found: int
) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" data-onb-set="column:{escape(name)}"'
        f"{' checked' if name in shown else ''}> {labels.html(name, 30)}</label>"
        for name in names[:120]
    )
    total = len(snapshot.trials)
    said = f"{found} of {total} trials" if found != total else f"{total} trials"
    if not choices.interactive:
        return _left_out(snapshot, choices, len(names), len(shown))
    return (
        '<div class="onb-tools"><label>Filter <input type="search" data-onb-set="filter" placeholder='
        f'"pruned, x &lt; 0.5, value &gt; 0.9" size="26" value="{escape(choices.text("filter"))}"></label>'
        + select("rows", "Rows", [(n, n) for n in _ROWS], choices.one_of("rows", _ROWS, _ROWS[0]))
        + f'<span class="onb-quiet">{said}</span>'
        '<button type="button" class="onb-button" data-onb-do="csv" data-onb-key="csv">CSV</button></div>'
        f'<details class="onb-columns onb-tools" data-onb-key="columns"><summary>Columns, {len(shown)} of '
        f"{len(names)} parameters</summary><div>{boxes}</div></details>"
    )


def _left_out(snapshot: StudySnapshot, choices: Choices, names: int, shown: int) -> str:
    """Say what a page on which nobody can choose does not show; it is sorted by the value, the best first."""
    total, limit = len(snapshot.trials), int(choices.one_of("rows", _ROWS, _ROWS[0]))
    parts = []
    if total > limit:
        parts.append(f"the best {limit} of {total} trials by {wording.objective(snapshot, 0)}")
    if names > shown:
        parts.append(f"{shown} of {names} parameters")
    return quiet(f"In this table: {', with '.join(parts)}") if parts else ""


def _heads(snapshot: StudySnapshot, shown: Sequence[str], choices: Choices) -> str:
    sort = choices.text("sort", "-number")
    columns = [("number", "trial", False), ("state", "state", True)]
    columns += [
        (f"value:{i}", wording.objective(snapshot, i), False) for i in range(len(snapshot.directions))
    ]
    columns += [(f"param:{name}", name, False) for name in shown]
    columns.append(("seconds", "time", False))
    cells = []
    for key, label, text in columns:
        down = sort == f"-{key}"
        order = "descending" if down else "ascending" if sort == key else "none"
        arrow = {"descending": " ▾", "ascending": " ▴", "none": ""}[order]
        if not choices.interactive:
            cells.append(f'<th scope="col"{_LEFT if text else ""}>{labels.html(label, 24)}</th>')
            continue
        cells.append(
            f'<th scope="col" aria-sort="{order}"{_LEFT if text else ""}><button type="button"'
            f' data-onb-set="sort" data-onb-key="sort:{escape(key)}"'
            f' value="{escape(key if down else f"-{key}")}">'
            f"{labels.html(label, 24)}{arrow}</button></th>"
        )
    return "".join(cells)


def _body(snapshot: StudySnapshot, rows: Sequence[TrialView], shown: Sequence[str]) -> str:
    laid: list[tuple[list[str], bool]] = []
    laid.append(([f"{wording.OUTCOME_SIGN[t.outcome]} {t.outcome}{_where(t)}" for t in rows], True))
    for index in range(len(snapshot.directions)):
        values = [t.values[index] if index < len(t.values) else None for t in rows]
        laid.append((columns.scores(snapshot, index, values), False))
    for name in shown:
        having = iter(columns.parameters(snapshot, name, [t.params[name] for t in rows if name in t.params]))
        texts = [next(having) if name in t.params else wording.NOTHING for t in rows]
        laid.append((texts, any(isinstance(t.params.get(name), str) for t in rows)))
    laid.append((columns.durations(snapshot, [t.seconds for t in rows]), False))
    lines = []
    for row, t in enumerate(rows):
        cells = "".join(f"<td{_LEFT if text else ''}>{escape(texts[row])}</td>" for texts, text in laid)
        lines.append(f'<tr class="onb-s-{t.outcome}"><th scope="row">{t.number}</th>{cells}</tr>')
    return "".join(lines)


def _where(trial: TrialView) -> str:
    if not trial.feasible:
        return ", infeasible"
    return f", step {trial.last_step}" if trial.last_step is not None else ""


def _sorted(trials: Sequence[TrialView], sort: str) -> list[TrialView]:
    down, key = sort.startswith("-"), sort.removeprefix("-")
    if key == "number":
        return list(reversed(trials)) if down else list(trials)
    read = _reader_of(key)
    found = [(read(trial), trial) for trial in trials]
    missing = [trial for value, trial in found if value is None]
    numbers = [(v, t) for v, t in found if isinstance(v, (int, float))]
    texts = [(v, t) for v, t in found if isinstance(v, str)]
    for group in (numbers, texts):
        group.sort(key=lambda pair: pair[0], reverse=down)
    return [t for _, t in numbers] + [t for _, t in texts] + missing


def _reader_of(key: str) -> Callable[[TrialView], Any]:
    kind, _, rest = key.partition(":")
    if kind == "param":
        return lambda t: _plain(t.params.get(rest))
    if kind == "value":
        index = int(rest) if rest.isdigit() else 0
        return lambda t: _plain(t.values[index]) if index < len(t.values) else None
    if key == "seconds":
        return lambda t: t.seconds
    return lambda t: str(t.outcome) if key == "state" else t.number


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, (int, float, str)) else str(value)
