"""Magics and shell commands of a trial work on the names of the trial, and leave the notebook alone."""

import re

import pytest

from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.source import read_cell
from optuna_nb.errors import InvalidCellError


def user_names(shell):
    return {k: v for k, v in shell.user_ns.items() if not k.startswith("_")}


@pytest.mark.parametrize(
    "line",
    [
        "%timeit -n1 -r1 -q pass",
        "%timeit -n1 -r1 -q -v took pass",
        "%prun -q 1 + 1",
        "%run -i script.py",
        "%run script.py",
        "%time made = 1",
        "%pylab_like",
        "%env_too OPTUNA_NB_TEST=1",
        "!true",
        "files = !echo 5",
        "%macro -q again 1",
        "%xdel X",
    ],
)
def test_a_line_magic_writes_no_name_of_the_notebook(shell, trial, tmp_path, line):
    (tmp_path / "script.py").write_text("X = 99\nfrom_script = 1\n")
    shell.run_cell(
        "from IPython.core.magic import Magics, magics_class, line_magic\n"
        "@magics_class\nclass Mine(Magics):\n    @line_magic\n    def pylab_like(self, line):\n"
        "        self.shell.push({'pushed': 1}); self.shell.user_ns['X'] = 98\n"
        "get_ipython().register_magics(Mine)\nX = 1",
        store_history=True,
    )
    shell.run_line_magic("alias_magic", "env_too env")
    objective = read_cell(shell, "t", f"mine = 5\n{line}\nmine")
    shell.run_cell("X = 2")
    before = user_names(shell)

    assert objective.evaluate(trial) == 5
    assert user_names(shell) == before
    assert shell.user_ns["get_ipython"]() is shell


def test_a_magic_sees_the_names_of_the_trial_and_of_the_start(shell, trial, capsys):
    shell.run_cell("X = 1")
    objective = read_cell(
        shell, "t", "mine = trial.number + 7\n%time print('has', mine, X)\nout = !echo $mine {X}\nout[0]"
    )
    shell.run_cell("X = 2")

    assert objective.evaluate(trial) == "7 1"
    assert "has 7 1" in capsys.readouterr().out


def test_what_a_magic_sets_is_there_for_the_rest_of_the_trial(shell, trial, tmp_path):
    (tmp_path / "script.py").write_text("made = X + 1\n")
    shell.run_cell("X = 1")
    objective = read_cell(
        shell,
        "t",
        "%time a = 4\n%run -i script.py\n%timeit -n1 -r1 -q -v took made\na + made + (took is None)",
    )
    assert objective.evaluate(trial) == 6
    assert objective.evaluate(trial) == 6


def test_a_magic_in_a_function_of_the_notebook_leaves_the_notebook_alone(shell, trial):
    shell.run_cell("X = 1\ndef timed(trial):\n    X = 3\n    %timeit -n1 -r1 -q X\n    return X")
    in_cell = read_cell(shell, "t", "timed(trial)")
    as_function = read_callable(shell.user_ns["timed"], shell)
    before = user_names(shell)

    assert in_cell.evaluate(trial) == as_function.evaluate(trial) == 3
    assert user_names(shell) == before


def test_what_a_magic_registers_or_configures_is_the_notebooks_own(shell, trial):
    shell.run_line_magic("load_ext", "autoreload")
    body = "%alias_magic clock time\n%config InteractiveShell.show_rewritten_input = False\n1"
    assert read_cell(shell, "t", body).evaluate(trial) == 1
    assert shell.find_line_magic("clock").shell is not None
    assert shell.show_rewritten_input is False


@pytest.mark.parametrize("line", ["%debug", "%debug 1 + 1", "if True:\n    %pdb on", "%reset -f"])
def test_a_magic_that_cannot_work_behind_the_notebook_is_refused_in_one_line(shell, line):
    with pytest.raises(InvalidCellError) as refused:
        read_cell(shell, "t", f"{line}\n1")
    assert re.fullmatch(r"%(debug|pdb|reset) .*: take it out \(line [23]\)", str(refused.value))


def test_importing_our_own_functions_changes_no_fingerprint(shell):
    body = "log_metrics(1, auc=report())\ntrial_event('x')\n1"
    shell.run_cell("def report():\n    log_metrics(1, auc=1.0)\n    return 1.0")
    first = read_cell(shell, "t", body).fingerprint
    shell.run_cell("from optuna_nb.tuning.observer import log_metrics, trial_event")
    assert read_cell(shell, "t", body).fingerprint == first
