"""``exit()`` in a trial is refused: IPython's own would end the kernel behind the user's back."""

import time

import pytest

from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.source import read_cell
from optuna_nb.errors import ObjectiveError


@pytest.mark.parametrize("body", ["exit()", "quit()", "def leave():\n    quit(1)\nleave()"])
def test_leaving_in_a_cell_is_an_error_of_the_trial(shell, trial, body):
    with pytest.raises(ObjectiveError, match=r"(exit|quit)\(\) in a trial: raise optuna.TrialPruned"):
        read_cell(shell, "t", body).evaluate(trial)
    assert not shell.exit_now


def test_leaving_in_a_function_of_the_notebook_is_an_error_of_the_trial(shell, trial):
    shell.run_cell("def leave():\n    exit()\ndef objective(trial):\n    leave()")
    with pytest.raises(ObjectiveError, match=r"exit\(\) in a trial"):
        read_cell(shell, "t", "leave()").evaluate(trial)
    with pytest.raises(ObjectiveError, match=r"exit\(\) in a trial"):
        read_callable(shell.user_ns["objective"], shell).evaluate(trial)
    assert not shell.exit_now


def test_what_the_user_calls_exit_is_left_alone(shell, trial):
    shell.push({"exit": lambda: 4.0})
    assert read_cell(shell, "t", "exit()").evaluate(trial) == 4.0


@pytest.mark.kernel
def test_the_kernel_outlives_it(tmp_path):
    from harness.kernel import Kernel

    with Kernel(tmp_path) as kernel:
        kernel.run("%load_ext optuna_nb")
        kernel.run("%%tune leaves\nexit()", check=False)
        said = kernel.run("%tune wait leaves", check=False).stderr
        assert "trial 0 failed: exit() in a trial" in said
        time.sleep(1.5)  # IPython's own takes a second to end the kernel
        assert kernel.value("1 + 1") == "2"
