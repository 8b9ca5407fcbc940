"""Our loop over boosting rounds is that of the library, to the last bit."""

import threading

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_diabetes

from optuna_nb.models.stopping import Patience
from optuna_nb.models.xgboost_model import boost

RATE = 0.2


@pytest.fixture(scope="module")
def matrices():
    X, y = load_diabetes(return_X_y=True)
    train = xgboost.QuantileDMatrix(X[::2], y[::2])
    return train, xgboost.QuantileDMatrix(X[1::2], y[1::2], ref=train)


class Stopping(xgboost.callback.TrainingCallback):
    def __init__(self, patience):
        super().__init__()
        self.patience = patience

    def after_iteration(self, model, epoch, evals_log):
        return self.patience.is_over(evals_log["score"]["rmse"][-1])


@pytest.mark.parametrize("extra", [{}, {"booster": "dart", "rate_drop": 0.2}, {"num_parallel_tree": 3}])
def test_a_model_is_the_one_that_train_makes_with_its_callbacks(matrices, extra):
    train, score = matrices
    params = {
        "learning_rate": RATE,
        "max_depth": 3,
        "subsample": 0.7,
        "seed": 3,
        "eval_metric": "rmse",
        **extra,
    }
    history = {}
    theirs = xgboost.train(
        params,
        train,
        500,
        evals=[(score, "score")],
        evals_result=history,
        verbose_eval=False,
        callbacks=[Stopping(Patience(RATE))],
    )
    ours = xgboost.Booster(params, [train, score])
    losses = boost(ours, train, score, 500, patience=Patience(RATE), cancelled=threading.Event())

    assert losses == history["score"]["rmse"]
    assert 15 < len(losses) < 500  # patience has ended both
    assert ours.get_dump() == theirs.get_dump()
    assert np.array_equal(ours.predict(score), theirs.predict(score))


def test_rounds_that_are_given_are_all_boosted_and_nobody_watches(matrices):
    train, score = matrices
    booster = xgboost.Booster({"seed": 3}, [train, score])
    assert boost(booster, train, score, 7, patience=None, cancelled=threading.Event()) == []
    assert booster.num_boosted_rounds() == 7


def test_a_fit_that_nobody_waits_for_ends_before_its_next_round(matrices):
    train, score = matrices
    cancelled = threading.Event()

    class Impatient(Patience):
        def is_over(self, loss):
            if self._seen == 3:
                cancelled.set()
            return super().is_over(loss)

    booster = xgboost.Booster({"seed": 3, "eval_metric": "rmse"}, [train, score])
    assert len(boost(booster, train, score, 100, patience=Impatient(RATE), cancelled=cancelled)) == 4
    assert booster.num_boosted_rounds() == 4
