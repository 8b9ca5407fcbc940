"""What runs a notebook in place of a person: the panel is saved in its final state, without a widget."""

import os
import subprocess
import sys

import nbformat
import pytest

from harness.kernel import isolated_environment
from harness.lab import write_notebook

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TUNE = """%%tune told --trials 8 --seed 1 --sampler random
trial.suggest_float("x", 0, 1)"""
CELLS = [
    "%load_ext optuna_nb",
    f"# NBVAL_IGNORE_OUTPUT\n{TUNE}",
    "# NBVAL_IGNORE_OUTPUT\n%tune wait told",
    "%tune best told",
]


@pytest.fixture
def notebook(tmp_path):
    return write_notebook(tmp_path / "told.ipynb", [CELLS[0], TUNE, *CELLS[2:]])


def run(tmp_path, *command):
    environment = isolated_environment(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def panel_of(path):
    [bundle] = [o["data"] for o in nbformat.read(path, as_version=4).cells[1].outputs if "data" in o]
    assert set(bundle) == {"text/html", "text/plain"}
    return bundle["text/html"]


def test_nbconvert_shows_the_final_state(notebook, tmp_path):
    run(tmp_path, "jupyter", "nbconvert", "--to", "html", "--execute", "told.ipynb")
    page = (tmp_path / "told.html").read_text(encoding="utf-8")
    assert "8 of 8 done" in page
    assert "Completed" in page
    assert '<script type="application/vnd.jupyter.widget-view+json">' not in page
    run(tmp_path, "jupyter", "nbconvert", "--to", "notebook", "--execute", "--inplace", "told.ipynb")
    assert "8 of 8 done" in panel_of(notebook)  # of a study that was at rest from the beginning


def test_papermill_shows_the_final_state(notebook, tmp_path):
    run(tmp_path, "papermill", "--no-progress-bar", "told.ipynb", "out.ipynb")
    html = panel_of(tmp_path / "out.ipynb")
    assert "8 of 8 done" in html
    assert "Completed" in html


def test_nbval_passes_on_what_was_saved(notebook, tmp_path):
    run(tmp_path, "jupyter", "execute", "--inplace", "told.ipynb")
    assert "Completed" in panel_of(notebook)
    saved = nbformat.read(notebook, as_version=4)
    saved.cells[2].source = CELLS[2]
    saved.cells[1].metadata["tags"] = ["nbval-ignore-output"]
    nbformat.write(saved, notebook)
    os.remove(tmp_path / "optuna_nb.db")  # noqa: PTH107 - a new run, as on another machine
    run(
        tmp_path,
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "told.ipynb",
    )
