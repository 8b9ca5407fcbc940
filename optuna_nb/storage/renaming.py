"""Another name for a study: for one version of it or for all, and for its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.errors import InvalidOptionError
from optuna_nb.storage import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.storage.dialect import Connection


def rename(connection: Connection, names: Sequence[str], new_name: str) -> list[str]:
    """Rename versions of one study, in the caller's transaction.

    Args:
        connection: Inside a transaction of a process that owns the study.
        names: What the database calls them. One alone becomes the first version of its new name.
        new_name: No study has it.

    Returns:
        Their new names, in the same order.

    Raises:
        InvalidOptionError: If there is a study of that name.
    """
    _check_free(connection, new_name)
    renamed: list[str] = []
    for name in names:
        found = versions.find(connection, name)
        assert found is not None  # noqa: S101 - its owner asks
        number = 1 if len(names) == 1 else found.version
        by_optuna = found.study_name == found.base_name  # plain Optuna made it, under its own name
        renamed.append(new_name if by_optuna else versions.study_name(new_name, number))
        _check_free(connection, renamed[-1])
        connection.execute(
            "UPDATE studies SET study_name = ? WHERE study_id = ?", (renamed[-1], found.study_id)
        )
        connection.execute(
            "UPDATE study_versions SET base_name = ?, version = ? WHERE study_id = ?",
            (new_name, number, found.study_id),
        )
        connection.execute("UPDATE tuning_runs SET study_name = ? WHERE study_name = ?", (renamed[-1], name))
    return renamed


def _check_free(connection: Connection, name: str) -> None:
    if versions.find(connection, name) is not None:
        msg = f"there is a study {name!r} already: choose another name"
        raise InvalidOptionError(msg, code="NB412")
