"""Verbs that show: ``%tune plot``, ``%tune dashboard``, and the report of ``%tune export``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import InvalidOptionError, StorageError
from optuna_nb.records import base_name

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from optuna_nb.cell.parser import LineParser
    from optuna_nb.tuning.handle import StudyHandle


def plot(given: argparse.Namespace) -> Any:
    """Make the figure that a line asks for; ``KIND NAME`` or ``NAME KIND``."""
    from optuna_nb.cell import plots
    from optuna_nb.cell.api import load

    kind, name = given.kind, given.study
    if not kind or not name:
        msg = f"%tune plot needs a plot and a study, as `%tune plot slice churn`; plots: {plots.listed()}"
        raise InvalidOptionError(msg, code="NB108")
    known = {*plots.KINDS, *plots.SHORT}
    if kind not in known and name in known:
        kind, name = name, kind
    return plots.plot(kind, load(name, given.storage))


def add_plot_flags(parser: LineParser) -> None:
    """Add what ``%tune plot`` takes."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="slice, contour, importance, history, ...")
    parser.add_argument("study", nargs="?", metavar="NAME", help="churn, or churn@1 for an older version")


def dashboard(given: argparse.Namespace) -> None:
    """Start optuna-dashboard and print its address."""
    from optuna_nb.cell.dashboard import address
    from optuna_nb.storage import versions
    from optuna_nb.storage.opening import open_read_only
    from optuna_nb.storage.paths import sqlite_path

    path = sqlite_path(given.storage)
    if not path.exists():
        msg = f"there is no database {path}: run a %%tune cell first, or name another file with --storage"
        raise StorageError(msg, code="NB505")
    study_id = None
    if given.name:
        with contextlib.closing(open_read_only(given.storage)) as connection:
            study_id = versions.resolve(connection, given.name).study_id
    print(f"{address(path.resolve(), study_id)} (read-only, until this kernel ends)")  # noqa: T201


def write_report(handle: StudyHandle, file: str) -> str:
    """Write a study as one static page, without a script; return one line that says so.

    Raises:
        StorageError: the file cannot be written.
        InvalidOptionError: there is another file of this name.
    """
    from optuna_nb.display.document import document
    from optuna_nb.storage.copying import taken, written_aside
    from optuna_nb.storage.reader import Reader
    from optuna_nb.tuning.export import path_of

    path = path_of(file)
    with contextlib.closing(Reader(handle.storage, handle.address())) as reader:
        text = document(reader.snapshot(), reader)
    if path.exists() and not _is_earlier(path, text):
        raise taken(path, handle.name)
    with written_aside(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return f"wrote {file}: {len(text.encode()) // 1000} kB, opens in any browser"


def _is_earlier(path: Path, page: str) -> bool:
    """Whether a file is an earlier report of a study, of any version."""
    from optuna_nb.display.document import study_in

    try:
        before = study_in(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return before is not None and base_name(before) == base_name(study_in(page) or "")
