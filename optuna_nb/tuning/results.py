"""What a tuning run leaves in its record: best score and the top trials, as plain JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optuna.samplers import BruteForceSampler, GridSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from optuna_nb.tuning import failure
from optuna_nb.tuning.ranking import is_feasible, pareto_set, rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.samplers import BaseSampler

TOP = 20
FOLD_SCORES = "fold_scores"  # user attributes of a trial that was scored by folds
FOLD_STD = "fold_std"


def summarise(
    trials: Sequence[FrozenTrial],
    directions: Sequence[str],
    *,
    metric: str | None,
    method: str,
    seconds: float,
    error: BaseException | str | None = None,
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Summarise a study for its tuning run.

    Args:
        trials: All finished trials of the study.
        directions: One per objective; several rank by the first.
        metric: Name of the score.
        method: Tuning method of the record.
        seconds: Duration of this run, in seconds.
        error: What ended the run early, if anything did.

    Returns:
        The best parameters (None without a complete and feasible trial), and the results:
        ``best_score``, ``total_combinations``, ``cv_folds``, ``scoring_metric``,
        ``tuning_time`` (s), ``tuning_method``, ``all_results`` (the best 20, NaN
        and infeasible last), and ``error`` with ``error_type`` where there is one.
    """
    ranked = rank(trials, directions)
    best = ranked[0] if ranked and is_feasible(ranked[0]) else None
    folds = [len(trial.user_attrs.get(FOLD_SCORES, ())) for trial in ranked]
    results = {
        "best_score": None if best is None else as_python((best.values or [None])[0]),
        "total_combinations": len(trials),
        "cv_folds": max(folds, default=0) or None,
        "scoring_metric": metric,
        "tuning_time": round(seconds, 6),
        "tuning_method": method,
        "all_results": [_entry(i, trial) for i, trial in enumerate(ranked[:TOP], start=1)],
    }
    if error is not None:
        results["error"] = error if isinstance(error, str) else failure.message(error)
        results["error_type"] = error if isinstance(error, str) else type(error).__name__
    return None if best is None else as_python(best.params), results


def closing_line(
    trials: Sequence[FrozenTrial],
    directions: Sequence[str],
    *,
    names: Sequence[str] | None,
    n_trials: int,
    seconds: float,
) -> str:
    """Sum up a run in one line.

    Args:
        trials: All finished trials of the study.
        directions: One per objective.
        names: Of the objectives, where they have any.
        n_trials: Finished in this run.
        seconds: Duration of this run.
    """
    parts = ["no new trial"]
    if n_trials:
        rate = f" ({_count(60 * n_trials / seconds)} a minute)" if seconds > 0 else ""
        parts = [f"{n_trials:,} trial{'s' if n_trials > 1 else ''} in {_duration(seconds)}{rate}"]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if any(trial.constraints for trial in complete):
        parts.append(f"{100 * sum(map(is_feasible, complete)) / len(complete):.3g}% feasible")
    best = pareto_set(trials, directions)
    if best and len(directions) == 1:
        parts.append(f"best {names[0] if names else 'value'} {best[0].values[0]:.6g}")
    elif best:
        tops = [
            (max if direction == "maximize" else min)(trial.values[i] for trial in best)
            for i, direction in enumerate(directions)
        ]
        named = [f"{names[i] if names else f'objective {i}'} = {top:.6g}" for i, top in enumerate(tops)]
        parts.append(f"Pareto set of {len(best)}, best {', '.join(named)}")
    if complete and not any(trial.params for trial in trials):
        parts.append("no trial asked for a parameter, as trial.suggest_int('depth', 2, 8) does")
    return ", ".join(parts)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - no exponent for people


def _duration(seconds: float) -> str:
    if seconds < 0.001:  # noqa: PLR2004 - a millisecond
        return "under 1 ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"  # noqa: PLR2004


def _entry(rank_: int, trial: FrozenTrial) -> dict[str, Any]:
    values = trial.values or [math.nan]
    return {
        "rank": rank_,
        "trial": trial.number,
        "params": as_python(trial.params),
        "mean_score": as_python(values[0]),
        "std_score": as_python(trial.user_attrs.get(FOLD_STD)),
        "scores": as_python(trial.user_attrs.get(FOLD_SCORES, values)),
    }


def as_python(value: Any) -> Any:
    """Turn numpy and pandas values into plain Python; the records hold NaN and infinities, too."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): as_python(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_python(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def plain(value: Any) -> Any:
    """Turn numpy and pandas values into what JSON holds; NaN and infinities become text."""
    value = as_python(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def tuning_method(sampler: BaseSampler) -> str:
    """Map a sampler to the method of the record; the exact sampler stands in its ``config``."""
    if isinstance(sampler, (GridSampler, BruteForceSampler)):
        return "grid_search"
    return "random_search" if isinstance(sampler, (RandomSampler, QMCSampler)) else "bayesian"
