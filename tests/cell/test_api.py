"""The Python API: the same tuning without a notebook, and functions as objectives."""

import functools
import inspect

import numpy as np
import pytest

import optuna_nb
from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.options import tune_parser
from optuna_nb.errors import InvalidOptionError

SCALE = 1.0


def objective(trial):
    return SCALE * trial.suggest_float("x", -1, 1) ** 2


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


def test_a_function_is_tuned_in_a_plain_script(url):
    handle = optuna_nb.tune(objective, name="bowl", trials=6, seed=1, storage=url, wait=True)
    assert handle.name == "bowl@1"
    assert handle.best_value == min(handle.trials_dataframe()["value"])
    again = optuna_nb.tune(objective, name="bowl", trials=6, seed=1, storage=url, wait=True)
    assert (again.name, len(again.trials_dataframe())) == ("bowl@1", 6)
    assert optuna_nb.load("bowl", url).best_params == handle.best_params


def test_argument_names_are_those_of_the_flags():
    arguments = set(inspect.signature(optuna_nb.tune).parameters) - {"objective", "name"}
    renamed = {"directions": "direction", "tags": "tag", "continue_": "continue", "log": "no-log"}
    flags = {flag.removeprefix("--") for flag in tune_parser().flags() if flag.startswith("--")}
    of_the_magic_alone = {"help", "minimize", "maximize", "out", "quiet", "notify"}
    assert {renamed.get(it, it).replace("_", "-") for it in arguments} == flags - of_the_magic_alone


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"name": ""}, "no name"),
        ({"name": "list"}, "is a verb"),
        ({"name": None}, "no name"),
        ({"name": 5}, "name=5 is no text"),
        ({"storage": 5}, "storage=5 is neither a text nor a path"),
        ({"storage": []}, "storage=[] is neither a text nor a path"),
        ({"tags": ["a", 5]}, "tags: 5 is no text"),
        ({"tags": 5}, "tags: 5 is no text"),
        ({"directions": 5}, "directions: 5 is no text"),
        ({"model": 5}, "model=5 is no text"),
        ({"metric": 5}, "metric=5 is no text"),
        ({"metric": "loss,loss", "directions": ["minimize"] * 2}, "give 2 different names with commas"),
        ({"metric": "loss", "directions": ["minimize"] * 2}, "give 2 different names with commas"),
        ({"metric": "auc,sec", "directions": ["minimize"] * 3}, "give 3 different names with commas"),
        ({"fix": 5}, "fix takes a dict"),
        ({"fix": {5: 1}}, "fix takes a dict"),
        ({"timeout": [5]}, "--timeout takes a time above 0, not [5]"),
        ({"flush_seconds": "x"}, "--flush-seconds takes a time above 0, not 'x'"),
        ({"notes": 5}, "notes=5 is no text"),
        ({"experiment": ["e"]}, "is no text: put it in quotes"),
        ({"name": "a\nb"}, "no line breaks"),
        ({"trials": 0}, "--trials takes a whole number from 1, not 0"),
        ({"trials": 2.5}, "--trials takes a whole number from 1, not 2.5"),
        ({"trials": 5, "more": 5}, "give one of them"),
        ({"timeout": -1}, "--timeout takes a time above 0"),
        ({"directions": []}, "directions is empty"),
        ({"directions": "up"}, "write minimize or maximize"),
        ({"sampler": "tpee"}, "did you mean tpe?"),
        ({"objective": 3}, "objective is of type int: give a function"),
    ],
)
def test_a_mistake_is_refused_in_one_line_and_makes_no_file(url, tmp_path, arguments, part):
    with pytest.raises(InvalidOptionError) as caught:
        optuna_nb.tune(**{"objective": objective, "name": "bowl", "storage": url} | arguments)
    assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_tags_may_come_from_anything_that_gives_texts(url):
    handle = optuna_nb.tune(
        objective, name="bowl", trials=1, storage=url, tags=(it for it in "ab"), wait=True
    )
    assert list(handle.runs["tags"]) == [["a", "b"]]


def test_a_path_is_a_storage_too(tmp_path):
    optuna_nb.tune(objective, name="bowl", trials=2, storage=tmp_path / "here.db", wait=True)
    assert optuna_nb.load("bowl", storage=tmp_path / "here.db").snapshot().done == 2
    with pytest.raises(InvalidOptionError, match="storage=5 is neither a text nor a path"):
        optuna_nb.load("bowl", storage=5)


def fingerprint(function):
    return read_callable(function, None).fingerprint


def test_the_code_of_a_function_is_its_own_text_alone():
    first, second = lambda trial: trial.number + 1, lambda trial: trial.number + 2
    assert read_callable(first, None).code == "lambda trial: trial.number + 1"
    assert read_callable(second, None).code == "lambda trial: trial.number + 2"
    assert read_callable(objective, None).code.startswith("def objective(trial):")


def test_bound_arguments_count_in_the_fingerprint():
    def scaled(trial, scale):
        return scale * trial.number

    one, two = functools.partial(scaled, scale=1), functools.partial(scaled, scale=2)
    assert fingerprint(one) == fingerprint(functools.partial(scaled, scale=1))
    assert fingerprint(one) != fingerprint(two)


def test_captured_values_count_in_the_fingerprint():
    def make(scale):
        return lambda trial: scale * trial.number

    assert fingerprint(make(1)) == fingerprint(make(1))
    assert fingerprint(make(1)) != fingerprint(make(2))


def test_a_method_and_a_callable_object_are_objectives(trial):
    class Tuned:
        def __call__(self, trial):
            return self.score(trial)

        def score(self, trial):
            return trial.number + 1

    assert read_callable(Tuned().score, None).evaluate(trial) == 1
    assert read_callable(Tuned(), None).evaluate(trial) == 1
    assert "def score" in read_callable(Tuned().score, None).code


def test_a_function_without_source_text_is_identified_by_its_byte_code():
    names = {}
    exec("def first(trial):\n    return 1\ndef second(trial):\n    return 2", names)  # noqa: S102
    assert fingerprint(names["first"]) != fingerprint(names["second"])


def test_a_function_of_the_notebook_is_frozen_with_its_names(shell, trial):
    shell.run_cell("X = 1\ndef score(trial):\n    return X")
    frozen = read_callable(shell.user_ns["score"], shell)
    shell.run_cell("X = 2")
    assert frozen.evaluate(trial) == 1


def test_whole_numbers_of_numpy_are_those_of_python(tmp_path):
    handle = optuna_nb.tune(
        lambda trial: trial.suggest_float("x", 0, 1),
        name="s",
        trials=np.int64(3),
        batch=np.int64(2),
        jobs=np.int32(1),
        seed=np.uint8(1),
        storage=f"sqlite:///{tmp_path / 'a.db'}",
        wait=True,
    )
    flags = handle.runs["config"].iloc[0]["flags"]
    assert (flags["trials"], flags["batch"], flags["jobs"]) == (3, 2, 1)
