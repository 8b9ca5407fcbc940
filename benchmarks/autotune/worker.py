"""One run of one tuner: tune for so much CPU time, refit, and be judged on rows it never saw.

    python benchmarks/autotune/worker.py TUNER MODEL DATA SEED BUDGET

It prints one line of JSON. Runs in the environment of its tuner, with numpy, scikit-learn,
XGBoost or CatBoost, and the tuner's own package. The budget is CPU time of the process,
all threads; peers that know only wall time are given a clock that shows CPU time.
"""

# ruff: noqa: E501 - rows of tables are long
from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from typing import Any

import data
import numpy as np

warnings.filterwarnings("ignore")
os.environ.setdefault("OMP_NUM_THREADS", "1")
FOLDS = 5
MODULES = {
    "naive": ("optuna",),
    "naive_again": ("optuna",),
    "optuna_search_cv": ("optuna_integration",),
    "randomized": (),
    "halving": (),
    "flaml": (),
    "bluecast": ("optuna", "pandas"),
}
PEERS = tuple(MODULES)


class Run:
    """The budget, and what was best when."""

    def __init__(self, model: str, name: str, seed: int, budget: float) -> None:
        self.model, self.seed, self.budget = model, seed, budget
        self.set = data.load(name, seed)
        self.incumbents: list[tuple[float, Any]] = []
        self.refit: Any = self.judge_params  # how an incumbent is judged
        self.plain: float | None = None  # our winner with one tree a round
        self.configurations = 0
        self.cpu = 0.0  # spent on tuning alone, where a tuner notes it
        self.best = np.inf
        self.began = time.process_time()

    @property
    def spent(self) -> float:
        """CPU seconds since the tuner began."""
        return time.process_time() - self.began

    @property
    def lightest(self) -> float:
        """The least weight of XGBoost's leaves, as in autotune's default preset."""
        return 0.03 if self.set.task == "multiclass" else 1.0

    @property
    def least_penalty(self) -> float:
        """The least penalty of CatBoost's leaves, likewise."""
        return 0.03 if self.set.task == "multiclass" else 0.1

    @property
    def unit(self) -> float:
        """The power of ten nearest to the deviation of a numeric target, likewise."""
        return float(10.0 ** round(np.log10(np.std(self.set.y)))) if self.set.task == "regression" else 1.0

    def tell(self, value: float, params: dict[str, Any]) -> None:
        """Note one evaluated configuration; less is better."""
        self.configurations += 1
        if value < self.best:
            self.best = value
            self.incumbents.append((self.spent, dict(params)))

    @property
    def scoring(self) -> str:
        """The scorer of scikit-learn."""
        return "neg_root_mean_squared_error" if self.set.task == "regression" else "neg_log_loss"

    def cv(self) -> Any:
        """The folds of all peers."""
        from sklearn.model_selection import KFold, StratifiedKFold

        kind = KFold if self.set.task == "regression" else StratifiedKFold
        return kind(FOLDS, shuffle=True, random_state=self.seed)

    def estimator(self, **params: Any) -> Any:
        """The library's scikit-learn class, one thread."""
        regression = self.set.task == "regression"
        if self.model == "xgboost":
            import xgboost

            kind = xgboost.XGBRegressor if regression else xgboost.XGBClassifier
            return kind(**params, n_jobs=1, random_state=self.seed)
        import catboost

        kind = catboost.CatBoostRegressor if regression else catboost.CatBoostClassifier
        return kind(
            **params, thread_count=1, random_seed=self.seed, allow_writing_files=False, logging_level="Silent"
        )

    def judge(self, model: Any) -> float:
        """Score a fitted model on the held-out rows."""
        found = (
            model.predict(self.set.X_test)
            if self.set.task == "regression"
            else model.predict_proba(self.set.X_test)
        )
        return data.loss(self.set.task, self.set.y_test, found)

    def judge_chosen(self) -> float:
        """Judge what was best when the budget ran out; what was in flight then does not count."""
        in_time = [it for it in self.incumbents if it[0] <= self.budget]
        self.incumbents = in_time or self.incumbents[:1]
        return self.judge_params(self.incumbents[-1][1])

    def judge_params(self, params: dict[str, Any]) -> float:
        """Fit on all rows, then judge."""
        return self.judge(self.estimator(**params).fit(self.set.X, self.set.y))


def suggest(run: Run, trial: Any) -> dict[str, Any]:
    """The space of the peers: that of autotune's default preset, and the rounds."""
    if run.model == "catboost":
        return {
            "iterations": trial.suggest_int("iterations", 50, 1000, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "depth": trial.suggest_int("depth", 2, 8),
            "l2_leaf_reg": trial.suggest_float("l2_leaf_reg", run.least_penalty, 30, log=True),
            "random_strength": trial.suggest_float("random_strength", 0.01, 10, log=True),
            "bootstrap_type": "MVS",
            "subsample": trial.suggest_float("subsample", 0.5, 1),
        }
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 1000, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "max_depth": trial.suggest_int("max_depth", 1, 10),
        "min_child_weight": trial.suggest_float("min_child_weight", run.lightest, 60, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50, log=True),
        "reg_alpha": trial.suggest_float("reg_alpha", 1e-4 * run.unit, 10 * run.unit, log=True),
        "gamma": trial.suggest_float("gamma", 1e-4 * run.unit**2, 5 * run.unit**2, log=True),
    }


def distributions(run: Run, *, rounds: bool = True) -> dict[str, Any]:
    """The same space for scikit-learn's searches."""
    from scipy.stats import loguniform, randint, uniform

    space = {
        "n_estimators": loguniform_int(50, 1000),
        "learning_rate": loguniform(0.02, 0.3),
        "subsample": uniform(0.5, 0.5),
    }
    if run.model == "catboost":
        space |= {
            "depth": randint(2, 9),
            "l2_leaf_reg": loguniform(run.least_penalty, 30),
            "random_strength": loguniform(0.01, 10),
        }
        space["iterations"] = space.pop("n_estimators")
        space["bootstrap_type"] = ["MVS"]
    else:
        space |= {
            "max_depth": randint(1, 11),
            "min_child_weight": loguniform(run.lightest, 60),
            "colsample_bytree": uniform(0.3, 0.7),
            "reg_lambda": loguniform(0.1, 50),
            "reg_alpha": loguniform(1e-4 * run.unit, 10 * run.unit),
            "gamma": loguniform(1e-4 * run.unit**2, 5 * run.unit**2),
        }
    if not rounds:
        space.pop("n_estimators", None)
        space.pop("iterations", None)
    return space


class loguniform_int:  # noqa: N801 - named like scipy's
    """Whole numbers, uniform on a logarithmic scale."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = np.log(low), np.log(high)

    def rvs(self, *_: Any, random_state: Any = None, **__: Any) -> int:
        """Draw one."""
        generator = random_state if hasattr(random_state, "uniform") else np.random.RandomState(random_state)
        return round(float(np.exp(generator.uniform(self.low, self.high))))


def tune_naive(run: Run) -> float:
    """Plain Optuna around ``cross_val_score``."""
    return loop(run, run.seed)


def tune_naive_again(run: Run) -> float:
    """The same loop with another seed of its sampler alone: what chance does."""
    return loop(run, run.seed + 1_000)


def loop(run: Run, seed: int) -> float:
    """Plain Optuna around ``cross_val_score``, the sampler with a seed of its own."""
    import optuna
    from sklearn.model_selection import cross_val_score

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        params = suggest(run, trial)
        value = -float(
            cross_val_score(
                run.estimator(**params), run.set.X, run.set.y, cv=run.cv(), scoring=run.scoring
            ).mean()
        )
        run.tell(value, params)
        return value

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, callbacks=[lambda study, _: study.stop() if run.spent >= run.budget else None])
    return run.judge_chosen()


def tune_optuna_search_cv(run: Run) -> float:
    """OptunaSearchCV of optuna-integration."""
    import optuna
    from optuna_integration import OptunaSearchCV

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=run.seed))
    trial = optuna.create_study().ask()
    suggest(run, trial)
    space = dict(trial.distributions)

    def stop(study: Any, trial: Any) -> None:
        if trial.value is not None:
            run.tell(-trial.value, trial.params)
        if run.spent >= run.budget:
            study.stop()

    search = OptunaSearchCV(
        run.estimator(), space, cv=run.cv(), scoring=run.scoring, n_trials=None, timeout=3600, study=study,
        callbacks=[stop], refit=False, random_state=run.seed, error_score="raise",
    )  # fmt: skip
    search.fit(run.set.X, run.set.y)
    return run.judge_chosen()


def tune_randomized(run: Run) -> float:
    """RandomizedSearchCV, one draw at a time until the budget is used."""
    from sklearn.model_selection import RandomizedSearchCV

    draw = 0
    while run.spent < run.budget:
        search = RandomizedSearchCV(
            run.estimator(), distributions(run), n_iter=1, cv=run.cv(), scoring=run.scoring, refit=False,
            random_state=run.seed * 100_003 + draw,
        )  # fmt: skip
        search.fit(run.set.X, run.set.y)
        run.tell(-search.best_score_, search.best_params_)
        draw += 1
    return run.judge_chosen()


def tune_halving(run: Run) -> float:
    """HalvingRandomSearchCV over the number of rounds, 9 candidates at a time."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - it enables the next line
    from sklearn.model_selection import HalvingRandomSearchCV

    resource = "n_estimators" if run.model == "xgboost" else "iterations"
    draw = 0
    while run.spent < run.budget:
        search = HalvingRandomSearchCV(
            run.estimator(**{resource: 500}), distributions(run, rounds=False), n_candidates=9, factor=3, resource=resource,
            min_resources=50, max_resources=500, cv=run.cv(), scoring=run.scoring, refit=False,
            random_state=run.seed * 100_003 + draw,
        )  # fmt: skip
        search.fit(run.set.X, run.set.y)
        run.tell(-search.best_score_, search.best_params_)
        run.configurations += 8
        draw += 1
    return run.judge_chosen()


def tune_flaml(run: Run) -> float:
    """FLAML with its own space, cross-validation, on a clock of CPU time."""
    zero = time.time()
    time.time = lambda: zero + time.process_time()  # FLAML's budget is wall time
    from flaml import AutoML

    automl = AutoML()
    automl.fit(
        run.set.X, run.set.y, task="regression" if run.set.task == "regression" else "classification",
        metric="rmse" if run.set.task == "regression" else "log_loss", time_budget=run.budget,
        estimator_list=["xgboost" if run.model == "xgboost" else "catboost"], n_jobs=1, seed=run.seed, verbose=0,
        eval_method=os.environ.get("FLAML_EVAL", "auto"),
    )  # fmt: skip
    run.configurations = len(automl.config_history or {})
    return run.judge(automl)


def tune_bluecast(run: Run) -> float:
    """BlueCast's own tuning of XGBoost, stopped by CPU time."""
    import optuna
    import pandas as pd
    from bluecast.blueprints.cast import BlueCast
    from bluecast.blueprints.cast_regression import BlueCastRegression
    from bluecast.config.training_config import TrainingConfig

    optimize = optuna.study.Study.optimize

    def stopping(study: Any, *args: Any, **kwargs: Any) -> None:
        def stop(study: Any, _: Any) -> None:
            run.configurations += 1
            if run.spent >= run.budget:
                study.stop()

        kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), stop]
        optimize(study, *args, **kwargs)

    optuna.study.Study.optimize = stopping  # type: ignore[method-assign]
    config = TrainingConfig()
    config.global_random_state = run.seed
    config.hyperparameter_tuning_rounds = 10_000
    config.hyperparameter_tuning_max_runtime_secs = 3600
    config.autotune_model = True
    config.enable_grid_search_fine_tuning = False
    config.calculate_shap_values = False
    config.show_detailed_tuning_logs = False
    config.hypertuning_cv_folds = FOLDS
    columns = [f"c{k}" for k in range(run.set.X.shape[1])]
    frame = pd.DataFrame(run.set.X, columns=columns)
    frame["target"] = run.set.y
    test = pd.DataFrame(run.set.X_test, columns=columns)
    if run.set.task == "regression":
        cast: Any = BlueCastRegression(class_problem="regression", conf_training=config)
        cast.fit(frame, target_col="target")
        return data.loss("regression", run.set.y_test, np.asarray(cast.predict(test)))
    cast = BlueCast(class_problem=run.set.task, conf_training=config)
    cast.fit(frame, target_col="target")
    found = np.asarray(cast.predict(test)[0], dtype=float)
    if found.ndim == 1:
        found = np.column_stack([1 - found, found])
    return data.loss(run.set.task, run.set.y_test, found)


def tune_autotune(run: Run) -> float:
    """This package: studies in a database, folds in threads, everything on."""
    return tune_with(run)


def tune_autotune_one(run: Run) -> float:
    """The same with one fold at a time."""
    return tune_with(run, fold_jobs=1)


def tune_autotune_bluecast(run: Run) -> float:
    """The same in BlueCast's space, on its five folds."""
    return tune_with(run, preset="bluecast", fold_jobs=1)


def tune_with(run: Run, **options: Any) -> float:
    """Tune with this package for so much CPU time, and judge the winner."""
    import contextlib
    import io

    import optuna_nb

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        study = optuna_nb.autotune(
            run.model, run.set.X, run.set.y, name="bench", trials=100_000, seed=run.seed, refit=False,
            metric="rmse" if run.set.task == "regression" else "log_loss", storage=f"sqlite:///{folder}/bench.db",
            **options,
        )  # fmt: skip
        while run.spent < run.budget and study.is_running:
            time.sleep(0.05)
        study.stop_now()  # the trial in flight is dropped, and its CPU time counts
        study.wait()
        run.cpu = spent = run.spent
        trials = [t for t in study.study.trials if t.state.is_finished()]
        winner = study._background().objective.refit.__self__  # noqa: SLF001 - it makes the model of any trial
        run.refit = lambda trial: run.judge(winner._fit(trial, None))  # noqa: SLF001
        best, learner = study.best_trial, winner._evaluation.learner  # noqa: SLF001
        if run.model == "xgboost":
            one = {**winner._params(best), "num_parallel_tree": 1}  # noqa: SLF001
            run.plain = run.judge(learner.fit(one, best.user_attrs["rounds"], run.set.X, run.set.y, None))
        zero = trials[0].datetime_start
        total = (trials[-1].datetime_complete - zero).total_seconds()
        run.configurations = len(trials)
        for trial in trials:
            if trial.state.name == "COMPLETE" and trial.value < run.best:
                run.best = trial.value
                share = (trial.datetime_complete - zero).total_seconds() / total
                run.incumbents.append((share * spent, trial))
        return run.judge(study.best_model)


def main() -> None:
    """Run, and print the line."""
    tuner, model, name, seed, budget = sys.argv[1:6]
    run = Run(model, name, int(seed), float(budget))
    for module in (model, "sklearn.model_selection", *MODULES.get(tuner, ("optuna_nb.cell.autotune",))):
        importlib.import_module(module)  # imports are not tuning
    if tuner not in PEERS:
        importlib.import_module(f"optuna_nb.models.{model}_model")
    run.began = time.process_time()
    score = globals()[f"tune_{tuner}"](run)
    spent = run.cpu or run.spent
    trace = []
    if os.environ.get("BENCH_TRACE") and run.incumbents:
        trace = [(at, run.refit(found)) for at, found in run.incumbents]
    print(json.dumps({
        "tuner": tuner, "model": model, "data": name, "seed": int(seed), "budget": float(budget), "score": score, "plain": run.plain,
        "cpu": round(spent, 2), "configurations": run.configurations, "trace": trace,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
