"""The answer of ``%tune best``: the best value and its parameters, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.display import figures, wording
from optuna_nb.records import TrialOutcome

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot, TrialView
    from optuna_nb.tuning.handle import StudyHandle

_MOST = 10  # trials of a Pareto front that are printed, evenly spread along it


def best_text(snapshot: StudySnapshot) -> str:
    """Say what the best trial is; with several directions, the Pareto front."""
    best = figures.top(snapshot, _MOST)
    if not best and snapshot.count(TrialOutcome.COMPLETE):
        return f"{snapshot.name}: no trial keeps its constraints yet ({snapshot.done} finished)"
    if not best:
        wait = f"; `%tune wait {snapshot.name}` waits for the end" if snapshot.state.is_active else ""
        return f"{snapshot.name}: no trial has completed yet ({snapshot.done} finished){wait}"
    if len(snapshot.directions) == 1:
        return f"{snapshot.name}: best {_trial(snapshot, best[0])}"
    front = "\n".join(f"  {_trial(snapshot, trial)}" for trial in best)
    left = len(figures.top(snapshot, snapshot.done)) - len(best)
    count = f"{left} more" if len(snapshot.directions) == 2 else "more"  # noqa: PLR2004 - else not all are looked for
    more = f"\n  and {count}: %tune export {snapshot.name} front.csv --pareto" if left else ""
    return f"{snapshot.name}: trials that no other beats, {' and '.join(snapshot.directions)}\n{front}{more}"


def _trial(snapshot: StudySnapshot, trial: TrialView) -> str:
    metric = snapshot.metric or "value"
    values = ", ".join(wording.number(value) for value in trial.values)
    if len(snapshot.directions) > 1:
        if names := wording.metrics(snapshot):
            pairs = zip(names, trial.values, strict=True)
            values = ", ".join(f"{name} {wording.number(value)}" for name, value in pairs)
        params = ", ".join(f"{name}={wording.parameter(value)}" for name, value in trial.params.items())
        return f"{values} (trial {trial.number}): {params}"
    width = max(map(len, trial.params), default=0)
    lines = [f"\n  {name:<{width}}  {wording.parameter(value)}" for name, value in trial.params.items()]
    return f"{metric} {values} (trial {trial.number}){''.join(lines)}"


def gain_text(handle: StudyHandle) -> str:
    """Say what a study of ``%autotune`` has gained; empty for any other."""
    from optuna_nb.tuning.reading import load_to_look

    study = load_to_look(handle)
    if "autotune" not in study.user_attrs:
        return ""
    from optuna_nb.cell.autotune import summary

    return summary(study)
