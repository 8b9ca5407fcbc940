"""Automatic tuning on the workers of a Dask cluster: the numbers of a thread, and little to send."""

import contextlib
import pickle
import sys
import uuid
from pathlib import Path

import cloudpickle
import numpy as np
import optuna
import pytest
from distributed import Client
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import optuna_nb
from optuna_nb.cell.autotune import refine_study
from optuna_nb.errors import ClusterError, InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.models.evaluation import RACED, STUDY, enter
from optuna_nb.models.racing import RIVALS
from optuna_nb.storage.reader import Reader
from optuna_nb.tuning import background
from optuna_nb.tuning.executors import cores
from optuna_nb.tuning.executors.packing import pack

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
QUICK = {"learning_rate": (0.2, 0.3), "max_depth": (1, 4)}


@pytest.fixture
def autotune(tmp_path):
    def tune(model, data, **flags):
        options = {"name": "s", "storage": f"sqlite:///{tmp_path / 's.db'}", "folds": 3, "wait": True}
        return optuna_nb.autotune(model, *data, **(options | flags))

    yield tune
    background.shut_down_all()


def outcome(handle):
    return [
        (t.number, t.state.name, repr(t.values), repr(t.params), t.user_attrs, t.intermediate_values)
        for t in handle.study.trials
    ]


def executors(handle):
    with contextlib.closing(Reader(handle.storage, handle.name)) as reader:
        return {run.flags["executor"] for run in reader.runs()}


def test_with_one_job_the_numbers_are_those_of_a_thread_also_when_a_thread_goes_on(autotune, cancer, cluster):
    options = {"space": QUICK, "sampler": "random"}
    whole = outcome(autotune("xgboost", cancer, name="thread", trials=10, **options))
    handle = autotune("xgboost", cancer, trials=8, cluster=cluster, jobs=1, **options)

    assert outcome(handle) == whole[:8]
    assert "PRUNED" in {state for _, state, *_ in whole[:8]}
    handle = autotune("xgboost", cancer, trials=10, **options)
    assert handle.note.startswith("resumed s@1: 8 of 10 done")
    assert outcome(handle) == whole


def test_with_two_jobs_all_trials_end_and_the_winner_predicts_in_the_kernel(autotune, cancer, cluster):
    with Client(cluster, set_as_default=False) as client:
        handle = autotune("xgboost", cancer, trials=8, cluster=client, space=QUICK, holdout=0.2)

    trials = handle.study.trials
    assert [t.number for t in trials] == list(range(8))
    assert {t.state.name for t in trials} <= {"COMPLETE", "PRUNED"}
    assert handle.study.user_attrs["holdout"]["rows"] == 114
    assert len(handle.best_model.predict(cancer[0])) == 569


class Counted(TransformerMixin, BaseEstimator):
    """A step that leaves a mark where it arrives, and one where it is fitted."""

    def __init__(self, marks):
        self.marks = marks

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._mark("arrived")

    def _mark(self, what):
        Path(self.marks, f"{what}-{uuid.uuid4().hex}").touch()

    def fit(self, X, y=None):
        self._mark("fitted")
        return self

    def transform(self, X):
        return X


def test_a_worker_gets_the_data_once_and_prepares_each_fold_once(autotune, iris, cluster, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    model = make_pipeline(Counted(str(marks)), LogisticRegression())
    handle = autotune(model, iris, trials=12, cluster=cluster, jobs=2, refit=False, race=False)

    found = [path.name.partition("-")[0] for path in marks.iterdir()]
    assert handle.snapshot().done == 12
    assert 1 <= found.count("arrived") <= 2
    assert found.count("fitted") == 3 * found.count("arrived")


def test_rows_travel_beside_the_pickled_objective_and_only_once(diabetes):
    X = np.tile(diabetes[0], (20, 1))
    evaluation = prepare(AutotuneOptions(model="ridge", X=X, y=np.tile(diabetes[1], 20))).objective.evaluate
    evaluation.learner._shared.get(0, X.copy)
    parcel = pack(evaluation)

    assert len(parcel._head) < 10_000
    assert parcel.nbytes < 1.7 * X.nbytes  # the targets and the row numbers of 5 folds with them
    assert parcel.open().learner._shared._values == {}


def test_what_a_trial_races_against_is_as_little_to_send_after_many_trials():
    study = optuna.create_study()
    for number in range(100):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        trial.set_user_attr(RACED, [float(number), number + 1.0])
        study.tell(trial, float(number))
    rivals = enter(study, {"model": "m"}, 2, 1.0)

    assert rivals.tolist() == [[number, number + 1] for number in range(RIVALS)]
    assert enter(study, {}, 2, -1.0).tolist()[0] == [-99, -100]
    assert enter(study, {}, 2, None).shape == (0, 2)
    assert study.user_attrs[STUDY] == {"model": "m"}
    assert len(pickle.dumps(rivals)) < 500


@pytest.mark.parametrize(
    ("granted", "fold_jobs", "folds_at_once", "threads"),
    [
        ("1", None, 1, 1),
        ("4", None, 3, 1),
        ("8", None, 3, 2),
        ("64", None, 3, 2),
        ("2,1", None, 2, 1),
        ("4", 2, 2, 1),
        ("lots", None, 1, 1),
        (None, None, 1, 1),
    ],
)
def test_on_a_worker_folds_and_threads_share_the_cores_of_one_trial(
    monkeypatch, granted, fold_jobs, folds_at_once, threads
):
    monkeypatch.setattr(cores, "usable_cores", lambda: 8)
    monkeypatch.setattr("optuna_nb.models.threads.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if granted is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", granted)
    X = np.random.default_rng(0).normal(size=(100_000, 10))
    options = AutotuneOptions(model="ridge", X=X, y=X[:, 0], folds=3, fold_jobs=fold_jobs)
    copy = pack(prepare(options).objective.evaluate).open()

    assert (copy.workers, copy.threads) == (folds_at_once, threads)


def test_several_models_and_a_refinement_run_on_the_workers_too(autotune, iris, cluster):
    found = autotune(["logistic", "knn"], iris, trials=8, cluster=cluster, jobs=1)
    assert sorted(found.table["model"]) == ["knn", "logistic"]
    assert set.union(*map(executors, found.handles.values())) == {"dask"}

    handle = autotune("logistic", iris, trials=3, cluster=cluster, jobs=1, refine=True)
    child = optuna_nb.load("s_refined", handle.storage)
    assert executors(child) == {"dask"}
    assert child.snapshot().done == 6


def bowl(trial):
    return (trial.suggest_float("x", -5, 5) - 1) ** 2


def test_the_study_of_a_function_is_refined_on_the_workers(cluster, tmp_path):
    storage = f"sqlite:///{tmp_path / 's.db'}"
    parent = optuna_nb.tune(
        bowl, name="b", trials=4, seed=1, cluster=cluster, jobs=1, storage=storage, wait=True
    )
    child = refine_study(parent).wait()

    assert executors(child) == {"dask"}
    assert child.snapshot().done == 6
    assert child.best_value < parent.best_value


def test_what_cannot_travel_is_named_and_makes_no_study(autotune, iris, cluster, tmp_path):
    file = (tmp_path / "open").open("w")

    def held(estimator, X, y):
        return file.tell()

    with file, pytest.raises(InvalidOptionError, match=r"metric \(function\) cannot be sent to a worker"):
        autotune("logistic", iris, metric=held, cluster=cluster)
    assert not (tmp_path / "s.db").exists()


@pytest.mark.slow
def test_a_comparison_without_its_cluster_says_so_where_it_is_looked_at(autotune, iris):
    found = autotune(["logistic", "knn"], iris, cluster="tcp://127.0.0.1:9", wait=False)

    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        found.wait()
    assert found.table["model"].tolist() == ["logistic", "knn"]
    assert all("no Dask scheduler answers" in it for it in found.table["failure"])
    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        _ = found.winner
