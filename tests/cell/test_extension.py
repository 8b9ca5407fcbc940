"""``%load_ext optuna_nb`` and what it leaves behind: nothing."""

import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

import optuna_nb


def run(shell, text):
    result = shell.run_cell(text, store_history=True)
    return result.error_before_exec or result.error_in_exec


@pytest.fixture
def loaded(shell):
    shell.run_line_magic("load_ext", "optuna_nb")
    return shell


def state(shell):
    return (
        set(shell.magics_manager.magics["line"]),
        set(shell.magics_manager.magics["cell"]),
        set(shell.magics_manager.registry),
        list(shell.configurables),
        list(shell.Completer.custom_matchers),
        list(shell.input_transformers_cleanup),
        set(threading.enumerate()),
    )


def test_unloading_undoes_all_of_it(shell, tmp_path):
    before = state(shell)
    shell.extension_manager.load_extension("optuna_nb")
    assert state(shell) != before
    shell.extension_manager.unload_extension("optuna_nb")
    assert state(shell) == before


def test_loading_creates_no_file_and_no_thread_and_imports_nothing_heavy():
    program = """
import os, sys, threading
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
threads, files = set(threading.enumerate()), set(os.listdir())
import optuna_nb
shell.run_line_magic("load_ext", "optuna_nb")
assert set(threading.enumerate()) == threads
assert set(os.listdir()) == files
heavy = {"optuna", "sqlalchemy", "pandas", "numpy", "plotly", "ipywidgets"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_loading_twice_and_reloading_work(loaded):
    loaded.run_line_magic("reload_ext", "optuna_nb")
    assert len([it for it in loaded.configurables if type(it).__name__ == "OptunaNB"]) == 1


def test_the_storage_is_set_with_config(loaded):
    from optuna_nb.cell.api import storage_or_default

    here = Path.cwd()
    assert storage_or_default(None) == f"sqlite:///{here / 'optuna_nb.db'}"
    assert run(loaded, '%config OptunaNB.storage = "sqlite:///other.db"') is None
    assert storage_or_default(None) == f"sqlite:///{here / 'other.db'}"


def test_help_stands_alone_in_a_cell(loaded, capsys):
    assert run(loaded, "%%tune -h") is None
    assert "--trials" in capsys.readouterr().out
    assert run(loaded, "%tune -h") is None
    assert "%tune best" in capsys.readouterr().out


def test_a_question_mark_explains_both(loaded, capsys):
    for text in ("%tune?", "%%tune?"):
        assert run(loaded, text) is None
        shown = capsys.readouterr().out
        assert "%%tune churn --trials 200 --maximize" in shown
        assert "%tune wait churn" in shown


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("%%tune churn", "the cell is empty"),
        ("%%tune list\n1", "'list' is a verb"),
        ("%%tune churn --trails 3\n1", "did you mean --trials?"),
        ("%%tune churn\nx = 1", "add `x` on a line of its own"),
        ("%tune besst churn", "did you mean best?"),
    ],
)
def test_a_mistake_is_one_usage_error_and_starts_nothing(loaded, capsys, tmp_path, text, part):
    before = set(tmp_path.iterdir())
    assert type(run(loaded, text)).__name__ == "UsageError"
    shown = capsys.readouterr()
    assert shown.err.startswith("UsageError: ")
    assert part in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert "Traceback" not in shown.out
    assert set(tmp_path.iterdir()) == before


def test_every_public_name_can_be_imported():
    for name in optuna_nb.__all__:
        assert getattr(optuna_nb, name) is not None
        assert name in dir(optuna_nb)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = optuna_nb.nothing


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == optuna_nb.__version__
