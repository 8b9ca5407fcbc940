"""What an estimator has learned: it counts where code asks for it and does not fit it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FITS = frozenset({"fit", "fit_transform", "fit_predict", "partial_fit"})
_REFITS = frozenset(
    {
        *("clone", "set_params", "cross_val_score", "cross_validate", "cross_val_predict"),
        *("learning_curve", "validation_curve", "permutation_test_score", "RFECV"),
    }
)
_ASKS = frozenset(
    {
        *("predict", "predict_proba", "predict_log_proba", "decision_function", "score", "score_samples"),
        *("transform", "inverse_transform", "apply", "kneighbors", "get_booster", "feature_importances"),
    }
)
_CHANCE = (  # parts of the names of what may differ each time, as two of them hold times and one an address
    *("random", "seed", "rng", "n_threads", "n_jobs", "cv_results_", "refit_time_", "_stop_words_id"),
)


def asks_what_was_learned(attributes: Iterable[str]) -> bool:
    """Tell whether code uses a fitted estimator, by what it reads of it: ``"transform"``, ``"coef_.sum"``."""
    names = {attribute.partition(".")[0] for attribute in attributes}
    asks = names & _ASKS or any(name.endswith("_") and not name.startswith("_") for name in names)
    return bool(asks) and not names & _FITS


def fits_anew(names: Iterable[str]) -> bool:
    """Tell whether code fits estimators, or lets a library do so, by all names that it uses."""
    return any(name in _FITS or name in _REFITS or name.endswith("SearchCV") for name in names)


def learned_by(estimator: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters and all other attributes of an estimator, but for times and chance."""
    return {
        name: value
        for name, value in {**vars(estimator), **params}.items()
        if not any(part in name for part in _CHANCE)
    }
