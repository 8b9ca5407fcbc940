"""A cell that is stored in a file from elsewhere runs only once its reader has trusted it."""

from pathlib import Path

import pytest

import optuna_nb
from optuna_nb.errors import InvalidOptionError

CELL = "# who\u202e reads me \x1b[2K\nOpened = trial.suggest_float('x', 0, 1)\nOpened"


@pytest.fixture
def foreign(run):
    """Return the line behind a verb that names a study whose cell has never run on this machine."""
    run(f"%%tune bowl -n 2 --wait -q --seed 1\n{CELL}")
    run("%tune push bowl sqlite:///theirs.db")
    _trusted(run).unlink()
    return "bowl --storage sqlite:///theirs.db"


def _trusted(run):
    return Path(run.shell.ipython_dir) / "optuna_nb_trusted_cells.txt"


def _done():
    return optuna_nb.load("bowl", "sqlite:///theirs.db").snapshot().done


@pytest.mark.parametrize("verb", ["resume", "more"])
def test_a_cell_from_elsewhere_does_not_start_from_its_file(run, foreign, verb):
    handle = optuna_nb.load("bowl", "sqlite:///theirs.db")
    with pytest.raises(InvalidOptionError, match="has never run on this machine: `%tune trust bowl@1`") as it:
        handle.more(1) if verb == "more" else handle.resume()
    assert it.value.code == "NB418"
    assert "NB418" in run(f"%tune refine {foreign}", fails=True)
    assert _done() == 2


def test_trust_shows_the_cell_with_nothing_hidden_and_needs_a_yes(run, foreign):
    shown = run(f"%tune trust {foreign}")
    assert "Opened = trial.suggest_float('x', 0, 1)" in shown
    assert "# who\\u202e reads me \\x1b[2K" in shown
    assert "`%tune trust bowl --storage sqlite:///theirs.db --yes` lets this cell run" in shown
    assert "NB418" in run(f"%tune resume {foreign}", fails=True)
    assert "its cell may run on this machine" in run(f"%tune trust {foreign} --yes")
    optuna_nb.load("bowl", "sqlite:///theirs.db").more(1).wait()
    assert _done() == 3


def test_trust_comes_before_the_names_that_a_cell_needs(run):
    run("need = 1")
    run("%%tune bowl -n 2 --wait -q\nneed * trial.suggest_float('x', 0, 1)")
    run("%tune push bowl sqlite:///theirs.db\ndel need")
    assert "[NB407]" in run("%tune resume bowl --storage sqlite:///theirs.db", fails=True)
    _trusted(run).unlink()
    assert "[NB418]" in run("%tune resume bowl --storage sqlite:///theirs.db", fails=True)


def test_a_cell_that_ran_here_is_trusted_wherever_its_study_goes(run):
    for _ in range(2):
        run(f"%%tune bowl -n 2 --wait -q\n{CELL}")
    assert len(_trusted(run).read_text().split()) == 1
    run("%tune push bowl sqlite:///theirs.db")
    optuna_nb.load("bowl", "sqlite:///theirs.db").more(1).wait()
    assert _done() == 3


def test_where_nothing_can_be_kept_nothing_is_trusted_and_cells_run_all_the_same(run, foreign):
    _trusted(run).mkdir()
    run(f"%%tune bowl -n 3 --wait -q\n{CELL}")
    assert optuna_nb.load("bowl").snapshot().done == 3
    assert "NB418" in run(f"%tune resume {foreign}", fails=True)


def test_a_cell_that_differs_by_one_letter_is_another_one(run, foreign):
    run(f"%%tune bowl -n 2 --wait -q\n{CELL} ")
    assert "NB418" in run(f"%tune resume {foreign}", fails=True)
