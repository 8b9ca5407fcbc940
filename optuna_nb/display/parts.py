"""The pieces of HTML that the live panel and the static bundle are made of.

Each function turns a snapshot into one self-contained fragment without script.
Every text passes ``html.escape`` here: names from users are text, never HTML.
The order of the elements reads well where the style sheet was stripped, as
GitHub does.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import columns, figures, labels, svg, wording
from optuna_nb.records import StudyState, TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optuna_nb.records import StudySnapshot, TrialView

_NAME, _WIDE, _PARAM = 60, 48, 24
_BEST_PARAMS, _TABLE_PARAMS = 24, 6
_CHARTS = 3
_ACTIVE_ROWS = 4


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a table of trials, finished or in flight."""

    number: int
    kind: str  # an outcome or "running", for the style sheet
    status: str
    values: Sequence[float]
    seconds: float | None
    params: dict[str, object]


def wrap(inner: str, state: StudyState) -> str:
    """Put fragments into the element that carries palette and state colour."""
    return f'<div class="optuna-nb" style="--onb-state:var(--onb-{state})">{inner}</div>'


def header(snapshot: StudySnapshot, *, gone: bool = False, as_of: str = "") -> str:
    """Say what the study is, how it is doing, and what its best trial is.

    Args:
        snapshot: The study.
        gone: Whether its file is no longer there.
        as_of: The moment, where the page does not move on with a study at work.
    """
    state = snapshot.state
    sign, word = ("?", "File gone") if gone else (wording.STATE_SIGN[state], state.capitalize())
    is_still = bool(as_of) and state.is_active
    word += f" as of {escape(as_of)}" if is_still else ""
    chip = f'<span class="onb-chip"><span aria-hidden="true">{sign}</span> {word}</span> '
    if snapshot.owner and not gone:
        chip += (
            f'<span class="onb-chip"><span aria-hidden="true">⊗</span> Locked elsewhere, '
            f"{escape(wording.clip(snapshot.owner, 40))}</span> "
        )
    head = (
        f'<div class="onb-head"><span class="onb-name">{labels.html(snapshot.name, _NAME)}</span> '
        f"{chip}"
        f'<span class="onb-quiet">{escape(wording.goal(snapshot))}</span></div>'
    )
    return head + _facts(snapshot, is_still=is_still) + _best_params(snapshot)


def _facts(snapshot: StudySnapshot, *, is_still: bool) -> str:
    """List the figures that are looked at most, the largest first; of a moment in the past no outlook."""
    items = ""
    for index in range(min(len(snapshot.directions), _CHARTS)):
        best = figures.best_value(snapshot, index)
        label = f"best {wording.objective(snapshot, index)}{_of_trial(snapshot, index, best)}"
        items += _fact(label, wording.number(best), kind=' class="onb-main"')
    items += _fact("elapsed", wording.duration(snapshot.elapsed), clock="elapsed")
    if snapshot.state is StudyState.RUNNING and not is_still:
        items += _fact("rate", wording.rate(snapshot.rate)) if snapshot.rate else ""
        items += _fact("time to go", wording.duration(snapshot.eta), clock="eta")
    return f'<div class="onb-facts">{items}</div>'


def _of_trial(snapshot: StudySnapshot, objective: int, best: float | None) -> str:
    """Name the trial of a best value: with several objectives each may be of another."""
    if snapshot.best is not None:
        return f", trial {snapshot.best.number}"
    having = (
        trial.number
        for trial in snapshot.trials
        if trial.outcome is TrialOutcome.COMPLETE and trial.feasible and best in trial.values[objective:][:1]
    )
    number = next(having, None)
    return "" if number is None else f", trial {number}"


def _fact(label: str, text: str, *, kind: str = "", clock: str = "") -> str:
    """Show one figure; what a ``clock`` names goes on in the page, second by second."""
    ticking = f' data-onb-clock="{clock}"' if clock else ""
    return f"<div{kind}><b{ticking}>{escape(text)}</b> <span>{escape(label)}</span></div>"


def _best_params(snapshot: StudySnapshot) -> str:
    if snapshot.best is None or not snapshot.best.params:
        return ""
    params = list(snapshot.best.params.items())
    items = "".join(
        f"<div>{escape(wording.clip_middle(name, _WIDE))} <b>{escape(wording.parameter(value))}</b></div>"
        for name, value in params[:_BEST_PARAMS]
    )
    more = len(params) - _BEST_PARAMS
    items += f"<div>and {more} more</div>" if more > 0 else ""
    return f'<div class="onb-params" role="group" aria-label="Best parameters">{items}</div>'


def progress(snapshot: StudySnapshot) -> str:
    """Draw done of total as a bar, and say it in words below."""
    total = max(snapshot.target or 0, snapshot.done, 1)
    counts = [(outcome, snapshot.count(outcome)) for outcome in TrialOutcome]
    parts = "".join(
        f'<i class="onb-{outcome}" style="width:{100 * count / total:.2f}%"></i>'
        for outcome, count in counts
        if count
    )
    said = wording.progress(snapshot)
    split = ", ".join(
        f"{count} {outcome}" for outcome, count in counts if count or outcome != TrialOutcome.COMPLETE
    )
    flight = f", {len(snapshot.live)} running" if snapshot.live else ""
    return (
        f'<div class="onb-bar" role="progressbar" aria-label="{escape(said)}" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{snapshot.done}">{parts}</div>'
        f'<div class="onb-under"><span>{escape(said)}</span> '
        f'<span class="onb-quiet">{split}{flight}</span></div>'
    )


def note(text: str, *, wrong: bool = False) -> str:
    """Show one line of remark, or of what went wrong; empty for no text."""
    line = wording.clip(text, 300)
    return f'<p class="onb-note{" onb-wrong" if wrong else ""}">{escape(line)}</p>' if line else ""


def charts(snapshot: StudySnapshot) -> str:
    """Draw the history, one chart per objective, of at most three."""
    several = len(snapshot.directions) > 1
    count = min(len(snapshot.directions), _CHARTS)
    series = [figures.history(snapshot, i, label=wording.objective(snapshot, i)) for i in range(count)]
    if not snapshot.state.is_active and not any(
        one.points or one.infinite for one in series
    ):  # no room for what will not come
        return f'<p class="onb-chart onb-quiet">{wording.none_completed(snapshot.state)}</p>'
    return "".join(svg.history(one, height=170 if several else 230) for one in series)


def best_table(snapshot: StudySnapshot, count: int = 10) -> str:
    """Rank the best trials; with several directions, list the Pareto front."""
    title = "Best trials" if len(snapshot.directions) == 1 else "Pareto front"
    return _table(title, snapshot, [_finished(trial) for trial in figures.top(snapshot, count)], status=False)


def last_table(snapshot: StudySnapshot, count: int = 8) -> str:
    """List the trials in flight and those that finished last, newest first."""
    rows = [
        _Row(
            number=trial.number,
            kind="running",
            status="● running" + ("" if trial.step is None else f", step {trial.step}"),
            values=() if trial.value is None else (trial.value,),
            seconds=None,
            params=dict(trial.params),
        )
        for trial in list(snapshot.live)[:_ACTIVE_ROWS]
    ]
    rows += [_finished(trial) for trial in reversed(snapshot.trials[-count:])]
    return _table("Last trials", snapshot, rows[:count], status=True)


def _finished(trial: TrialView) -> _Row:
    status = f"{wording.OUTCOME_SIGN[trial.outcome]} {trial.outcome}" + (
        "" if trial.feasible else ", infeasible"
    )
    values = trial.values
    if not values and trial.outcome is TrialOutcome.PRUNED and trial.last_step is not None:
        status += f", step {trial.last_step}"
    return _Row(trial.number, trial.outcome.value, status, values, trial.seconds, dict(trial.params))


def _table(title: str, snapshot: StudySnapshot, rows: Sequence[_Row], *, status: bool) -> str:
    """Lay out trials as a table; more parameters than fit are counted, not shown."""
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row.params))
    shown = names[:_TABLE_PARAMS]
    laid: list[tuple[str, list[str], bool]] = [("trial", [str(row.number) for row in rows], False)]
    if status:
        laid.append(("state", [row.status for row in rows], True))
    for index in range(len(snapshot.directions)):
        values = [row.values[index] if index < len(row.values) else None for row in rows]
        laid.append((wording.objective(snapshot, index), columns.scores(snapshot, index, values), False))
    for name in shown:
        cells = [row.params.get(name) for row in rows]
        having = [cell for row, cell in zip(rows, cells, strict=True) if name in row.params]
        filled = iter(columns.parameters(snapshot, name, having))
        laid.append(
            (
                name,
                [next(filled) if name in row.params else wording.NOTHING for row in rows],
                any(isinstance(cell, str) for cell in cells),
            )
        )
    laid.append(("time", columns.durations(snapshot, [row.seconds for row in rows]), False))
    caption = title
    if len(names) > len(shown):
        caption += f' <span class="onb-quiet">with {len(shown)} of {len(names)} parameters</span>'
    heads = "".join(_head(name, text) for name, _, text in laid)
    lines = "".join(_line(row.kind, laid, index) for index, row in enumerate(rows))
    return (
        f'<div class="onb-scroll" tabindex="0" role="region" aria-label="{title}"><table class="onb-table">'
        f"<caption>{caption}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def _head(name: str, text: bool) -> str:  # noqa: FBT001 - one column's heading, beside its flag
    return f'<th scope="col"{_LEFT if text else ""}>{labels.html(name, _PARAM)}</th>'


def _line(kind: str, columns: Iterable[tuple[str, list[str], bool]], index: int) -> str:
    cells = [(texts[index], text) for _, texts, text in columns]
    body = "".join(f"<td{_LEFT if text else ''}>{escape(cell)}</td>" for cell, text in cells[1:])
    return f'<tr class="onb-s-{kind}"><th scope="row">{cells[0][0]}</th>{body}</tr>'


_LEFT = ' class="onb-text"'
