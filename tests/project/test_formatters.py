"""What docs/formatters.md says of black, ruff and nbQA is what they do, with the settings that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formatters.md"
IMPORTS = "%load_ext optuna_nb\nimport numpy as np"
CELL = "%%tune churn --trials 20  # as many as time allows\nx = trial.suggest_float( 'x',0,1 )\nnp.mean([x])"
PRETTY = CELL.replace("( 'x',0,1 )", '("x", 0, 1)')
LINE = "%tune   best churn"


@pytest.fixture
def folder(tmp_path):
    cells = [nbformat.v4.new_code_cell(text) for text in (IMPORTS, CELL, LINE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "churn.ipynb")
    return tmp_path


@pytest.fixture
def settings(folder):
    blocks = re.findall(r"^```toml\n(.+?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    (folder / "pyproject.toml").write_text("\n".join(blocks))


def call(folder, *command, fails=False):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def cells(folder):
    return [cell.source for cell in nbformat.read(folder / "churn.ipynb", 4).cells]


def test_black_skips_the_cell_without_the_setting(folder):
    call(folder, "black", "churn.ipynb")
    assert cells(folder) == [IMPORTS, CELL, LINE]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("command", [("black",), ("nbqa", "black"), ("nbqa", "ruff format")], ids=" ".join)
def test_the_cell_is_formatted_with_the_setting_and_its_first_line_kept_by(folder, command):
    call(folder, *command, "churn.ipynb")
    assert cells(folder) == [IMPORTS, PRETTY, LINE]


@pytest.mark.parametrize("command", [("nbqa", "black"), ("nbqa", "ruff format")], ids=" ".join)
def test_the_cell_is_skipped_without_the_setting_by(folder, command):
    call(folder, *command, "churn.ipynb")
    assert cells(folder) == [IMPORTS, CELL, LINE]


@pytest.mark.usefixtures("settings")
def test_ruff_format_leaves_the_cell_as_it_is_in_any_case(folder):
    call(folder, "ruff", "format", "churn.ipynb")
    assert cells(folder) == [IMPORTS, CELL, LINE]


def test_ruff_takes_an_import_of_the_cell_for_unused_without_the_setting(folder):
    assert "F401" in call(folder, "ruff", "check", "churn.ipynb", fails=True)


@pytest.mark.usefixtures("settings")
def test_ruff_keeps_an_import_of_the_cell_with_the_setting(folder):
    call(folder, "ruff", "check", "--fix", "churn.ipynb")
    assert cells(folder)[0] == IMPORTS


@pytest.mark.usefixtures("settings")
def test_ruff_reads_the_cell_by_way_of_nbqa_and_knows_trial(folder):
    call(folder, "nbqa", "ruff check", "churn.ipynb", "--select", "E9,F")
    notebook = nbformat.read(folder / "churn.ipynb", 4)
    notebook.cells[1].source += "\nundefined_name"
    nbformat.write(notebook, folder / "churn.ipynb")

    said = call(folder, "nbqa", "ruff check", "churn.ipynb", "--select", "E9,F", fails=True)
    assert "undefined_name" in said
    assert "`trial`" not in said
