"""The verbs that carry trials in and out: enqueue, export, import, push, pull; and rename."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from optuna_nb.cell.numbers import count
from optuna_nb.cell.options import storage_url
from optuna_nb.cell.parser import did_you_mean
from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    import argparse

    from optuna_nb.cell.parser import LineParser
    from optuna_nb.tuning.handle import StudyHandle


def load_named(given: argparse.Namespace) -> StudyHandle:
    """Return the study that a line names."""
    from optuna_nb.cell.api import load

    return load(given.name, given.storage)


def enqueue(given: argparse.Namespace) -> None:
    """Queue the parameter sets of a variable."""
    handle = load_named(given)
    variable = " ".join(given.variable)  # a dict that somebody writes out is several words
    if not variable:
        msg = f"name the variable that holds the parameters, as `%tune enqueue {given.name} my_params`"
        raise InvalidOptionError(msg, code="NB108")
    if not variable.isidentifier():
        msg = (
            f"%tune enqueue takes the name of a variable: my_params = {{...}} in a cell, then `%tune enqueue"
            f" {given.name} my_params`"
        )
        raise InvalidOptionError(msg, code="NB110")
    if variable not in given.namespace:
        known = [it for it in given.namespace if not it.startswith("_") and not hasattr(builtins, it)]
        fix = did_you_mean(variable, known) or "; set it first, to a dict or a list of dicts"
        msg = f"there is no variable {variable}{fix}"
        raise InvalidOptionError(msg, code="NB110")
    print(handle.enqueue(given.namespace[variable]).note)  # noqa: T201


def add_enqueue_flags(parser: LineParser) -> None:
    """Add what ``%tune enqueue`` takes."""
    parser.add_argument("variable", nargs="*", metavar="VARIABLE", help="it holds a dict or a list of dicts")


def export(given: argparse.Namespace) -> None:
    """Write trials, a report or the whole study into a file."""
    handle = load_named(given)
    if not given.file:
        msg = f"name the file to write, as `%tune export {given.name} {given.name}.csv`"
        raise InvalidOptionError(msg, code="NB108")
    print(handle.export(given.file, pareto=given.pareto, top=given.top))  # noqa: T201


def add_export_flags(parser: LineParser) -> None:
    """Add what ``%tune export`` takes."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="*.csv, *.parquet, *.json, *.db or *.html")
    parser.add_argument("--pareto", action="store_true", help="only trials that no other beats, ranked")
    parser.add_argument("--top", type=count, metavar="K", help="only the K best")


def import_(given: argparse.Namespace) -> None:
    """Copy studies of a journal or another database into this one."""
    if not given.source:
        msg = "name what to import, as `%tune import journal.log`: a journal, an SQLite file or a URL"
        raise InvalidOptionError(msg, code="NB108")
    from optuna_nb.tuning.importing import import_studies

    lines = import_studies(given.source, given.storage, name=given.new_name, study=given.study)
    print("\n".join(lines))  # noqa: T201


def add_import_flags(parser: LineParser) -> None:
    """Add what ``%tune import`` takes."""
    parser.add_argument(
        "source", nargs="?", metavar="PATH", help="an Optuna journal, an SQLite file or a URL"
    )
    parser.add_argument("--name", dest="new_name", metavar="NAME", help="what the study is to be called here")
    parser.add_argument("--study", metavar="NAME", help="which study, where there are several (default: all)")


def push(given: argparse.Namespace) -> None:
    """Copy a study to another database."""
    from optuna_nb.tuning.transfer import transfer

    print(transfer(given.name, given.storage, _other(given, "push"), new_name=given.new_name))  # noqa: T201


def pull(given: argparse.Namespace) -> None:
    """Copy a study from another database."""
    from optuna_nb.tuning.transfer import transfer

    print(transfer(given.name, _other(given, "pull"), given.storage, new_name=given.new_name))  # noqa: T201


def rename(given: argparse.Namespace) -> None:
    """Give a study another name."""
    load_named(given)  # what is not there is said first
    if not given.new_name:
        msg = f"say what it is to be called, as `%tune rename {given.name} new_name`"
        raise InvalidOptionError(msg, code="NB108")
    from optuna_nb.tuning import api

    renamed = api.rename(given.name, given.new_name, given.storage)
    verb = "is" if len(renamed) == 1 else "are"
    print(f"{', '.join(renamed)} {verb} now {', '.join(renamed.values())}:", end=" ")  # noqa: T201
    print(f"write {given.new_name} above its cell, too, or the cell begins a new study")  # noqa: T201


def add_rename_flags(parser: LineParser) -> None:
    """Add what ``%tune rename`` takes."""
    parser.add_argument("new_name", nargs="?", metavar="NEW", help="what it is to be called")


def _other(given: argparse.Namespace, word: str) -> str:
    if not given.url:
        msg = (
            f"name the other database, as `%tune {word} {given.name} postgresql+psycopg://USER@HOST/DATABASE`"
        )
        raise InvalidOptionError(msg, code="NB417")
    return str(given.url)


def add_transfer_flags(parser: LineParser) -> None:
    """Add what ``%tune push`` and ``%tune pull`` take."""
    parser.add_argument("url", nargs="?", type=storage_url, metavar="URL", help="the other file or server")
    parser.add_argument("--name", dest="new_name", metavar="NAME", help="what the copy is to be called")
