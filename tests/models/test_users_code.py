"""Code of the user's that a study of autotune depends on counts: changed, it begins a version."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

SPACE = {"C": (0.1, 1.0)}
STEP = """
def change(X):
    return X{}
made = {{"model": make_pipeline(FunctionTransformer(change), LogisticRegression())}}
"""
METRIC = """
limit = 0.5{}
def is_hit(p):
    return p > limit
def hits(model, X, y):
    return float((is_hit(model.predict_proba(X)[:, 1]) == y).mean())
made = {{"model": "logistic", "metric": hits}}
"""
SCORER = """
def agree(y, p):
    return float((y == p).mean()){}
made = {{"model": "logistic", "metric": make_scorer(agree)}}
"""
ESTIMATOR = """
class Own(LogisticRegression):
    def fit(self, X, y):
        return super().fit(X{}, y)
made = {{"model": Own(), "space": SPACE}}
"""
SPLITTER = """
class Splitter(KFold):
    def split(self, X, y=None, groups=None):
        return list(super().split(X, y, groups)){}
made = {{"model": "logistic", "cv": Splitter(3)}}
"""
FIXED = """
def distance(a, b):
    return abs(a - b).sum(){}
made = {{"model": "knn", "fix": {{"metric": distance}}}}
"""


def written(code, change):
    """Run code as a notebook's cell would, and return what autotune is given."""
    names = {
        "__name__": "__main__",
        "make_pipeline": make_pipeline,
        "FunctionTransformer": FunctionTransformer,
        "LogisticRegression": LogisticRegression,
        "make_scorer": make_scorer,
        "KFold": KFold,
        "SPACE": SPACE,
    }
    exec(compile(code.format(change), "cell", "exec"), names)  # noqa: S102 - a cell of this test
    return {"folds": 3, **names["made"]} if "cv" not in names["made"] else names["made"]


@pytest.mark.parametrize(
    ("code", "change", "said"),
    [
        (STEP, " * 0", "def __main__.change changed"),
        (METRIC, " + 0.4", "data limit changed"),
        (SCORER, " * 1", "def __main__.agree changed"),
        (ESTIMATOR, " * 0", "class __main__.Own changed"),
        (SPLITTER, "[::-1]", "class __main__.Splitter changed"),
        (FIXED, " * 2", "def __main__.distance changed"),
    ],
    ids=["step", "metric", "scorer", "estimator", "splitter", "fixed"],
)
def test_the_same_code_goes_on_and_changed_code_begins_a_version(tuned, code, change, said):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    y = (X[:, 0] > 0).astype(int)

    first = tuned(X=X, y=y, trials=1, **written(code, ""))
    again = tuned(X=X, y=y, trials=1, **written(code, ""))
    other = tuned(X=X, y=y, trials=1, **written(code, change))

    assert [first.name, again.name, other.name] == ["study@1", "study@1", "study@2"]
    assert said in other.note


COUNTING = """
calls = []
def metric(estimator, X, y):
    calls.append(len(calls)){}
    return (estimator.predict(X) == y).mean()
made = {{"model": "logistic", "metric": metric}}
"""


def test_data_that_a_users_scorer_itself_changes_begins_no_version(tuned):
    X = np.random.default_rng(1).normal(size=(60, 3))
    given = {"X": X, "y": (X[:, 0] > 0).astype(int), **written(COUNTING, "")}
    handles = [tuned(trials=trials, **given) for trials in (1, 2, 3)]
    assert [it.name for it in handles] == ["study@1"] * 3
    assert len(handles[-1].study.trials) == 3
    assert "the trials change calls themselves" in handles[-1].note
