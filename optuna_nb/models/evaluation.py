"""One trial: its parameters, its folds, the race against the best, its honest score.

The rows that score a fold stop its boosting early, so the fold's own best number of
rounds flatters it. Once all folds are there, each one is scored at the number of rounds
that the other folds chose, those of the same split where there are several: no row takes
part in choosing the rounds that it scores.
During the race every trial is flattered alike, and own bests are compared with own bests.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import TrialState

from optuna_nb.errors import ObjectiveError
from optuna_nb.models import racing
from optuna_nb.models.folds import apart
from optuna_nb.models.metrics import as_estimator, target_of
from optuna_nb.models.rows import take_rows
from optuna_nb.models.shared import Shared
from optuna_nb.models.stopping import Limit
from optuna_nb.models.threads import fitting_threads, in_order
from optuna_nb.tuning.executors.asking import ask_study
from optuna_nb.tuning.executors.cores import cores_of_a_worker, share

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

    from optuna_nb.models.learner import FoldFit, Learner
    from optuna_nb.models.spaces import Space

SETTING = "setting"  # attribute of a trial that was not drawn by the sampler
LIBRARY_DEFAULTS = "library defaults"
ROUNDS = "rounds"  # boosting rounds that are best for all folds together
FOLD_ROUNDS = "fold_rounds"  # and for each one
CHOSEN = "chosen_by_library"  # parameters that were left to it
RACED = "raced_scores"  # what the folds scored by their own rounds
PARTS = "part_scores"  # of the scoring rows, where there is one split
N_PARTS, _LEAST_PART = 20, 250
STUDY = "autotune"  # attribute of the study: what is needed to build its model


class Evaluation:
    """The objective of an autotuned study. Called from any thread, from several at once.

    It can be pickled: a copy on a worker makes its own binned data once, for all its trials
    there, and goes by the cores that it finds there.

    Args:
        learner: The model with its folds.
        space: What is searched.
        fixed: What the user has fixed; the baseline keeps it.
        about: What is kept with the study.
        race: Whether hopeless trials end after their first folds.
        jobs: Trials at the same time in this process.
        fold_jobs: Folds of a trial at the same time; None for what the cores allow.
    """

    ends_when_asked = True  # see tuning/dropping.py

    def __init__(
        self,
        learner: Learner,
        space: Space,
        *,
        fixed: Mapping[str, Any],
        about: Mapping[str, Any],
        race: bool = True,
        jobs: int = 1,
        fold_jobs: int | None = None,
    ) -> None:
        self.learner = learner
        self.space = space
        self.fixed = dict(fixed)
        self.about = dict(about)
        self._race = race
        self._fold_jobs = fold_jobs
        self._apart = apart(learner.folds)
        self._targets: Shared[tuple[Any, NDArray[Any]]] = Shared(len(learner.folds))
        self._spread(share(jobs))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._spread(cores_of_a_worker())

    def _spread(self, cores: int) -> None:
        """Divide the cores of one trial: folds come first, then threads of a model."""
        self.workers = min(self._fold_jobs or cores, len(self.learner.folds))
        free = 1 if self._fold_jobs else max(1, cores // self.workers)
        self.threads = min(free, fitting_threads(self.learner.problem.X.size))

    def names_for_workers(self) -> dict[str, Any]:
        """Return what the user gave, by the names of the flags."""
        learner = self.learner
        return {"X": learner.problem.X, "metric": learner.metric.scorer, "model": learner}

    def __call__(self, trial: Trial) -> list[float]:
        """Evaluate a trial: one score a fold, in the metric's natural sign.

        Raises:
            optuna.TrialPruned: If its first folds show that it is hopeless.
        """
        learner = self.learner
        races = self._race and trial.user_attrs.get(SETTING) != LIBRARY_DEFAULTS  # all gains are over these
        rivals, flattery = ask_study(
            trial.study, enter_race, self.about, len(learner.folds), learner.metric.sign if races else None
        )
        params = self.params_of(trial.user_attrs, self.space.suggest(trial))
        fits, raced = self._run_folds(trial, params, rivals, flattery)
        honest = self._honest(fits, raced)
        if fits[0].rounds is not None:
            trial.set_user_attr(FOLD_ROUNDS, [fit.rounds for fit in fits])
            trial.set_user_attr(ROUNDS, common_rounds(fits))
        if fits[0].chosen:
            trial.set_user_attr(CHOSEN, dict(fits[0].chosen))
        trial.set_user_attr(RACED, raced)
        if len(fits) == 1:
            trial.set_user_attr(PARTS, self._score_parts(fits[0]))
        return honest

    def params_of(self, attributes: Mapping[str, Any], suggested: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a trial hands to the model: the baseline is the library left alone."""
        if attributes.get(SETTING) == LIBRARY_DEFAULTS:
            return {**self.learner.baseline, **self.fixed}
        return dict(suggested)

    def _run_folds(
        self, trial: Trial, params: Mapping[str, Any], rivals: NDArray[np.float64], flattery: float
    ) -> tuple[list[FoldFit], list[float]]:
        sign = self.learner.metric.sign
        loss = None if len(rivals) == 0 else racing.limit_of_first(rivals)
        # One split has no margin for haste: its limit is the best loss itself.
        in_haste = len(self.learner.folds) > 1 and len(rivals) < racing.RIVALS
        limit = None if loss is None else Limit(loss, in_haste)
        fits: list[FoldFit] = []
        losses: list[float] = []

        def fit(fold: int, cancelled: threading.Event) -> tuple[FoldFit, float]:
            first = limit if fold == 0 else None  # later folds may begin before the first has ended
            fitted = self.learner.fit_fold(fold, params, self.threads, cancelled, first)
            return fitted, 0.0 if cancelled.is_set() else self._score(fold, fitted, None)

        with contextlib.closing(in_order(fit, len(self.learner.folds), self.workers)) as results:
            for fitted, score in results:
                fits.append(fitted)
                losses.append(sign * score)
                so_far = np.array(losses)
                if len(self.learner.folds) > 1:
                    trial.report(sign * (racing.expected(so_far, rivals) + flattery), len(losses))
                if fitted.gave_up or racing.is_hopeless(so_far, rivals):
                    trial.set_user_attr(RACED, [sign * loss for loss in losses])
                    count = len(self.learner.folds)
                    when = f"after {len(losses)} of {count} folds" if count > 1 else "before its last round"
                    raise optuna.TrialPruned(f"hopeless {when}")
        return fits, [sign * loss for loss in losses]

    def _honest(self, fits: list[FoldFit], raced: list[float]) -> list[float]:
        """Score each fold by the rounds that the other folds chose."""
        if fits[0].curve is None or len(fits) == 1:
            return raced
        return [
            self._score(fold, fit, common_rounds([fits[other] for other in self._apart[fold]]))
            for fold, fit in enumerate(fits)
        ]

    def _score_parts(self, fit: FoldFit) -> list[float]:
        """Score parts of the only split's rows, so that a gain can have an interval; of few rows, none."""
        problem, rows = self.learner.problem, self.learner.folds[0].score
        if len(rows) < N_PARTS * _LEAST_PART:
            return []
        found, target = fit.predict(None), target_of(self.learner.metric, problem)
        scores = []
        for start in range(N_PARTS):
            part = rows[start::N_PARTS]
            weights = None if problem.weights is None else problem.weights[part]
            model = as_estimator(found[start::N_PARTS], self.learner.metric, problem)
            X, y = take_rows(problem.X, part), target[part]
            try:
                scores.append(self.learner.metric.score(model, X, y, weights))
            except ValueError:  # a class that is rare is not in every part
                return []
        return scores if np.isfinite(scores).all() else []

    def _score(self, fold: int, fit: FoldFit, rounds: int | None) -> float:
        problem, metric = self.learner.problem, self.learner.metric
        rows = self.learner.folds[fold].score
        X, y = self._targets.get(fold, lambda: (take_rows(problem.X, rows), target_of(metric, problem)[rows]))
        weights = None if problem.weights is None else problem.weights[rows]
        value = metric.score(as_estimator(fit.predict(rounds), metric, problem), X, y, weights)
        if not np.isfinite(value):
            raise ObjectiveError(
                f"fold {fold + 1} scores {value}: take another --metric, or folds with all classes",
                code="NB306",
            )
        return value


def enter(study: Study, about: Mapping[str, Any], folds: int, sign: float | None) -> NDArray[np.float64]:
    """Write what a study is about, and return what a new trial races against.

    Args:
        study: Where it is: on workers, in the kernel.
        about: Written once.
        folds: How many there are.
        sign: Of the metric; None without a race.

    Returns:
        Losses of the best trials so far, ``(m, folds)``.
    """
    if STUDY not in study.user_attrs:
        study.set_user_attr(STUDY, dict(about))
    if sign is None:
        return np.empty((0, folds))
    rows = [it.user_attrs[RACED] for it in _finished(study, folds)]
    losses = sign * np.array(rows, dtype=np.float64).reshape(-1, folds)
    best: NDArray[np.float64] = losses[np.argsort(losses.mean(axis=1), kind="stable")[: racing.RIVALS]]
    return best


def enter_race(
    study: Study, about: Mapping[str, Any], folds: int, sign: float | None
) -> tuple[NDArray[np.float64], float]:
    """Do what :func:`enter` does, and tell by how much the losses of the best trial are flattered, too.

    What a trial reports is raised by that: one that is hopeless is never shown as better than the best.
    """
    rivals = enter(study, about, folds, sign)
    if sign is None or len(rivals) == 0:
        return rivals, 0.0
    best = next(it for it in _finished(study, folds) if it.user_attrs[RACED] == (sign * rivals[0]).tolist())
    return rivals, sign * float(best.values[0]) - float(rivals[0].mean())


def _finished(study: Study, folds: int) -> list[FrozenTrial]:
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [it for it in done if len(it.user_attrs.get(RACED, ())) == folds]


def common_rounds(fits: Sequence[FoldFit]) -> int:
    """Return the number of boosting rounds at which some folds together are best.

    The loss of a fold that stopped earlier goes on as it went since it was best: if it
    stayed as it was, the fold that needs most rounds would choose for all.
    """
    curves = [fit.curve for fit in fits if fit.curve is not None]
    if len(curves) < len(fits):
        return max(1, round(float(np.mean([fit.rounds or 1 for fit in fits]))))
    longest = max(map(len, curves))
    return int(np.mean([_continued(curve, longest) for curve in curves], axis=0).argmin()) + 1


def _continued(curve: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Let a curve go on in a line, with its mean slope since its minimum."""
    last, since_best = curve[-1], len(curve) - 1 - int(curve.argmin())
    slope = (last - curve.min()) / since_best if since_best and np.isfinite(last) else 0.0
    return np.append(curve, last + slope * np.arange(1, length - len(curve) + 1))
