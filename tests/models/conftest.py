"""Small real data, and a study in a folder of its own."""

import optuna
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from optuna_nb.models.autotune import AutotuneOptions, prepare
from optuna_nb.records import TuneOptions
from optuna_nb.tuning import api, background


@pytest.fixture
def cancer():
    """Binary: 569 rows, 30 columns."""
    return load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.fixture
def iris():
    """Three classes: 150 rows, 4 columns."""
    return load_iris(return_X_y=True)


@pytest.fixture
def diabetes():
    """Regression: 442 rows, 10 columns."""
    return load_diabetes(return_X_y=True)


@pytest.fixture
def tuned(tmp_path):
    """Tune to the end and return the handle; options of autotune by name."""

    def tune(model, X=None, y=None, *, trials=4, name="study", sampler="tpe", **options):
        prepared = prepare(AutotuneOptions(model=model, X=X, y=y, **options))
        handle = api.start(
            prepared.objective,
            TuneOptions(
                name=name,
                storage=f"sqlite:///{tmp_path}/tuning.db",
                trials=trials,
                directions=(prepared.direction,),
                metric=prepared.metric,
                model=prepared.objective.model,
                pruner="none",
                sampler=sampler,
                seed=33,
            ),
        )
        return handle.wait()

    yield tune
    background.shut_down_all()


@pytest.fixture
def trial():
    """A trial of a study in memory."""
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
