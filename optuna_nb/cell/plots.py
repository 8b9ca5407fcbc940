"""Optuna's plotly plots by name: ``%tune plot slice churn``. One figure at a time, on demand."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.parser import did_you_mean
from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    import optuna

    from optuna_nb.tuning.handle import StudyHandle

_OF_ANY = ("timeline", "intermediate_values")  # plots of trials in any state
_WIDEST = 1800  # pixels, of six slices; more of them would be too narrow on a page, which scrolls instead
KINDS = (
    *("contour", "edf", "hypervolume_history", "intermediate_values", "optimization_history"),
    *("parallel_coordinate", "param_importances", "pareto_front", "rank", "slice", "timeline"),
    "terminator_improvement",
)
SHORT = {
    "history": "optimization_history",
    "importance": "param_importances",
    "importances": "param_importances",
    "parallel": "parallel_coordinate",
    "curves": "intermediate_values",
    "pareto": "pareto_front",
    "hypervolume": "hypervolume_history",
    "terminator": "terminator_improvement",
}


def listed() -> str:
    """Name all plots, the long names that have a short one left out."""
    return ", ".join(sorted({*KINDS, *SHORT} - set(SHORT.values())))


def plot(kind: str, handle: StudyHandle) -> Any:
    """Make one of Optuna's figures.

    Args:
        kind: one of ``KINDS`` or ``SHORT``.
        handle: the study; only its finished trials count.

    Returns:
        A ``plotly.graph_objects.Figure``, which the notebook shows.

    Raises:
        InvalidOptionError: there is no such plot, or it does not fit the study.
    """
    name = SHORT.get(kind, kind)
    if name not in KINDS:
        fix = did_you_mean(kind, [*KINDS, *SHORT]) or f"; there are {listed()}"
        msg = f"%tune plot has no plot {kind!r}{fix}"
        raise InvalidOptionError(msg, code="NB701")
    import optuna

    from optuna_nb.tuning.reading import load_to_look

    study = load_to_look(handle)
    if name == "pareto_front" and len(study.directions) not in (2, 3):
        msg = (
            f"%tune plot {kind} is for two or three directions, and {handle.name} has {len(study.directions)}"
        )
        raise InvalidOptionError(msg, code="NB701")
    if name not in _OF_ANY and not any(
        it.state.name == "COMPLETE" for it in study.get_trials(deepcopy=False)
    ):
        msg = f"%tune plot {kind} shows completed trials, and {handle.name} has none yet"
        raise InvalidOptionError(msg, code="NB701")
    arguments = _arguments(name, study)
    try:
        # The terminator draws a progress bar of its own, which is over before anybody has read it.
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return _on_any_page(getattr(optuna.visualization, f"plot_{name}")(study, **arguments))
    except (ValueError, RuntimeError, ImportError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        msg = f"%tune plot {kind} does not fit {handle.name}: {first}"
        raise InvalidOptionError(msg, code="NB701") from None


def _on_any_page(figure: Any) -> Any:
    """Let a figure take the page's width and stand on a light page and on a dark one."""
    clear, line = "rgba(0, 0, 0, 0)", "rgba(128, 128, 128, 0.3)"
    figure.update_layout(paper_bgcolor=clear, plot_bgcolor=clear, font_color="#7d8590")
    if (figure.layout.width or 0) <= _WIDEST:
        figure.update_layout(width=None, autosize=True)
    figure.update_xaxes(gridcolor=line, zerolinecolor=line)
    figure.update_yaxes(gridcolor=line, zerolinecolor=line)
    return figure


def _arguments(name: str, study: optuna.Study) -> dict[str, Any]:
    """Fill in what Optuna wants to be told where a study has several directions, or a library is missing."""
    import optuna

    several = len(study.directions) > 1
    if name == "hypervolume_history":
        finite = [t.values for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        if not finite:
            return {"reference_point": [0.0] * len(study.directions)}
        worst = [
            (max if d == optuna.study.StudyDirection.MINIMIZE else min)(values[i] for values in finite)
            for i, d in enumerate(study.directions)
        ]
        return {"reference_point": worst}
    if several and name in {
        *("contour", "edf", "optimization_history", "parallel_coordinate", "param_importances"),
        *("rank", "slice"),
    }:
        return (
            _importance() if name == "param_importances" else {"target": _first, "target_name": "objective 0"}
        )
    return _importance() if name == "param_importances" else {}


def _first(trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.values[0])


def _importance() -> dict[str, Any]:
    """Take the evaluator that needs no scikit-learn where there is none."""
    if importlib.util.find_spec("sklearn") is not None:
        return {}
    import optuna

    return {"evaluator": optuna.importance.PedAnovaImportanceEvaluator()}
