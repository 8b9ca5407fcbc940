"""Run the notebooks from nothing and save what they show, with a digest of the cells that showed it.

    python scripts/refresh_notebooks.py                # all of them
    python scripts/refresh_notebooks.py 03_inspect     # those that are named
    python scripts/refresh_notebooks.py --check        # run nothing, name those whose outputs are out of date

Each runs in a folder of its own, so that a database of an earlier day changes nothing. What is saved
reads without a kernel: the static pages of the panels, without the state of their widgets.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

import optuna_nb

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
LIVE = "application/vnd.jupyter.widget-view+json"  # means nothing once the kernel is gone
CELL_TIMEOUT = 120  # seconds


def digest(notebook: nbformat.NotebookNode) -> str:
    """Return the digest of what a notebook runs, and of the package's version.

    Markdown does not count: it changes no output.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    text = json.dumps([optuna_nb.__version__, *sources])
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Return what a refreshed notebook says about the making of its outputs."""
    return {"version": optuna_nb.__version__, "digest": digest(notebook)}


def out_of_date(path: Path) -> str:
    """Say why the outputs of a notebook are out of date; empty where they are not."""
    notebook = nbformat.read(path, as_version=4)
    saved = notebook.metadata.get("optuna_nb", {})
    if saved == stamp(notebook):
        return ""
    if not saved:
        why = "was never refreshed"
    elif saved.get("version") != optuna_nb.__version__:
        why = f"was saved by version {saved.get('version')}, this is {optuna_nb.__version__}"
    else:
        why = "has cells that changed after its outputs were saved"
    return f"{path.name} {why}: python scripts/refresh_notebooks.py {path.stem}"


def refresh(path: Path) -> float:
    """Run a notebook in an empty folder and save its outputs; return the seconds that it took.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails; the notebook stays as it was.
    """
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            record_timing=False,
            store_widget_state=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    tidy(notebook)
    notebook.metadata["optuna_nb"] = stamp(notebook)
    nbformat.write(notebook, path)
    return time.monotonic() - begin


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leave in a notebook what a reader sees, so that two refreshes differ only where the outputs do."""
    notebook.metadata = nbformat.NotebookNode(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.NotebookNode({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs = _joined([output for output in cell.outputs if not _is_only_live(output)])


def _is_only_live(output: Any) -> bool:
    data = output.get("data", {})
    data.pop(LIVE, None)
    return output.output_type == "display_data" and not data


def _joined(outputs: list[Any]) -> list[Any]:
    """Join pieces of one stream that arrived one after the other, and leave empty ones out."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type != "stream":
            joined.append(output)
        elif joined and joined[-1].output_type == "stream" and joined[-1].name == output.name:
            joined[-1].text += output.text
        elif output.text.strip():
            joined.append(output)
    return joined


def main() -> int:
    """Refresh or check the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="as 03_inspect (default: all)")
    parser.add_argument("--check", action="store_true", help="run nothing, name those that are out of date")
    given = parser.parse_args()
    paths = [NOTEBOOKS / f"{Path(name).stem}.ipynb" for name in given.names] or sorted(
        NOTEBOOKS.glob("*.ipynb")
    )
    if given.check:
        stale = [line for line in map(out_of_date, paths) if line]
        print("\n".join(stale), file=sys.stderr, end="\n" if stale else "")
        return 1 if stale else 0
    for path in paths:
        print(f"{path.stem}: {refresh(path):.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
