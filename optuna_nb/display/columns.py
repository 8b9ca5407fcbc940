"""How the cells of a column read: alike in every table of a study, whichever rows it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna_nb.display import figures, wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import StudySnapshot, TrialView

_LOOKED, _UNREAD = 200, 6  # trials from either end that decide, where parameters are read and where not


def parameters(snapshot: StudySnapshot, name: str, values: Sequence[Any]) -> list[str]:
    """Format values of one parameter."""
    among = [trial.params[name] for trial in _deciding(snapshot) if name in trial.params]
    return wording.column(values, among, is_linear=snapshot.log_params.get(name) is False)


def scores(snapshot: StudySnapshot, objective: int, values: Sequence[float | None]) -> list[str]:
    """Format values of one objective: the best one has six digits."""
    return wording.scores(values, figures.best_value(snapshot, objective))


def durations(snapshot: StudySnapshot, values: Sequence[float | None]) -> list[str]:
    """Format how long trials took."""
    return wording.durations(values, [trial.seconds for trial in _deciding(snapshot)])


def _deciding(snapshot: StudySnapshot) -> Sequence[TrialView]:
    """Return the first trials and the newest: few, where each would be read from the file."""
    trials = snapshot.trials
    is_read = not trials or getattr(trials[0].params, "is_read", True)
    count = _LOOKED if is_read else _UNREAD
    return trials if len(trials) <= 2 * count else [*trials[:count], *trials[-count:]]
