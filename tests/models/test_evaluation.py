"""What a trial reports while it races."""

import optuna
import pytest

from optuna_nb.models.autotune import AutotuneOptions, prepare


@pytest.mark.parametrize(("metric", "raced", "honest"), [("log_loss", 0.0, 0.5), ("roc_auc", 1.0, 0.6)])
def test_a_hopeless_trial_never_reports_a_better_value_than_the_best(cancer, metric, raced, honest):
    asked = AutotuneOptions(model="xgboost", X=cancer[0], y=cancer[1], folds=3, metric=metric)
    prepared = prepare(asked)
    study = optuna.create_study(
        direction=prepared.direction, sampler=optuna.samplers.RandomSampler(seed=1), pruner=None
    )
    for noise in (1e-9, 2e-9):
        scores = {"raced_scores": [raced, raced + noise, raced]}
        study.add_trial(optuna.trial.create_trial(value=honest, user_attrs=scores))
    study.optimize(prepared.objective.evaluate, n_trials=1)

    hopeless = study.trials[-1]
    assert hopeless.state is optuna.trial.TrialState.PRUNED
    assert hopeless.value > honest if prepared.direction == "minimize" else hopeless.value < honest
