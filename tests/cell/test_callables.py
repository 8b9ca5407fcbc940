"""What identifies a function that is tuned: the code that runs and all that it reads."""

import importlib
import subprocess
import sys

import pytest

from optuna_nb.cell.callables import read_callable
from optuna_nb.tuning.fingerprint import matches


def same(one, other):
    return matches(read_callable(one, None).fingerprint, read_callable(other, None).fingerprint)


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
    assert not matches(before, read_callable(importlib.reload(mine).objective, None).fingerprint)


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
