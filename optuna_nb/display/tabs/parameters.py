"""The tab *Parameters*: importance, slices, the contour of two, and parallel coordinates."""

from __future__ import annotations

import math
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from optuna_nb.display import importance, marks, plane, wording
from optuna_nb.display.bars import bars
from optuna_nb.display.tabs import parallel
from optuna_nb.display.tabs.choices import quiet, select, tools
from optuna_nb.display.tabs.subject import Subject
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot

_SLICES, _POINTS, _CELLS = 6, 260, 18
_BROKEN = 120  # points that break a constraint, in one chart
_WIDTH, _HALF = 826, 400  # of a chart alone, and of one of two beside each other
_TWO = 2


def render(snapshot: StudySnapshot, _source: Source, choices: Choices) -> str:
    """Draw the tab for one objective."""
    names = [wording.objective(snapshot, index) for index in range(len(snapshot.directions))]
    objective = min(max(choices.number("objective", 0), 0), len(names) - 1)
    trials = importance.sample(snapshot, objective)
    if not trials:
        return quiet(wording.none_completed(snapshot.state))
    shares = importance.importances(trials, objective)
    order = [name for name, _ in shares] or list(dict.fromkeys(n for t in trials for n in t.params))
    if not order:
        return quiet("This study has no parameters")
    controls = ""
    if len(names) > 1:
        options = [(str(index), name) for index, name in enumerate(names)]
        controls += select("objective", "Objective", options, str(objective))
    label = names[objective]
    better = -1.0 if snapshot.directions[objective] == "minimize" else 1.0
    ranked = sorted(trials, key=lambda t: better * t.values[objective])
    best = next((t for t in reversed(ranked) if t.feasible), None)
    if snapshot.best is not None:
        best = snapshot.best  # of equal ones the same as everywhere
    subject = Subject(ranked, order, objective, label, snapshot.log_params, best)
    parts = [bars(shares, label), _slices(subject, choices, _not_finite(snapshot, objective))]
    if len(order) >= _TWO:
        parts += [_contour(subject, choices), parallel.draw(subject)]
    return tools(choices, controls) + "".join(parts)


def _not_finite(snapshot: StudySnapshot, objective: int) -> int:
    return sum(
        not math.isfinite(trial.values[objective])
        for trial in snapshot.trials
        if trial.outcome is TrialOutcome.COMPLETE and objective < len(trial.values)
    )


def _slices(subject: Subject, choices: Choices, not_finite: int) -> str:
    order = subject.order
    shown, controls = list(order[:_SLICES]), ""
    if len(order) > _SLICES:
        options = [("", f"the {_SLICES} most important"), *((name, name) for name in order)]
        chosen = choices.one_of("slice", list(order), "")
        controls = tools(choices, select("slice", "Slice", options, chosen))
        shown = [chosen] if chosen else shown
    values = subject.value_scale()
    width, height = {1: (_WIDTH, 220), 2: (_HALF, 200), 4: (_HALF, 200)}.get(len(shown), (plane.THIRD, 180))
    drawn, sides, has_broken = [], set(), False
    for name in shown:
        kept, broken = subject.having(name)
        every = max(1, len(kept) // _POINTS)
        kept = [*kept[:-40:every], *kept[-40:]]
        broken = broken[:: max(1, len(broken) // _BROKEN)]
        best = subject.best_with(name)
        of_all = [*kept, *broken, *([] if best is None else [best])]
        drawing = plane.Plane(subject.scale(name, of_all), values, width, height)
        body = drawing.hollow([(t.params[name], subject.value(t)) for t in broken])
        body += drawing.dots([(t.params[name], subject.value(t)) for t in kept])
        if best is not None:
            value = subject.value(best)
            body += drawing.ring((best.params[name], value), best.number, value)
        sides |= {values.side(subject.value(t)) for t in [*kept, *broken]} - {0}
        has_broken = has_broken or bool(broken)
        said = f"Slice of {name} over {sum(map(len, subject.having(name)))} trials"
        drawn.append(drawing.draw(body, title=name, said=said))
    said = f"{escape(subject.label)} by one parameter"
    if subject.best is not None:
        said += ", the best trial ringed"
        said += "" if subject.best_with(*shown) else " where it has the parameter"
    if not_finite:
        said += f", {not_finite} values not finite"
    key = [marks.INFEASIBLE] * has_broken + [marks.beyond(above=1 in sides)] * bool(sides)
    columns = "onb-grid onb-pairs" if width == _HALF else "onb-grid"
    return (
        f"<h4>Slices <span>{said}</span></h4>{controls}{marks.line(key)}"
        f'<div class="{columns}">{"".join(drawn)}</div>'
    )


def _contour(subject: Subject, choices: Choices) -> str:
    """Colour the plane of two parameters by the mean rank of the trials in each cell."""
    order = subject.order
    across = choices.one_of("across", order, order[0])
    down = choices.one_of("down", order, order[1])
    if across == down:
        down = next(name for name in order if name != across)
    kept, broken = subject.having(across, down)
    broken = broken[:: max(1, len(broken) // _BROKEN)]
    options = [(name, name) for name in order]
    controls = tools(
        choices, select("across", "Across", options, across), select("down", "Up", options, down)
    )
    said = f"mean rank by {escape(subject.label)} in each cell, stronger is better"
    heading = f"<h4>Contour <span>{said}</span></h4>"
    if not kept and not broken:
        return f"{heading}{controls}{quiet('No trial has both parameters')}"
    best = subject.best_with(across, down)
    drawn = [*kept, *broken, *([] if best is None else [best])]
    x, y = subject.scale(across, drawn), subject.scale(down, drawn)
    drawing = plane.Plane(x, y, _WIDTH, 320)
    cells: dict[tuple[int, int], list[float]] = {}
    columns, rows = len(x.choices) or _CELLS, len(y.choices) or _CELLS
    for rank, trial in zip(_ranks([subject.value(t) for t in kept]), kept, strict=True):
        column = min(int(x.place(trial.params[across]) * columns), columns - 1)
        row = min(int(y.place(trial.params[down]) * rows), rows - 1)
        cells.setdefault((column, row), []).append(rank)
    left, right = drawing.left, drawing.width - drawing.right
    base, top = drawing.height - drawing.bottom, drawing.top
    wide, high = (right - left) / columns, (base - top) / rows
    body = "".join(
        f'<rect x="{left + column * wide:.1f}" y="{base - (row + 1) * high:.1f}" width="{wide:.1f}"'
        f' height="{high:.1f}" fill="{plane.ACCENT}"'
        f' opacity="{0.08 + 0.82 * (sum(ranks) / len(ranks)) ** 2:.2f}"/>'
        for (column, row), ranks in cells.items()
    )
    body += drawing.hollow([(t.params[across], t.params[down]) for t in broken])
    if best is not None:
        body += drawing.ring((best.params[across], best.params[down]), best.number, subject.value(best))
    title = f"{wording.clip_middle(down, 34)} by {wording.clip_middle(across, 34)}"
    chart = drawing.draw(body, title=title, x_label="", said=f"Contour of {title}")
    return f"{heading}{controls}{marks.line([marks.INFEASIBLE] * bool(broken))}{chart}"


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank values that stand from worst to best, from 0 to 1; equal ones share the middle of their ranks."""
    ranks: list[float] = []
    for _, group in groupby(values):
        tied = len(list(group))
        ranks += [(len(ranks) + (tied - 1) / 2) / max(len(values) - 1, 1)] * tied
    return ranks
