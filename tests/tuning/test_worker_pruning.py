"""Who is pruned on a worker is who would be pruned in the kernel, mostly without a question."""

import sys
import time

import cloudpickle
import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, PatientPruner, PercentilePruner

from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api
from optuna_nb.tuning.executors import pruning
from optuna_nb.tuning.executors.pruning import Cache, Reported, Reports, decides_alone
from optuna_nb.tuning.executors.session import Session

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

STEPS = 6


@pytest.fixture
def questions(monkeypatch):
    """Collect the trials that have asked the kernel whether they are pruned."""
    asked = []
    answer = Session._answer_prune

    def counting(session, known):
        asked.append(session.trial.number)
        return answer(session, known)

    monkeypatch.setattr(Session, "_answer_prune", counting)
    return asked


def falls(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(STEPS):
        trial.report(x + 1 / (1 + step), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def tune(tmp_path, cluster, objective=falls, **flags):
    options = {"name": "s", "trials": 30, "seed": 3, "jobs": 1, "sampler": "random", "pruner": "median"}
    options |= {"executor": "dask" if cluster else "thread", "cluster": cluster} | flags
    storage = f"sqlite:///{tmp_path / options['executor']}.db"
    handle = api.start(Objective(objective, "code", {"cell": "1"}), TuneOptions(storage=storage, **options))
    return [(it.state.name, it.values, it.intermediate_values) for it in handle.wait().study.trials]


@pytest.mark.parametrize("pruner", ["median", "percentile", "hyperband"])
def test_one_job_prunes_the_same_trials_at_the_same_steps_as_in_a_thread(cluster, tmp_path, pruner):
    there, here = (tune(tmp_path, where, pruner=pruner) for where in (cluster, None))
    assert there == here
    assert {state for state, _, _ in here} == {"COMPLETE", "PRUNED"}


def test_short_steps_are_judged_on_the_worker(cluster, tmp_path, questions):
    trials = tune(tmp_path, cluster)
    assert sum(len(steps) for *_, steps in trials) > 60
    assert len(questions) < 30


def test_long_steps_are_judged_in_the_kernel_which_knows_what_has_ended_meanwhile(
    cluster, tmp_path, questions
):
    def slow(trial):
        for step in range(2):
            trial.report(trial.number, step)
            time.sleep(pruning.FRESH_SECONDS + 0.05)
            assert not trial.should_prune()
        return trial.suggest_float("x", 0, 1)

    tune(tmp_path, cluster, slow, trials=3)
    assert questions == [0, 0, 1, 1, 2, 2]


def test_a_pruner_that_reads_more_is_asked_in_the_kernel_at_each_step(cluster, tmp_path, questions):
    trials = tune(tmp_path, cluster, pruner="hyperband", trials=5)
    assert len(questions) == sum(len(steps) for *_, steps in trials)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_only_pruners_that_read_complete_trials_and_the_own_one_may_be_asked_elsewhere():
    class Mine(MedianPruner):
        pass

    assert decides_alone(MedianPruner())
    assert decides_alone(PatientPruner(PercentilePruner(25.0), patience=1))
    assert decides_alone(PatientPruner(None, patience=1))
    assert not decides_alone(PatientPruner(HyperbandPruner(), patience=1))
    assert not decides_alone(HyperbandPruner())
    assert not decides_alone(Mine())


def reported(first, *values, run="a", total=None):
    trials = tuple({0: value} for value in values)
    return Reported(run, first + len(trials) if total is None else total, first, trials)


def seen(trials):
    return None if trials is None else [it.intermediate_values[0] for it in trials]


def test_a_worker_judges_only_when_it_knows_all_complete_trials():
    cache = Cache()
    assert cache.take(reported(2, 3.0)) is None  # two before it are not known
    assert cache.known("a") == 0
    assert cache.take(reported(0, 1.0, total=3)) is None
    assert seen(cache.take(reported(1, 2.0, 3.0))) == [1.0, 2.0, 3.0]
    assert seen(cache.take(reported(0, 1.0, 2.0))) == [1.0, 2.0]  # an older message knows no more
    assert cache.known("a") == 3


def test_a_worker_keeps_the_trials_of_several_runs_apart_and_not_for_ever():
    cache = Cache()
    cache.take(reported(0, 1.0, run="a"))
    assert seen(cache.take(reported(0, 2.0, run="b"))) == [2.0]
    assert cache.known("a") == 1
    for run in "cdef":
        cache.take(reported(0, 3.0, run=run))
    assert cache.known("a") == cache.known("b") == 0


def test_what_complete_trials_reported_travels_in_parts_and_only_once_a_pruner_is_asked():
    study = optuna.create_study(pruner=MedianPruner())
    for _ in range(30):
        trial = study.ask()
        for step in range(200):
            trial.report(float(trial.number), step)
        study.tell(trial, 0.0)
    reports = Reports(study)

    assert reports.newest() is None
    cache, asked = Cache(), 0
    while cache.known(reports.since(0).run) < 30:
        part = reports.since(cache.known(reports.since(0).run))
        assert sum(map(len, part.trials)) <= 2_200
        cache.take(part)
        asked += 1
    assert asked == 3
    newest = reports.newest()
    assert newest.first + len(newest.trials) == newest.total == 30
    assert Reports(optuna.create_study(pruner=HyperbandPruner())).since(0) is None
