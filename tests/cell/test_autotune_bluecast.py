"""A study that BlueCast made, imported and gone on with; the database is made as BlueCast 2.0 makes it."""

import shutil
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int
from sklearn.datasets import load_breast_cancer

# What BlueCast suggests, by its names, in its order; max_bin only with the approximate tree methods.
XGBOOST = {
    "eta": Float(1e-3, 0.3, log=True),
    "max_depth": Int(1, 10),
    "alpha": Float(1e-8, 100.0, log=True),
    "lambda": Float(1.0, 100.0, log=True),
    "gamma": Float(1e-8, 10.0, log=True),
    "min_child_weight": Float(1.0, 100.0, log=True),
    "subsample": Float(0.1, 1.0),
    "colsample_bytree": Float(0.1, 1.0),
    "colsample_bylevel": Float(1.0, 1.0),
    "steps": Int(30, 30, log=True),
    "sample_weight": Choice((True, False)),
    "tree_method": Choice(("exact", "approx", "hist")),
    "max_bin": Int(128, 1024),
    "booster": Choice(("gbtree",)),
    "grow_policy": Choice(("depthwise", "lossguide")),
}
CATBOOST = {
    "learning_rate": Float(1e-3, 0.3, log=True),
    "depth": Int(1, 10),
    "bootstrap_type": Choice(("Bayesian", "No")),
    "grow_policy": Choice(("SymmetricTree",)),
    "iterations": Int(30, 30, log=True),
    "sample_weight": Choice((True, False)),
}
LINE = "xgboost_tuning_seed_33 --model xgboost --preset bluecast -X X -y y --folds 2 --wait -q -o study"
CELL = """
from xgboost import XGBClassifier
eta = trial.suggest_float("eta", 1e-3, 0.3, log=True)
XGBClassifier(n_estimators=10, learning_rate=eta, n_jobs=1).fit(X[::2], y[::2]).score(X[1::2], y[1::2])
"""


def add_study(path, name, space, score):
    """Add a study as BlueCast keeps it: sampler and direction its own, values by ``score(trial)``."""
    sampler = optuna.samplers.TPESampler(multivariate=True, seed=33, n_startup_trials=10)
    study = optuna.create_study(
        direction="minimize",
        sampler=sampler,
        study_name=name,
        storage=f"sqlite:///{path}",
        load_if_exists=True,
    )
    for _ in range(4):
        trial = study.ask()
        for parameter, distribution in space.items():
            if parameter != "max_bin" or trial.params["tree_method"] != "exact":
                trial._suggest(parameter, distribution)
        trial.report(score(trial), 0)
        study.tell(trial, score(trial))


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("bluecast") / "study.db"
    add_study(path, "xgboost_tuning_seed_33", XGBOOST, lambda trial: 0.5 + trial.number / 10)
    return path


@pytest.fixture
def bluecast(made_once, tmp_path):
    """Path of the database of a BlueCast run."""
    return Path(shutil.copy(made_once, tmp_path))


@pytest.fixture
def ready(run, bluecast):
    X, y = load_breast_cancer(return_X_y=True)
    run.shell.push({"X": X[:, :5], "y": y})
    assert "imported xgboost_tuning_seed_33: 4 trials" in run(f"%tune import {bluecast}")
    return run


def test_autotune_goes_on_with_a_study_that_bluecast_made(ready):
    assert "resumed xgboost_tuning_seed_33: 4 of 6 done, 2 to go" in ready(f"%autotune {LINE} --trials 6")

    trials = ready.shell.user_ns["study"].study.trials
    new = trials[4]
    assert [t.number for t in trials] == list(range(6))
    assert set(new.params) <= set(XGBOOST)
    assert all(XGBOOST[name] == held for name, held in new.distributions.items())
    assert 0 < new.value < 0.7
    assert "resumed" not in ready(f"%autotune {LINE} --trials 6")


def test_the_best_model_may_be_that_of_a_bluecast_trial(ready, tmp_path):
    add_study(tmp_path / "good.db", "good", XGBOOST, lambda trial: 0.001 + trial.number / 10)
    ready("%tune import good.db")
    ready(f"%autotune {LINE.replace('xgboost_tuning_seed_33', 'good')} --trials 5")

    study = ready.shell.user_ns["study"]
    best, model = study.best_params, study.best_model
    assert (study.best_trial.number, model.n_estimators, model.learning_rate) == (0, 30, best["eta"])
    assert (model.reg_lambda, model.tree_method) == (best["lambda"], best["tree_method"])
    assert (model.scale_pos_weight is not None) == best["sample_weight"]
    assert model.predict_proba(ready.shell.user_ns["X"]).shape == (569, 2)
    code = ready("%tune best good --code")
    compile(code, "code", "exec")
    assert "n_estimators=30" in code


def test_a_cell_goes_on_with_a_study_that_bluecast_made(ready):
    shown = ready(f"%%tune xgboost_tuning_seed_33 --trials 6 --wait -q\n{CELL}")

    assert "resumed xgboost_tuning_seed_33: 4 of 6 done, 2 to go (made by Optuna)" in shown


def test_scores_of_another_kind_are_not_mixed_with_ours(ready, tmp_path):
    add_study(tmp_path / "cat.db", "catboost_tuning_seed_33", CATBOOST, lambda trial: -0.8)
    ready("%tune import cat.db")
    line = LINE.replace("xgboost", "catboost")

    assert "minus the Matthews correlation" in ready(f"%autotune {line} --trials 5", fails=True)
    message = ready(f"%autotune {LINE} --metric roc_auc --trials 5", fails=True)
    assert "has the other direction than roc_auc, which is to maximize" in message
