"""What the user hears when a study begins, in one line each: of data that is not followed, of slow files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.tuning.changes import VOLATILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.storage.dialect import StudyDatabase

_NAMED = 3  # how many things a line lists


def advice_on_volatile(parts: Mapping[str, str]) -> str:
    """Say in one line which data the trials change; nothing where they change none."""
    names = [part.removeprefix("data ") for part, digest in parts.items() if digest == VOLATILE]
    if not names:
        return ""
    whose, what = ("its", "it") if len(names) == 1 else ("their", "them")
    return (
        f"the trials change {_listed(names)} themselves, so {whose} content is not fingerprinted;"
        f" create {what} inside the cell"
    )


def advice_on_unseen(unseen: Sequence[str]) -> str:
    """Say in one line what data cannot be inspected; nothing where all can be."""
    return f"changes inside {_listed(unseen)} cannot be detected and begin no new version" if unseen else ""


def advice_on_edited(modules: Sequence[str]) -> str:
    """Say in one line which modules were edited after their import; nothing where none was."""
    if not modules:
        return ""
    reload = "; ".join(f"importlib.reload({name})" for name in modules[:_NAMED])
    return f"{_listed(modules)}: edited since the import, and the trials run the old code until {reload}"


def advice_on_file(database: StudyDatabase) -> str:
    """Say in one line why a file is slow; nothing where it is not."""
    if not database.without_log:
        return ""
    return (
        f"{database.path} gets no write-ahead log, as {database.without_log}:"
        " a local disk is quicker and safer"
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
