"""A real IPython for every test of the cell layer."""

import atexit
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """IPython as a user has it, in a folder of its own, with nothing kept of its history."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # IPython puts its own hooks in and takes only some of them out again.
    for name in ("excepthook", "displayhook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    yield shell
    shell.extension_manager.unload_extension("optuna_nb")
    shell.restore_sys_module_state()
    # A shell collects all garbage when the process ends: hundreds of them would take minutes.
    atexit.unregister(shell.atexit_operations)
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell, capsys):
    """Run a cell as the user does; give its value and what it printed."""
    shell.extension_manager.load_extension("optuna_nb")

    def execute(text, *, fails=False):
        capsys.readouterr()
        result = shell.run_cell(text, store_history=True)
        shown = capsys.readouterr()
        failure = result.error_before_exec or result.error_in_exec
        assert (failure is not None) == fails, shown.out + shown.err
        execute.result = result.result
        return shown.err if fails else shown.out

    execute.shell = shell
    return execute


class Trial:
    """The least that a cell asks of a trial."""

    def __init__(self, number=0, **params):
        self.number = number
        self.params = params

    def suggest_float(self, name, low, high):
        return self.params.get(name, low)


@pytest.fixture
def trial():
    return Trial(x=2.0)
