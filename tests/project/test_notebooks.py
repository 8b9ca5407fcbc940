"""The notebooks are fit to be read: run from top to bottom, saved whole, and not older than their cells."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# What only a certain machine has. One-letter classes keep the pattern from finding itself.
MACHINE = re.compile(r"/[r]oot/|/[h]ome/\w|/[U]sers/|/[t]mp/|/[v]ar/folders/|/[w]ork/|[A-Z]:\\+[U]sers")
# Lines that show a panel; a comparison of several models shows a table in its place.
PANEL = re.compile(r"^(%%tune (?!.* (-q|--quiet)\b)|%tune show |%autotune (?!.*--model \S+,))", re.MULTILINE)


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def refresh():
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "scripts" / "refresh_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def shown(output):
    """Everything that a saved output says, as one text."""
    parts = [output.get("text", ""), *output.get("data", {}).values()]
    return "\n".join("".join(part) if isinstance(part, list) else str(part) for part in parts)


def test_it_is_valid_and_opens_with_its_title(notebook):
    nbformat.validate(notebook)
    first = notebook.cells[0]

    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert sum(bool(re.match(r"# ", cell.source)) for cell in notebook.cells if cell is not first) == 0


def test_it_says_what_comes_next(notebook):
    last = notebook.cells[-1]

    assert last.cell_type == "markdown"
    assert re.match(r"## What next\n", last.source)


def test_every_cell_was_run_once_from_top_to_bottom(notebook):
    cells = code_cells(notebook)

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_no_cell_failed_and_most_show_something(notebook):
    assert [output.evalue for output in outputs(notebook) if output.output_type == "error"] == []
    assert sum(bool(cell.outputs) for cell in code_cells(notebook)) > len(code_cells(notebook)) / 2


def test_nothing_saved_names_a_machine(notebook):
    texts = [cell.source for cell in notebook.cells] + [shown(output) for output in outputs(notebook)]

    assert [match[0] for text in texts for match in MACHINE.finditer(text)] == []


def test_every_panel_is_saved_as_a_picture_that_needs_no_kernel(notebook):
    cells = [cell for cell in code_cells(notebook) if PANEL.search(cell.source)]

    assert cells
    for cell in cells:
        pages = [output for output in cell.outputs if "text/html" in output.get("data", {})]
        assert len(pages) == 1, cell.source
        assert "<svg" in shown(pages[0])
        assert pages[0]["data"]["text/plain"].startswith("<Study '")


def test_nothing_saved_needs_a_widget_or_a_script(notebook):
    kinds = {kind for output in outputs(notebook) for kind in output.get("data", {})}

    assert kinds <= {"text/plain", "text/html"}
    assert [text for text in map(shown, outputs(notebook)) if "<script" in text] == []
    assert "widgets" not in notebook.metadata


def test_only_single_cells_are_excused_from_the_comparison_of_outputs(notebook):
    excused = [
        cell for cell in code_cells(notebook) if "nbval-ignore-output" in cell.metadata.get("tags", ())
    ]

    assert len(excused) < 0.6 * len(code_cells(notebook))
    # A word in the metadata of the whole notebook, or a comment that skips a cell, would hide more.
    assert not [cell for cell in code_cells(notebook) if re.search(r"(?i)nbval[-_](skip|raises)", str(cell))]


def test_its_outputs_are_not_older_than_its_cells(path, refresh):
    assert refresh.out_of_date(path) == ""


def test_a_changed_cell_makes_the_outputs_old(path, refresh, tmp_path):
    changed = nbformat.read(path, as_version=4)
    code_cells(changed)[-1].source += "\n1 + 1"
    copy = tmp_path / path.name
    nbformat.write(changed, copy)

    assert "changed after its outputs were saved" in refresh.out_of_date(copy)


def test_an_older_package_makes_the_outputs_old(path, refresh, tmp_path, monkeypatch):
    monkeypatch.setattr(refresh.optuna_nb, "__version__", "999.0")

    assert "this is 999.0" in refresh.out_of_date(path)


def test_the_script_checks_all_notebooks():
    command = [sys.executable, "scripts/refresh_notebooks.py", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.stderr == ""
    assert checked.returncode == 0


def test_the_readme_lists_every_notebook_and_no_other():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = text.partition("\n## Tutorials")[2].partition("\n## ")[0]

    assert re.findall(r"\]\(notebooks/(\w+\.ipynb)\)", listed) == [path.name for path in NOTEBOOKS]


def test_every_notebook_that_a_notebook_points_to_is_there(notebook):
    markdown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    named = set(re.findall(r"`(\d\d_\w+)`", markdown))

    assert named <= {path.stem for path in NOTEBOOKS}
