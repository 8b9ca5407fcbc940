"""The end of a study: the winner's model on all rows, its gain, and the one look at the holdout."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import TrialState

from optuna_nb.models.baseline import paired_gain
from optuna_nb.models.evaluation import CHOSEN, LIBRARY_DEFAULTS, PARTS, ROUNDS, SETTING, Evaluation
from optuna_nb.models.metrics import Numbered
from optuna_nb.models.rows import take_rows
from optuna_nb.tuning.results import FOLD_SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.study import Study
    from optuna.trial import FrozenTrial

GAIN = "gain_over_defaults"  # attribute of the study: mean, low, high
CODE = "code"  # attribute of the study: Python that builds the best model
SUMMED_UP = "summed_up_trial"  # attribute of the study: the best trial when these were written
HOLDOUT = "holdout"  # attribute of the study: what the rows that no trial saw say


class Winner:
    """Makes the model of the best trial.

    Args:
        evaluation: How trials are evaluated.
        X: All rows as the user gave them, those of the holdout among them.
        y: Their targets.
        weights: Their weights, or None.
        kept: Row numbers of those that trials see.
        apart: Row numbers of the holdout; empty without one.
    """

    def __init__(
        self,
        evaluation: Evaluation,
        X: Any,
        y: Any,
        weights: NDArray[Any] | None,
        *,
        kept: NDArray[np.intp],
        apart: NDArray[np.intp],
    ) -> None:
        self._evaluation = evaluation
        self._X, self._y, self._weights = X, y, weights
        self._kept, self._apart = kept, apart
        self._models: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()

    def model(self, study: Study) -> Any:
        """Return the best trial's model, fitted on all rows; fitted once."""
        best = study.best_trial
        key = (study._study_id, best.number)  # noqa: SLF001 - Optuna has no public name for it
        with self._lock:
            if key not in self._models:
                self._models = {key: self._fit(best, None)}
            return self._models[key]

    def sum_up(self, study: Study) -> None:
        """Write what was gained, and look at the holdout unless it was looked at for this trial."""
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not done:
            return
        best = study.best_trial
        baseline = next((it for it in done if it.user_attrs.get(SETTING) == LIBRARY_DEFAULTS), None)
        learner = self._evaluation.learner
        if baseline is not None:
            fold = learner.folds[0]
            scores, overlap = FOLD_SCORES, len(fold.score) / len(fold.train)
            if len(learner.folds) == 1:  # no model but one each: parts of its scoring rows are compared
                scores, overlap = PARTS, 0.0
            gain = paired_gain(
                baseline.user_attrs.get(scores, ()),
                best.user_attrs.get(scores, ()),
                sign=learner.metric.sign,
                overlap=overlap,
            )
            found = None if gain is None else [gain.mean, gain.low, gain.high]
            if study.user_attrs.get(GAIN) != found:
                study.set_user_attr(GAIN, found)
        code = learner.code(self._params(best), best.user_attrs.get(ROUNDS))
        if study.user_attrs.get(CODE) != code:
            study.set_user_attr(CODE, code)
        if study.user_attrs.get(SUMMED_UP) != best.number:
            study.set_user_attr(SUMMED_UP, best.number)
        if len(self._apart):
            self._look(study, best, baseline)

    def _look(self, study: Study, best: FrozenTrial, baseline: FrozenTrial | None) -> None:
        before = study.user_attrs.get(HOLDOUT) or {}
        if before.get("trial") == best.number:
            return
        found: dict[str, Any] = {
            "trial": best.number,
            "rows": len(self._apart),
            "looks": before.get("looks", 0) + 1,
        }
        found["score"] = self._score_apart(self._fit(best, self._kept))
        if baseline is not None:
            found["defaults"] = self._score_apart(self._fit(baseline, self._kept))
        study.set_user_attr(HOLDOUT, found)

    def _score_apart(self, model: Any) -> float:
        weights = None if self._weights is None else self._weights[self._apart]
        rows, y = take_rows(self._X, self._apart), self._y[self._apart]
        learner = self._evaluation.learner
        labels = learner.problem.classes
        if labels is not None and not learner.metric.speaks_labels:
            model, y = Numbered(model, labels), np.searchsorted(labels, y)
        return learner.metric.score(model, rows, y, weights)

    def _params(self, trial: FrozenTrial) -> dict[str, Any]:
        evaluation = self._evaluation
        given = evaluation.params_of(trial.user_attrs, {**evaluation.space.fixed, **trial.params})
        return {**given, **trial.user_attrs.get(CHOSEN, {})}

    def _fit(self, trial: FrozenTrial, rows: NDArray[np.intp] | None) -> Any:
        X, y, weights = self._X, self._y, self._weights
        if rows is not None:
            X, y = take_rows(X, rows), y[rows]
            weights = None if weights is None else weights[rows]
        return self._evaluation.learner.fit(self._params(trial), trial.user_attrs.get(ROUNDS), X, y, weights)
