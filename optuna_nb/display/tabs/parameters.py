"""The tab *Parameters*: importance, slices, the contour of two, and parallel coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

from optuna_nb.display import importance, labels, plane, wording
from optuna_nb.display.bars import bars
from optuna_nb.display.scale import Scale, padded, scale_of
from optuna_nb.display.tabs.choices import quiet, select, tools

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import StudySnapshot, TrialView

_SLICES, _LINES, _POINTS, _CELLS = 6, 90, 260, 18
_AXES = 7
_TWO = 2


@dataclass(frozen=True, slots=True)
class _Subject:
    """What all charts of the tab are of."""

    trials: Sequence[TrialView]  # from worst to best, so that the best are drawn last
    order: Sequence[str]  # of the parameters, the one that matters most first
    objective: int
    label: str  # of the objective
    log_params: Mapping[str, bool]
    best: TrialView | None  # of those that can be drawn and keep their constraints

    def value(self, trial: TrialView) -> float:
        return trial.values[self.objective]

    def scale(self, name: str, trials: Sequence[TrialView]) -> Scale:
        """Choose the scale of a parameter, for trials that have it."""
        return scale_of([t.params[name] for t in trials], log=self.log_params.get(name))

    def best_with(self, *names: str) -> TrialView | None:
        """Return the best trial of all where it has these parameters: no other one is the best."""
        has_all = self.best is not None and all(name in self.best.params for name in names)
        return self.best if has_all else None


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
    if snapshot.best is not None and math.isfinite(snapshot.best.values[objective]):
        best = snapshot.best  # of equal ones the same as everywhere
    subject = _Subject(ranked, order, objective, label, snapshot.log_params, best)
    parts = [bars(shares, label), _slices(subject, choices)]
    if len(order) >= _TWO:
        parts += [_contour(subject, choices), _parallel(subject)]
    return tools(choices, controls) + "".join(parts)


def _value_scale(subject: _Subject, trials: Sequence[TrialView]) -> Scale:
    """Scale the values; the worst twentieth may lie at the edge."""
    values = sorted(map(subject.value, trials))
    cut = len(values) // 20
    # ``trials`` stand from worst to best, which tells on which side the bad ones are.
    if subject.value(trials[0]) <= subject.value(trials[-1]):
        return Scale(*padded(values[cut], values[-1]))
    return Scale(*padded(values[0], values[-1 - cut]))


def _slices(subject: _Subject, choices: Choices) -> str:
    order = subject.order
    shown, controls = list(order[:_SLICES]), ""
    if len(order) > _SLICES:
        options = [("", f"the {_SLICES} most important"), *((name, name) for name in order)]
        chosen = choices.one_of("slice", list(order), "")
        controls = tools(choices, select("slice", "Slice", options, chosen))
        shown = [chosen] if chosen else shown
    values = _value_scale(subject, subject.trials)
    drawn = []
    for name in shown:
        having = [t for t in subject.trials if name in t.params]
        every = max(1, len(having) // _POINTS)
        picked = [*having[:-40:every], *having[-40:]]
        best = subject.best_with(name)
        picked += [best] if best is not None else []
        points = [(t.params[name], subject.value(t)) for t in picked]
        drawing = plane.Plane(
            subject.scale(name, picked), values, plane.THIRD if len(shown) > 1 else 520, 180
        )
        ring = "" if best is None else drawing.ring(*points[-1])
        said = f"Slice of {name} over {len(having)} trials"
        drawn.append(drawing.draw(drawing.dots(points) + ring, title=name, said=said))
    ringed = ", the best trial ringed" if subject.best is not None else ""
    if ringed and subject.best_with(*shown) is None:
        ringed += " where it has the parameter"
    heading = f"<h4>Slices <span>{escape(subject.label)} by one parameter{ringed}</span></h4>"
    return f'{heading}{controls}<div class="onb-grid">{"".join(drawn)}</div>'


def _contour(subject: _Subject, choices: Choices) -> str:
    """Colour the plane of two parameters by the mean rank of the trials in each cell."""
    order = subject.order
    across = choices.one_of("across", order, order[0])
    down = choices.one_of("down", order, order[1])
    if across == down:
        down = next(name for name in order if name != across)
    both = [t for t in subject.trials if across in t.params and down in t.params]
    options = [(name, name) for name in order]
    controls = tools(
        choices, select("across", "Across", options, across), select("down", "Up", options, down)
    )
    said = f"mean rank by {escape(subject.label)} in each cell, stronger is better"
    heading = f"<h4>Contour <span>{said}</span></h4>"
    if not both:
        return f"{heading}{controls}{quiet('No trial has both parameters')}"
    best = subject.best_with(across, down)
    drawn = both if best is None else [*both, best]
    x, y = subject.scale(across, drawn), subject.scale(down, drawn)
    drawing = plane.Plane(x, y, 520, 300)
    cells: dict[tuple[int, int], list[float]] = {}
    columns, rows = len(x.choices) or _CELLS, len(y.choices) or _CELLS
    for rank, trial in zip(_ranks([subject.value(t) for t in both]), both, strict=True):
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
    body += "" if best is None else drawing.ring(best.params[across], best.params[down])
    title = f"{wording.clip_middle(down, 34)} by {wording.clip_middle(across, 34)}"
    chart = drawing.draw(body, title=title, x_label="", said=f"Contour of {title}")
    return f"{heading}{controls}{chart}"


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank values that stand from worst to best, from 0 to 1; equal ones share the middle of their ranks."""
    ranks: list[float] = []
    for _, group in groupby(values):
        tied = len(list(group))
        ranks += [(len(ranks) + (tied - 1) / 2) / max(len(values) - 1, 1)] * tied
    return ranks


def _parallel(subject: _Subject) -> str:
    names = list(subject.order[:_AXES])
    full = [t for t in subject.trials if all(name in t.params for name in names)]
    if len(full) < _TWO:
        return ""
    every = max(1, len(full) // _LINES)
    best = full[-max(3, min(12, len(full) // 10)) :]
    picked = [*full[: -len(best) : every], *best]
    scales = [*(subject.scale(name, picked) for name in names), _value_scale(subject, full)]
    width, height, top, bottom, left = 826, 260, 40, 22, 60
    gap = (width - left - 90) / (len(scales) - 1)
    parts = []
    for index, (scale, name) in enumerate(zip(scales, [*names, subject.label], strict=True)):
        x = left + index * gap
        ends = scale.ticks(4)
        ticks = "".join(
            f'<text x="{x + 5:.0f}" y="{height - bottom - (height - top - bottom) * place + 3.5:.1f}"'
            f' fill="{plane.TEXT}" font-size="10" stroke="var(--onb-paper,white)" stroke-width="3"'
            f' paint-order="stroke">{labels.svg(text, 10)}</text> '
            for place, text in ends
        )
        parts.append(
            f'<path d="M{x:.0f} {top}V{height - bottom}" stroke="{plane.POINT}"/>{ticks}'
            f'<text x="{x:.0f}" y="{top - 9}" text-anchor="middle">{labels.svg(name, 15)}</text> '
        )
    lines = {False: "", True: ""}
    chosen = {t.number for t in best}
    for trial in picked:
        values = [*(trial.params[name] for name in names), subject.value(trial)]
        points = "L".join(
            f"{left + i * gap:.0f} {height - bottom - (height - top - bottom) * scale.place(value):.1f}"
            for i, (scale, value) in enumerate(zip(scales, values, strict=True))
            if not (isinstance(value, float) and math.isnan(value))
        )
        lines[trial.number in chosen] += f"M{points}"
    drawn = (
        f'<path d="{lines[False]}" fill="none" stroke="{plane.POINT}" opacity=".28"/>'
        f'<path d="{lines[True]}" fill="none" stroke="{plane.ACCENT}" stroke-width="1.4" opacity=".85"/>'
    )
    said = f"Parallel coordinates of {len(picked)} trials over {', '.join(names)}"
    coloured = f"the {len(best)} best trials in colour"
    if len(full) < len(subject.trials):
        coloured = f"the {len(best)} best in colour of the {len(full)} trials that have all of them"
    heading = f"<h4>Parallel coordinates <span>{coloured}</span></h4>"
    body = drawn + "".join(parts)
    return heading + plane.chart(body, width, height, said=wording.clip(said, 300), key="parallel")
