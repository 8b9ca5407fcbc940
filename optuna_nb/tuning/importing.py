"""Studies from elsewhere become studies here: what ``%tune import`` does."""

from __future__ import annotations

from optuna_nb.errors import InvalidOptionError, StudyNotFoundError
from optuna_nb.storage.copying import write_study
from optuna_nb.storage.opening import open_database
from optuna_nb.storage.sources import read_studies
from optuna_nb.tuning.naming import check_kept, check_name


def import_studies(
    source: str, storage: str, *, name: str | None = None, study: str | None = None
) -> list[str]:
    """Copy the studies of an Optuna journal, an SQLite file or another database into this one.

    Numbers, times, attributes and logs stay as they are, and trials that were running
    are left out. A study that this package made goes on exactly, with its seed; one of
    plain Optuna is continued by a cell of its name.

    Args:
        source: Path of the journal or file, or a database URL. It is only read.
        storage: URL of the database that gets them; made if there is none.
        name: What the study is called here; only for a single one.
        study: Which one, where the source holds several; None for all.

    Returns:
        One line a study.

    Raises:
        InvalidOptionError: If a name is taken, cannot be one, or cannot be chosen for several studies.
        StudyNotFoundError: If the source does not hold the study.
        StorageError: If a database cannot be used.
    """
    if name is not None:
        check_name(name)
    copies = read_studies(source)
    there = ", ".join(copy.name for copy in copies) or "none"
    if study is not None:
        copies = [copy for copy in copies if copy.name == study]
    if not copies:
        msg = f"{source} holds no study {study or ''}".rstrip() + f"; the studies in it: {there}"
        raise StudyNotFoundError(msg, code="NB508")
    if name is not None and len(copies) > 1:
        msg = f"--name is for one study and {source} holds {there}: choose one with --study"
        raise InvalidOptionError(msg, code="NB413")
    database = open_database(storage)
    lines = []
    try:
        for copy in copies:
            try:
                if name is None:
                    check_kept(copy.name if copy.version is None else copy.version.base_name)
                written = write_study(database, copy, name)
            except InvalidOptionError as error:
                if len(copies) == 1:
                    raise
                lines.append(f"left out {copy.name if copy.name.isprintable() else repr(copy.name)}: {error}")
                continue
            running = f"; {copy.left_out} that ran are left out" if copy.left_out else ""
            lines.append(f"imported {written}: {len(copy.trials)} trials{running}")
    finally:
        database.close()
    return lines
