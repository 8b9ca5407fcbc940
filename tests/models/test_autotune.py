"""Real models tuned on small real data."""

import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import optuna_nb
from optuna_nb.cell.autotune import best_code
from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.models.evaluation import LIBRARY_DEFAULTS, SETTING
from optuna_nb.models.folds import split_holdout
from optuna_nb.models.problem import read_problem
from optuna_nb.models.sklearn_model import CLASSIFIERS, REGRESSORS


def outcome(handle):
    return [(t.number, t.state.name, t.value, t.params) for t in handle.study.trials]


def defaults_of(study):
    """Return the trial of the library's defaults."""
    (trial,) = (it for it in study.trials if it.user_attrs.get(SETTING) == LIBRARY_DEFAULTS)
    return trial


def test_xgboost_is_tuned_refitted_and_ready_to_predict(tuned, cancer):
    X, y = cancer
    handle = tuned("xgboost", X, y, trials=6, metric="roc_auc", folds=3)

    assert handle.study.direction.name == "MAXIMIZE"
    assert handle.best_value > 0.98
    assert roc_auc_score(y, handle.best_model.predict_proba(X)[:, 1]) > 0.99
    assert handle.best_model is handle.best_model  # fitted once
    if handle.best_model.num_parallel_tree is None:  # the library's defaults sample nothing
        assert handle.best_model.n_estimators == 100


def test_the_winner_of_all_rows_averages_trees_where_they_differ(tuned, cancer):
    space = {"learning_rate": (0.2, 0.3), "subsample": (0.5, 0.8)}
    handle = tuned("xgboost", *cancer, trials=5, folds=2, fix={"max_depth": 2}, space=space)
    best, rounds = handle.best_model, handle.best_trial.user_attrs["rounds"]

    assert handle.best_trial.user_attrs.get(SETTING) != LIBRARY_DEFAULTS  # which sample nothing
    assert best.num_parallel_tree == 4
    assert best.n_estimators == round(1.25 * rounds)
    assert len(best.get_booster().get_dump()) == 4 * best.n_estimators
    learner = prepare(AutotuneOptions(model="xgboost", X=cancer[0], y=cancer[1])).objective.evaluate.learner
    assert "num_parallel_tree" not in learner.code({"max_depth": 2}, 10)
    assert "n_estimators=10" in learner.code({"subsample": 0.5, "num_parallel_tree": 1}, 10)


@pytest.mark.parametrize(("fix", "slower"), [({}, 4), ({"learning_rate": 0.2}, 1)])
def test_the_winner_of_catboost_learns_slower_on_all_rows_unless_the_rate_was_fixed(
    tuned, cancer, fix, slower
):
    fix = {"depth": 2, **fix}
    handle = tuned("catboost", *cancer, trials=3, folds=2, fix=fix)
    trial = next(it for it in handle.study.trials[1:] if "rounds" in it.user_attrs)
    options = AutotuneOptions(model="catboost", X=cancer[0], y=cancer[1], fix=fix)
    learner = prepare(options).objective.evaluate.learner
    params, rounds = {**fix, **trial.params}, trial.user_attrs["rounds"]
    model = learner.fit(params, rounds, *cancer, None)

    assert model.tree_count_ == slower * rounds
    assert model.get_params()["learning_rate"] == params["learning_rate"] / slower
    assert f"iterations={slower * rounds}" in learner.code(params, rounds)


def test_few_rows_of_many_columns_are_cut_into_32_bins_by_catboost_alone(tuned, cancer):
    for model, bins in (("catboost", {"border_count": 32}), ("xgboost", {})):
        evaluation = prepare(AutotuneOptions(model=model, X=cancer[0], y=cancer[1])).objective.evaluate
        assert evaluation.space.fixed == bins
    learner = prepare(AutotuneOptions(model="catboost", X=cancer[0], y=cancer[1])).objective.evaluate.learner
    assert learner.baseline == {"border_count": 32}


@pytest.mark.parametrize(
    "own",
    [{"max_bin": 100, "iterations": 20}, {"num_trees": 20}, {"reg_lambda": 2.0, "num_boost_round": 20}],
)
def test_catboosts_other_names_of_parameters_are_known(tuned, cancer, own):
    from catboost import CatBoostClassifier

    handle = tuned(CatBoostClassifier(**own), *cancer, trials=3, folds=2)
    assert "FAIL" not in {trial.state.name for trial in handle.study.trials}
    assert handle.best_model.is_fitted()


def test_one_split_of_many_rows_has_an_interval_of_its_gain_from_parts_of_its_rows(tuned):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(25_000, 3))
    y = (X.sum(axis=1) + rng.normal(size=25_000) > 0).astype(int)
    study = tuned("xgboost", X, y, trials=4, cv=0.2, fix={"max_depth": 2}).study
    first, best = defaults_of(study), study.best_trial
    mean, low, high = study.user_attrs["gain_over_defaults"]

    assert len(first.user_attrs["part_scores"]) == 20
    assert np.mean(first.user_attrs["part_scores"]) == pytest.approx(first.value)
    assert mean == pytest.approx(first.value - best.value, rel=1e-3)
    assert low < mean < high
    assert (
        study.user_attrs["autotune"]["splits"] == "one split, 20% of the rows score (StratifiedShuffleSplit)"
    )


def test_one_split_of_few_rows_has_no_interval(tuned, cancer):
    study = tuned("xgboost", *cancer, trials=4, cv=0.2).study
    assert defaults_of(study).user_attrs["part_scores"] == []
    assert "gain_over_defaults" not in study.user_attrs


def test_the_study_opens_with_the_library_defaults_and_they_are_what_the_library_does(tuned, cancer):
    from xgboost import XGBClassifier

    X, y = cancer
    handle = tuned("xgboost", X, y, trials=4, folds=3)

    first = defaults_of(handle.study)
    folds = StratifiedKFold(3, shuffle=True, random_state=33)
    expected = cross_val_score(XGBClassifier(n_jobs=1), X, y, cv=folds, scoring="neg_log_loss")
    assert first.number == 3
    assert first.user_attrs["fold_scores"] == pytest.approx(list(-expected), rel=1e-6)


@pytest.mark.parametrize(("model", "known"), [("catboost", 2), ("xgboost", 3), ("logistic", 0)])
def test_slow_defaults_wait_for_what_is_known_to_be_good(tuned, cancer, model, known):
    handle = tuned(model, *cancer, trials=known + 1, folds=2)

    trials = [it for it in handle.study.trials if it.state.is_finished()]
    settings = [f"known to be good {k}" for k in range(1, known + 1)]
    assert [it.user_attrs[SETTING] for it in trials] == [*settings, LIBRARY_DEFAULTS]
    assert handle.runs["results"][0]["baseline_score"] == trials[-1].value
    if model == "catboost":
        assert trials[0].user_attrs["rounds"] < trials[-1].user_attrs["rounds"] <= 1000


def test_catboosts_defaults_are_fitted_on_all_rows_at_the_rate_and_rounds_of_their_folds(diabetes):
    import catboost

    X, y = diabetes
    prepared = prepare(AutotuneOptions(model="catboost", X=X, y=y, folds=2))
    study = optuna.create_study()
    study.enqueue_trial({}, user_attrs={SETTING: LIBRARY_DEFAULTS})
    study.optimize(lambda trial: float(np.mean(prepared.objective.evaluate(trial))), n_trials=1)
    trial = study.best_trial
    model = prepared.objective.refit(study)

    half = catboost.CatBoostRegressor(iterations=1000, verbose=False, allow_writing_files=False)
    fold = prepared.objective.evaluate.learner.folds[0].train
    half.fit(np.asarray(X)[fold], np.asarray(y)[fold])
    assert model.learning_rate_ == pytest.approx(half.learning_rate_, rel=1e-6)
    assert model.tree_count_ == trial.user_attrs["rounds"] < 1000


@pytest.mark.parametrize(
    "own", [{"early_stopping_rounds": 50}, {"od_type": "Iter", "od_wait": 5}, {"eval_metric": "Accuracy"}]
)
def test_an_estimator_that_stops_by_a_rule_of_its_own_is_stopped_by_ours(cancer, own):
    import threading

    from catboost import CatBoostClassifier

    curves = []
    for settings in ({}, own):
        options = AutotuneOptions(model=CatBoostClassifier(**settings), X=cancer[0], y=cancer[1], folds=3)
        learner = prepare(options).objective.evaluate.learner
        curves.append(learner.fit_fold(0, {"learning_rate": 0.1, "depth": 3}, 1, threading.Event()).curve)
    assert list(curves[0]) == list(curves[1])


def test_the_defaults_are_not_raced_as_all_gains_are_over_them(cancer):
    evaluation = prepare(
        AutotuneOptions(model="xgboost", X=cancer[0], y=cancer[1], folds=3)
    ).objective.evaluate
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for noise in (1e-9, 2e-9):
        rival = {"raced_scores": [noise, 1e-9, noise]}
        study.add_trial(optuna.trial.create_trial(value=noise, user_attrs=rival))

    with pytest.raises(optuna.TrialPruned, match="hopeless after 1 of 3 folds"):
        evaluation(study.ask())
    study.enqueue_trial({}, user_attrs={SETTING: LIBRARY_DEFAULTS})
    assert len(evaluation(study.ask())) == 3


def test_the_rounds_that_score_a_fold_are_chosen_by_the_other_folds(cancer):
    import threading

    from optuna_nb.models.evaluation import common_rounds

    X, y = cancer
    evaluation = prepare(AutotuneOptions(model="xgboost", X=X, y=y, folds=3)).objective.evaluate
    params = {"learning_rate": 0.3, "max_depth": 3}
    fits = [evaluation.learner.fit_fold(k, params, 1, threading.Event()) for k in range(3)]
    own = [evaluation._score(k, fit, None) for k, fit in enumerate(fits)]

    honest = evaluation._honest(fits, own)

    longest = max(len(fit.curve) for fit in fits[1:])
    total = np.zeros(longest)
    for curve in (fit.curve for fit in fits[1:]):
        slope = (curve[-1] - curve.min()) / max(len(curve) - 1 - curve.argmin(), 1)
        total += [
            curve[r] if r < len(curve) else curve[-1] + slope * (r - len(curve) + 1) for r in range(longest)
        ]
    assert common_rounds(fits[1:]) == total.argmin() + 1
    assert honest[0] == evaluation._score(0, fits[0], common_rounds(fits[1:]))
    assert honest != own
    assert np.mean(honest) >= np.mean(own)


@pytest.mark.parametrize(("rise", "expected"), [(0.02, 10), (0.001, 100)])
def test_a_fold_that_ends_early_counts_against_more_rounds_as_much_as_it_rose(rise, expected):
    from optuna_nb.models.evaluation import common_rounds
    from optuna_nb.models.learner import FoldFit

    early = np.append(np.linspace(1, 0.5, 10), 0.5 + rise * np.arange(1, 11))
    late = np.linspace(1, 0.4, 100)
    fits = [FoldFit(lambda _: early, int(curve.argmin()) + 1, curve) for curve in (early, late)]
    assert common_rounds(fits) == expected
    assert common_rounds([fits[1], fits[1]]) == 100
    overflown = FoldFit(lambda _: early, 1, np.full(2, np.inf))
    assert common_rounds([overflown, overflown]) == 1


@pytest.mark.parametrize("model", ["xgboost", "logistic"])
def test_a_study_that_goes_on_after_a_stop_ends_as_one_that_was_left_alone(tuned, iris, model):
    whole = tuned(model, *iris, trials=8, folds=3, name="whole")
    tuned(model, *iris, trials=3, folds=3, name="halved")
    halved = tuned(model, *iris, trials=8, folds=3, name="halved")

    assert halved.note.startswith("resumed halved@1: 3 of 8 done")
    assert outcome(halved) == outcome(whole)


def test_a_trial_ends_the_same_with_folds_in_threads_or_one_by_one(tuned, cancer):
    space = {"learning_rate": (0.15, 0.3), "max_depth": (1, 4)}
    found = [
        outcome(tuned("xgboost", *cancer, trials=7, name=f"jobs{n}", fold_jobs=n, folds=3, space=space))
        for n in (1, 3)
    ]

    assert found[0] == found[1]
    assert any(state == "PRUNED" for _, state, _, _ in found[0])


def test_random_then_tpe_is_one_study_with_two_runs(tuned, iris):
    tuned("ridge", *iris, trials=4, sampler="random", metric="accuracy")
    handle = tuned("ridge", *iris, trials=8, sampler="tpe", metric="accuracy")

    assert handle.snapshot().done == 8
    assert len(handle.runs) == 2


def test_other_data_or_another_space_begin_a_new_version_and_say_so(tuned, diabetes):
    X, y = diabetes
    tuned("ridge", X, y, trials=2)
    assert tuned("ridge", X, y, trials=2).name == "study@1"

    changed = tuned("ridge", X, y + 1, trials=2)
    assert (changed.name, "data y changed" in changed.note) == ("study@2", True)
    changed = tuned("ridge", X, y + 1, trials=2, space={"alpha": (1.0, 2.0)})
    assert (changed.name, "search space changed" in changed.note) == ("study@3", True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IntDistribution(2, 10, step=4), IntDistribution(2, 10, step=1)),
        ((2, 1_000_001), (2, 1_000_004)),
        ([2, 4], [2.0, 4.0]),
    ],
)
def test_ranges_that_read_alike_are_not_the_same(iris, before, after):
    def part(given):
        options = AutotuneOptions(model="decision_tree", X=iris[0], y=iris[1], space={"max_depth": given})
        return prepare(options).objective.fingerprint["search space"]

    assert part(before) == part(before) != part(after)


def test_another_space_has_an_opening_of_its_own_where_nothing_was_tried_yet(tuned, iris):
    few = {"folds": 2, "fix": {"n_estimators": 5}}
    first = tuned("random_forest", *iris, trials=0, **few)
    other = tuned("random_forest", *iris, trials=2, space={"min_samples_leaf": (20, 30)}, **few)
    assert (first.name, other.name) == ("study@1", "study@2")
    ended = [t.params["min_samples_leaf"] for t in other.study.trials if t.state.is_finished()]
    assert len(ended) == 2
    assert min(ended) >= 20


def frame_with_text(rows=240):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "gap": rng.normal(size=rows)})
    frame["kind"] = rng.choice(["a", "b", "c"], rows)
    frame["level"] = pd.Categorical(rng.choice(["low", "high"], rows))
    y = np.where((frame["x"] + (frame["kind"] == "a") + rng.normal(0, 0.3, rows)) > 0.3, "yes", "no")
    frame.loc[::5, "gap"] = np.nan
    frame.loc[::9, "kind"] = None
    return frame, y


@pytest.mark.parametrize("model", ["xgboost", "hist_gradient_boosting", "random_forest", "logistic", "knn"])
def test_strings_categories_gaps_and_text_labels_just_work(tuned, model):
    X, y = frame_with_text()
    before = X.copy()

    handle = tuned(model, X, y, trials=3, folds=3)

    new = pd.DataFrame({"x": [2.0], "gap": [np.nan], "kind": ["never seen"], "level": ["low"]})
    assert list(handle.best_model.predict(new)) == ["yes"]
    assert list(handle.best_model.classes_) == ["no", "yes"]
    assert handle.best_model.score(X, y) > 0.8
    pd.testing.assert_frame_equal(X, before)


def test_catboost_takes_strings_though_scikit_learn_cannot_clone_it_with_them(tuned):
    X, y = frame_with_text()

    handle = tuned("catboost", X, y, trials=3, folds=2, fix={"iterations": 30})

    assert handle.best_model.score(X, y) > 0.8
    assert {t.params.get("bootstrap_type") for t in handle.study.trials} <= {"MVS", "Bayesian"}


def test_catboost_watches_the_true_loss_of_rows_with_categories():
    import threading

    X, y = frame_with_text(600)
    learner = prepare(AutotuneOptions(model="catboost", X=X, y=y, folds=2)).objective.evaluate.learner
    fit = learner.fit_fold(0, {"learning_rate": 0.2, "depth": 3}, 1, threading.Event())

    train, score = learner._pools(0, 254)
    assert train.is_quantized()
    truth = [
        log_loss(learner.problem.y[learner.folds[0].score], fit.predict(rounds))
        for rounds in (1, 6, 11, len(fit.curve))  # in between lie straight lines
    ]
    assert truth == pytest.approx([fit.curve[0], fit.curve[5], fit.curve[10], fit.curve[-1]], rel=1e-6)
    assert np.diff(fit.curve[:6]) == pytest.approx([(truth[1] - truth[0]) / 5] * 5)
    assert score.num_row() == 300


def test_catboost_takes_rows_of_nothing_but_text(tuned):
    X, y = frame_with_text()

    handle = tuned("catboost", X[["kind", "level"]], y, trials=3, folds=2, fix={"iterations": 20})

    assert handle.best_model.predict(X[["kind", "level"]]).shape == (240,)


def test_catboost_stops_early_on_shared_pools(tuned, iris):
    handle = tuned(
        "catboost", *iris, trials=3, folds=2, space={"learning_rate": (0.2, 0.3)}, fix={"depth": 2}
    )

    assert handle.study.trials[1].user_attrs["rounds"] < 500
    assert log_loss(iris[1], handle.best_model.predict_proba(iris[0])) < 0.3


def test_a_pipeline_is_preprocessed_inside_each_fold(tuned, iris):
    seen = []

    class Counting(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            seen.append(len(X))
            self.n_features_in_ = X.shape[1]
            return self

        def transform(self, X):
            return X

    handle = tuned(
        make_pipeline(Counting(), RandomForestClassifier(20)),
        *iris,
        trials=3,
        folds=3,
        fix={"n_estimators": 20},
    )

    assert sorted(set(seen)) == [100, 150]  # training rows of a fold, and all rows for the refit
    assert seen.count(100) == 3  # once a fold, for all trials
    assert handle.best_model.predict(iris[0][:2]).shape == (2,)


def test_an_estimator_of_ones_own_takes_a_space_of_ones_own(tuned, diabetes):
    class Mine(Ridge):
        pass

    with pytest.raises(InvalidOptionError, match="Mine has no search space of ours"):
        tuned(Mine(), *diabetes)

    handle = tuned(Mine(fit_intercept=True), *diabetes, space={"alpha": (0.01, 10.0, "log")})
    assert type(handle.best_model) is Mine
    assert handle.study.direction.name == "MINIMIZE"


def test_parameters_of_the_users_estimator_are_kept(tuned, iris):
    from xgboost import XGBClassifier

    handle = tuned(XGBClassifier(max_delta_step=3), *iris, trials=2, folds=2)

    assert handle.best_model.max_delta_step == 3


def test_what_the_users_estimator_sets_itself_is_not_fixed_to_something_else(tuned, iris):
    handle = tuned(RandomForestClassifier(n_estimators=7), *iris, trials=2, folds=2)

    assert handle.best_model.n_estimators == 7


def test_bins_that_the_users_estimator_sets_are_kept():
    from xgboost import XGBClassifier

    rows = np.random.default_rng(1).normal(size=(1000, 3))
    prepared = prepare(AutotuneOptions(model=XGBClassifier(max_bin=512), X=rows, y=rows[:, 0] > 0))

    assert "max_bin" not in prepared.objective.evaluate.space.fixed
    assert prepared.objective.evaluate.learner.extra["max_bin"] == 512


def test_another_setting_of_the_users_estimator_begins_another_version(tuned, iris):
    first = tuned(RandomForestClassifier(n_estimators=5), *iris, trials=1, folds=2)
    same = tuned(RandomForestClassifier(n_estimators=5, n_jobs=1), *iris, trials=1, folds=2)
    changed = tuned(RandomForestClassifier(n_estimators=5, criterion="entropy"), *iris, trials=1, folds=2)

    assert (first.name, same.name, changed.name) == ("study@1", "study@1", "study@2")


def test_a_fixed_parameter_stays_and_its_code_says_so(tuned, cancer):
    handle = tuned("xgboost", *cancer, trials=3, folds=2, fix={"learning_rate": 0.3})

    assert "learning_rate" not in handle.best_params
    assert "learning_rate=0.3" in handle.study.user_attrs["code"]


@pytest.mark.parametrize("model", ["xgboost", "logistic", "hist_gradient_boosting"])
def test_the_printed_code_builds_the_best_model(tuned, iris, model):
    handle = tuned(model, *iris, trials=3, folds=2)

    namespace = {}
    exec(handle.study.user_attrs["code"], namespace)  # noqa: S102 - it is there to be run
    rebuilt = namespace["model"].fit(*iris)

    assert np.allclose(rebuilt.predict_proba(iris[0]), handle.best_model.predict_proba(iris[0]), atol=1e-6)


def test_the_holdout_is_seen_by_no_trial_and_looked_at_once(tuned, cancer):
    X, y = cancer
    handle = tuned("xgboost", X, y, trials=3, folds=3, holdout=0.25)
    attributes = handle.study.user_attrs["holdout"]
    tuned("xgboost", X, y, trials=3, folds=3, holdout=0.25)

    prepared = prepare(AutotuneOptions(model="xgboost", X=X, y=y, holdout=0.25))
    assert prepared.objective.evaluate.learner.problem.n_rows == 569 - attributes["rows"]
    assert attributes["looks"] == 1
    assert 0 < attributes["score"] < 0.3
    assert handle.study.user_attrs["holdout"] == attributes


def test_the_gain_over_the_defaults_has_an_interval(tuned, cancer):
    handle = tuned("xgboost", *cancer, trials=4, fix={"max_depth": 2})
    mean, low, high = handle.study.user_attrs["gain_over_defaults"]

    assert low <= mean <= high
    assert mean >= 0


def test_sample_weights_are_used_in_fitting_and_in_scoring(diabetes):
    X, y = diabetes
    weights = np.where(np.arange(len(y)) < 200, 1.0, 1e-6)
    plain = prepare(AutotuneOptions(model="ridge", X=X, y=y)).objective
    weighted = prepare(AutotuneOptions(model="ridge", X=X, y=y, sample_weight=weights)).objective

    import optuna

    scores = []
    for objective in (plain, weighted):
        study = optuna.create_study()
        study.enqueue_trial({"alpha": 1.0})
        scores.append(objective.evaluate(study.ask()))
    assert scores[0] != scores[1]
    assert "data sample_weight" in weighted.fingerprint
    assert "weights" in weighted.fingerprint  # how they are scaled is part of what was tuned
    assert "weights" not in plain.fingerprint


@pytest.mark.parametrize("model", ["xgboost", "catboost", "ridge"])
def test_weights_count_beside_each_other_alone_as_those_that_sum_up_to_one(tuned, cancer, model):
    X, y = np.asarray(cancer[0])[:200, :5], np.asarray(cancer[1])[:200]
    weights = 1 + np.arange(200) % 3
    how = {"trials": 2, "folds": 2, "metric": "roc_auc", "refit": False}
    values = [
        tuned(model, X, y, name=f"{model}{k}", sample_weight=weights * scale, **how).best_value
        for k, scale in enumerate((1.0, 1.0 / weights.sum(), 1e307))
    ]
    assert values == pytest.approx([values[0]] * 3)
    if model == "xgboost":
        assert values[0] > 0.9  # it learns: without a split it is 0.5


def test_groups_and_splitters_are_taken(tuned, iris):
    groups = np.tile(np.arange(10), 15)

    assert tuned("logistic", *iris, trials=2, groups=groups, folds=3, name="a").best_value < 0.5
    assert tuned("logistic", *iris, trials=2, groups=groups, cv=GroupKFold(3), name="b").best_value < 0.5


def test_unbalanced_classes_may_be_weighted(tuned, cancer):
    X, y = cancer
    rows = np.flatnonzero((y == 1) | (np.arange(len(y)) % 4 == 0))

    handle = tuned("xgboost", X.iloc[rows], y.iloc[rows], trials=5, folds=2, metric="balanced_accuracy")

    assert {"none", "balanced"} >= {t.params["class_weight"] for t in handle.study.trials}


def test_several_classes_may_be_weighted_too(tuned, iris):
    X, y = iris[0][:120], iris[1][:120]

    handle = tuned(
        "xgboost", X, y, trials=2, folds=2, metric="f1_macro", space={"class_weight": ["balanced"]}
    )

    assert handle.best_value > 0.9


def test_the_bluecast_preset_runs(tuned, iris):
    handle = tuned(
        "xgboost", *iris, trials=2, folds=2, preset="bluecast", space={"learning_rate": (0.2, 0.3)}
    )

    params = handle.study.trials[1].params
    assert "max_bin" in params
    assert 0.2 <= params["eta"] <= 0.3  # whatever name the user gives a parameter
    assert "learning_rate" not in params


def test_the_trials_of_the_bluecast_preset_have_a_thousand_rounds_at_most_as_its_own(tuned, diabetes):
    slow = {"eta": 1e-3, "max_depth": 1, "gamma": 0.0, "subsample": 1.0}
    study = tuned("xgboost", *diabetes, trials=2, folds=2, preset="bluecast", fix=slow).study
    assert study.trials[1].user_attrs["fold_rounds"] == [1000, 1000]


def test_trials_at_the_same_time_share_the_data(tmp_path, iris):
    from optuna_nb.records import TuneOptions
    from optuna_nb.tuning import api

    prepared = prepare(AutotuneOptions(model="xgboost", X=iris[0], y=iris[1], jobs=2, folds=3))
    options = TuneOptions(
        name="two", storage=f"sqlite:///{tmp_path}/t.db", trials=8, jobs=2, seed=1, pruner="none"
    )
    alone = replace(options, name="one", jobs=1)

    two = api.start(prepared.objective, options).wait()
    one = api.start(prepared.objective, alone).wait()

    assert [t.value for t in two.study.trials[:2]] == [t.value for t in one.study.trials[:2]]


def test_a_missing_library_names_the_extra(monkeypatch):
    from optuna_nb.models import catalogue

    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidOptionError, match=r"optuna-nb\[lab\]"):
        catalogue.find_model("catboost")


def test_autotune_imports_neither_xgboost_nor_catboost_until_they_are_used():
    code = (
        "import sys, optuna_nb.cell.autotune\n"
        "from optuna_nb.models.autotune import *\n"
        "prepare(AutotuneOptions(model='ridge', X=[[1.0], [2.0]] * 9, y=[0.5, 1.5, 2.5] * 6))\n"
        "assert not {'xgboost', 'catboost'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": "xgbost"}, "did you mean xgboost"),
        ({"model": RandomForestClassifier}, "make a model of it"),
        ({"model": 3}, "give a name as xgboost"),
        ({"model": "lasso", "problem": "classification"}, "lasso is not for"),
        ({"model": "logistic", "metric": "acuracy"}, "did you mean accuracy"),
        ({"model": "logistic", "holdout": 2.0}, "share of the rows"),
        ({"model": "logistic", "preset": "wild"}, "--preset takes"),
        ({"model": "logistic", "fix": {"C": 1.0}}, "leave one free"),
        ({"model": "logistic", "X": None}, "--data df --target column"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_fix(iris, options, says):
    with pytest.raises(InvalidOptionError, match=says) as caught:
        prepare(AutotuneOptions(**{"X": iris[0], "y": iris[1], **options}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("table", "data"), [(CLASSIFIERS, "iris"), (REGRESSORS, "diabetes")])
def test_every_known_model_is_tuned(tuned, table, data, request):
    X, y = request.getfixturevalue(data)
    for model in table:
        fix = {"n_estimators": 10} if "forest" in model or "extra" in model else {}
        handle = tuned(model, X, y, trials=2, folds=2, name=model, fix=fix)
        assert handle.best_model.predict(X[:2]).shape == (2,)


def test_a_classifier_without_probabilities_is_refused_a_metric_that_needs_them(tuned, cancer):
    with pytest.raises(InvalidOptionError, match="gives no probabilities"):
        tuned("ridge", *cancer, metric="log_loss")
    assert tuned("ridge", *cancer, metric="roc_auc", trials=2).best_value > 0.98


def test_data_and_target_stand_for_rows_and_target(tuned):
    frame, y = frame_with_text()
    frame["left"] = y

    handle = tuned("logistic", data=frame, target="left", trials=2)

    assert list(handle.best_model.classes_) == ["no", "yes"]
    with pytest.raises(InvalidOptionError, match="--target names a column"):
        tuned("logistic", data=frame, target="gone")


def test_scaling_belongs_to_the_model_that_needs_it(tuned, cancer):
    handle = tuned("logistic", *cancer, trials=2)

    assert isinstance(handle.best_model[0], StandardScaler)
    assert handle.best_value < 0.12


def test_the_users_own_estimator_stays_as_it_is_where_it_can(tuned, iris):
    own = LogisticRegression(max_iter=500)

    assert type(tuned(own, *iris, trials=2).best_model) is LogisticRegression


def test_the_records_keep_what_the_model_scores_with_its_defaults(tmp_path):
    storage = f"sqlite:///{tmp_path / 'records.db'}"
    X, y = load_iris(return_X_y=True)
    study = optuna_nb.autotune(
        "logistic", X, y, name="plain", trials=4, cv=3, seed=1, storage=storage, wait=True
    )
    results = study.runs["results"][0]
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        ((metrics, seconds),) = connection.execute("SELECT metrics, training_time FROM model_runs")
    assert results["baseline_score"] == study.study.trials[0].value
    assert str(results["baseline_score"])[:8] in metrics
    assert seconds > 0


def test_labels_of_several_classes_are_predicted_in_one_dimension_by_catboost_too(tuned, iris):
    def share(model, X, y):
        return float((model.predict(X) == y).mean())

    X, y = iris
    handle = tuned("catboost", X, y, trials=2, folds=2, metric=share, holdout=0.3, fix={"iterations": 30})
    model = pickle.loads(pickle.dumps(handle.best_model))  # noqa: S301 - just made
    assert model.predict(X).shape == (150,)
    assert (model.predict(X) == y).mean() > 0.9
    assert model.predict_proba(X).shape == (150, 3)
    assert handle.study.user_attrs["holdout"]["score"] > 0.8


def test_a_gap_in_held_out_rows_alone_is_filled(tuned, cancer):
    X, y = cancer
    X, y = X.iloc[:150].to_numpy(copy=True), y[:150].to_numpy()
    _, apart = split_holdout(read_problem(X, y), 0.2, 33)
    X[apart[0], 0] = np.nan
    handle = tuned("logistic", X, y, trials=2, folds=2, holdout=0.2)
    assert np.isfinite(handle.study.user_attrs["holdout"]["score"])
    assert handle.best_model.predict(X).shape == (150,)


def test_printed_code_says_that_it_is_of_an_older_best_while_more_trials_run(tuned, cancer):
    handle = tuned("logistic", *cancer, trials=1, folds=2)
    before = best_code(handle)
    study = handle.study
    study.add_trial(optuna.trial.create_trial(value=0.0))
    better = study.best_trial.number
    said = f"# of trial 0: trial {better} is better since, and its code comes when the run ends"
    assert best_code(handle) == f"{said}\n{before}"


@pytest.mark.parametrize("target", ["4", 4], ids=["text", "number"])
def test_a_target_may_be_a_column_that_is_called_by_a_number(cancer, target):
    X, y = cancer
    frame = pd.concat([X.iloc[:, :4], y], axis=1)
    frame.columns = range(5)
    found = prepare(AutotuneOptions(model="logistic", data=frame, target=target)).found
    assert "binary classification: 569 rows x 4 columns" in found


def test_a_metric_of_numbers_makes_a_problem_of_few_whole_numbers_a_regression(tuned):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 3))
    ratings = (np.clip(np.round(X[:, 0]), -2, 2) * 10 + 50).astype(int)  # 30, 40, ..., 70
    handle = tuned("ridge", X, ratings, trials=2, folds=3, metric="rmse")
    assert handle.best_model.predict(X).dtype.kind == "f"
    assert 2 < handle.best_value < 10  # in the units of the ratings


def test_the_holdout_of_folds_that_look_ahead_are_the_last_rows(tuned):
    X, y = np.arange(120.0).reshape(-1, 1), np.arange(120.0)
    options = {"metric": "mae", "cv": TimeSeriesSplit(3), "holdout": 0.25}
    assert (
        "the last 30 rows are held out" in prepare(AutotuneOptions(model="ridge", X=X, y=y, **options)).found
    )
    handle = tuned("random_forest", X, y, trials=1, **options)
    assert handle.study.user_attrs["holdout"]["score"] > 10  # a forest cannot go on beyond what it has seen
