"""What identifies a function that is tuned: the code that runs and all that it reads."""

import importlib
import itertools
import linecache
import subprocess
import sys

import pytest

from optuna_nb.cell.callables import read_callable
from optuna_nb.tuning.changes import describe_change, matches

NUMBERS = itertools.count()


def same(one, other):
    return matches(read_callable(one, None).fingerprint, read_callable(other, None).fingerprint)


def run(source):
    """Run a cell, whose text is there to be read."""
    name, names = f"<cell {next(NUMBERS)}>", {"__name__": "__main__"}
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of the user's, and import it; again where it was imported before."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(shift):
        (tmp_path / "mine.py").write_text(
            f"def objective(trial):\n    return trial.suggest_float('x', 0, 1) + {shift}\n"
        )
        importlib.invalidate_caches()

    write(0)
    yield importlib.import_module("mine"), write
    sys.modules.pop("mine", None)


def test_a_module_that_was_edited_and_loaded_again_is_other_code(module):
    mine, write = module
    before = read_callable(mine.objective, None).fingerprint
    write(1000)
    after = read_callable(importlib.reload(mine).objective, None)
    assert not matches(before, after.fingerprint)
    assert "+ 1000" in after.code


def test_a_module_that_was_edited_but_not_loaded_again_is_not_taken_for_its_new_text(module):
    mine, write = module
    write(1000)
    old = read_callable(mine.objective, None).fingerprint
    assert not matches(old, read_callable(importlib.reload(mine).objective, None).fingerprint)


@pytest.mark.parametrize("kind", ["lambda trial, k={}: k", "lambda trial, *, k={}: k"])
def test_default_values_count(kind):
    def shifted(shift):
        return lambda trial, k=shift: trial.suggest_float("x", 0, 1) + k

    assert same(shifted(1), shifted(1))
    assert not same(shifted(1), shifted(2))
    assert not same(eval(kind.format(1)), eval(kind.format(2)))  # noqa: S307


TYPED = """
from optuna_nb.cell.callables import read_callable
def helper(x):
    return x + {shift}
def objective(trial):
    return [helper(x) for x in [trial.suggest_float("x", 0, 1)]][0]
print(sorted(read_callable(objective, None).fingerprint.items()))
"""


def test_code_without_a_text_is_known_by_what_it_does_and_calls():
    def printed(shift):
        done = subprocess.run(
            [sys.executable, "-"], input=TYPED.format(shift=shift), capture_output=True, text=True, check=True
        )
        return done.stdout

    assert printed(1) == printed(1)
    assert printed(1) != printed(2)


def made(text, name="lib"):
    """Make a function of a module that is no file of the user's."""
    names = {"__name__": name}
    exec(text, names)  # noqa: S102
    return names["objective"]


def test_code_of_modules_elsewhere_counts_too():
    text = "def objective(trial):\n    return [x + {} for x in (trial.suggest_float('x', 0, 1),)][0]\n"
    assert same(made(text.format(0)), made(text.format(0)))
    assert not same(made(text.format(0)), made(text.format(1000)))


def test_a_default_value_does_not_hide_a_name_that_the_function_reads():
    text = "default_k = {}\ndef objective(trial, k=1):\n    return k + default_k\n"
    assert not same(made(text.format(5), "__main__"), made(text.format(66), "__main__"))


def test_another_function_on_the_line_is_not_taken_for_it(module, tmp_path):
    mine, _ = module
    (tmp_path / "mine.py").write_text("def helper(x):\n    return 7\n")
    assert "helper" not in read_callable(mine.objective, None).code


def test_a_function_keeps_its_text_where_annotations_are_postponed(module, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\ndef objective(trial):\n"
        "    def inner(x: Unknown) -> float: return x\n    return inner(1.0)\n"
    )
    mine = importlib.reload(module[0])
    assert "def inner" in read_callable(mine.objective, None).code


def test_a_function_is_fingerprinted_with_what_it_reads():
    names = run("X = [1]\ndef helper(x): return x\ndef objective(trial):\n    return helper(X)")
    read = read_callable(names["objective"], None)
    assert read.code == "def objective(trial):\n    return helper(X)"
    assert set(read.fingerprint) == {"cell", "def helper", "data X"}
    assert next(iter(read.fingerprint)) == "cell"
    names["X"] = [2]
    again = read_callable(names["objective"], None)
    assert describe_change(read.fingerprint, again.fingerprint) == "data X changed"


@pytest.mark.parametrize(
    "source",
    [
        "def make(n):\n    def objective(trial): return n\n    return objective\nobjective = make({n})",
        "import functools\ndef run(trial, n): return n\nobjective = functools.partial(run, n={n})",
        "class Objective:\n    def __init__(self, n): self.n = n\n    def __call__(self, trial): return self.n\nobjective = Objective({n})",  # noqa: E501 - a row of the table
        "class Objective:\n    def __init__(self, n): self.n = n\n    def run(self, trial): return self.n\nobjective = Objective({n}).run",  # noqa: E501 - a row of the table
        "N = {n}\nobjective = lambda trial: N",
        "objective = [lambda trial: {n}][0]",
        "class Objective:\n    def __call__(self, trial): return {n}\nobjective = Objective()",
    ],
)
def test_what_an_objective_captured_counts(source):
    one, same_again, other = (run(source.replace("{n}", str(n)))["objective"] for n in (1, 1, 2))
    assert same(one, same_again)
    assert not same(one, other)


def test_a_builtin_can_be_an_objective():
    read = read_callable(len, None)
    assert "len" in read.code
    assert set(read.fingerprint) == {"cell"}
