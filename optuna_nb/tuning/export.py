"""A study as a file: a table (CSV, Parquet), JSON, or a database that plain Optuna reads."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import InvalidOptionError, StorageError
from optuna_nb.records import base_name, cell_of_csv
from optuna_nb.storage.copying import StudyCopy, export_database, read_study, taken, written_aside
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.server import identity
from optuna_nb.tuning.fixing import FIXED
from optuna_nb.tuning.ranking import is_feasible, pareto_set, rank
from optuna_nb.tuning.results import plain
from optuna_nb.tuning.resume import METRIC_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from optuna.trial import FrozenTrial


DATABASES = (".db", ".sqlite", ".sqlite3")
_FIRST = ["rank", "number", "state"]  # columns of each table
KINDS = (".csv", ".parquet", ".json", *DATABASES)


def export(name: str, storage: str, target: str, *, pareto: bool = False, top: int | None = None) -> str:
    """Write a study into a file; its kind follows from the end of its name.

    ``.csv``, ``.parquet`` and ``.json`` hold one row a finished trial: rank, number,
    state, values, whether it is feasible, parameters, constraints, user attributes
    and times; in ``.csv`` a text that a spreadsheet would take for a formula has a quote
    in front. Without ``pareto`` and ``top`` these are all trials by number. A
    ``.db`` is a copy of this one study with its ids, which plain Optuna reads.
    The file is written aside and put in its place whole.

    Args:
        name: The study.
        storage: URL of its database.
        target: Path of the file. An earlier export is replaced: a table as this writes them,
            JSON of any version of the study, a ``.db`` of this one; any other file never.
        pareto: Only the feasible trials that no other beats, the best compromise
            first (see :func:`.ranking.pareto_set`).
        top: Only so many, best first.

    Returns:
        One line that says what was written.

    Raises:
        InvalidOptionError: If there is no such kind of file, or it needs a package, or the
            file is there and no earlier export.
        StudyNotFoundError: If there is no such study.
        StorageError: If the study cannot be read or the file not be written.
    """
    path = path_of(target)
    kind = path.suffix.lower()
    if kind not in KINDS:
        kinds = f"{', '.join(KINDS)}, or in a notebook .html"
        msg = f"{target}: the end of the name says what to write, one of {kinds}"
        raise InvalidOptionError(msg, code="NB511")
    if top is not None and top < 1:
        msg = f"top={top}: give how many trials to write, at least 1"
        raise InvalidOptionError(msg, code="NB511")
    replaces = ", in place of an earlier export" if path.exists() else ""
    if kind in DATABASES:
        if pareto or top is not None:
            msg = f"{target} holds the whole study: --pareto and --top go with .csv, .parquet and .json"
            raise InvalidOptionError(msg, code="NB511")
        if identity(str(path)) == identity(storage):
            msg = f"{target} is the database of the study itself: name another file"
            raise InvalidOptionError(msg, code="NB511")
        count = export_database(storage, name, path)
    else:
        with contextlib.closing(open_read_only(storage)) as connection:
            study = read_study(connection, name)
        if path.exists() and not _is_earlier(path, study):
            raise taken(path, study.name)
        document = describe(study, pareto=pareto, top=top)
        count = len(document["trials"])
        _write(path, document)
    return f"wrote {count} trial{'' if count == 1 else 's'} of {name} to {target}{replaces}"


def is_report(target: str) -> bool:
    """Whether a file is to hold the report of a study, as a page."""
    return target.lower().endswith((".html", ".htm"))


def path_of(target: str) -> Path:
    """Return where a file is to be written.

    Raises:
        StorageError: If there is no such folder.
    """
    path = Path(target).expanduser().absolute()
    if not path.parent.is_dir():
        msg = f"the folder {path.parent} does not exist: create it, or name another file"
        raise StorageError(msg, code="NB504")
    return path


def describe(study: StudyCopy, *, pareto: bool = False, top: int | None = None) -> dict[str, Any]:
    """Describe a study in plain JSON values; infinities and NaN are text."""
    directions = [direction.name.lower() for direction in study.directions]
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    best = pareto_set(finished, directions)
    ranked = best if pareto else _ranked(finished, directions, best)
    ranks = {trial.number: i for i, trial in enumerate(ranked, start=1)}
    shown = ranked if pareto or top is not None else sorted(finished, key=lambda trial: trial.number)
    names = study.system_attrs.get(METRIC_NAMES) or ()
    if len(set(names)) < len(directions):  # Optuna takes one name twice
        names = _value_names(len(directions))
    return {
        "study": study.name,
        "directions": directions,
        "metrics": names,
        "fixed": plain(study.system_attrs.get(FIXED, {})),
        "pareto_set_only": pareto,
        "trials": [_entry(trial, ranks.get(trial.number), names) for trial in shown[:top]],
    }


def _ranked(
    finished: Sequence[FrozenTrial], directions: Sequence[str], best: Sequence[FrozenTrial]
) -> list[FrozenTrial]:
    """Rank complete trials; with several directions those of the Pareto set come first."""
    ranked = rank(finished, directions)
    if len(directions) == 1:
        return ranked
    in_set = {trial.number for trial in best}
    return [*best, *(trial for trial in ranked if trial.number not in in_set)]


def _value_names(count: int) -> list[str]:
    return ["value"] if count == 1 else [f"value_{i}" for i in range(count)]


def _entry(trial: FrozenTrial, place: int | None, names: Sequence[str]) -> dict[str, Any]:
    values = trial.values or ()  # noqa: PD011 - not of pandas
    times = (trial.datetime_start, trial.datetime_complete)
    started, completed = (None if time is None else time.astimezone().isoformat() for time in times)
    return {
        "rank": place,
        "number": trial.number,
        "state": trial.state.name.lower(),
        "values": plain(dict(zip(names, values, strict=False))),
        "feasible": is_feasible(trial),
        "params": plain(trial.params),
        "constraints": plain(trial.constraints),
        "user_attrs": plain(trial.user_attrs),
        "started": started,
        "completed": completed,
    }


def table(document: Mapping[str, Any]) -> pd.DataFrame:
    """Lay the trials of a description out as a table, one column a value, parameter and so on."""
    import pandas as pd

    rows = []
    for trial in document["trials"]:
        row: dict[str, Any] = {}
        for key, value in trial.items():
            if isinstance(value, dict):
                read = _cell if key == "params" else _number_or_cell
                row |= {f"{key}_{name}": read(item) for name, item in value.items()}
            else:
                row[key] = value
        rows.append(row)
    return pd.DataFrame(rows, columns=_columns(rows))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Order the columns by kind, as the first trial that has a column may not be the first trial."""
    kinds = (
        "rank",
        "number",
        "state",
        "values_",
        "feasible",
        "params_",
        "constraints_",
        "user_attrs_",
        "started",
    )
    names = list(dict.fromkeys(name for row in rows for name in row))

    def place(name: str) -> int:
        return next((i for i, kind in enumerate(kinds) if name.startswith(kind)), len(kinds))

    return sorted(names, key=place) or _FIRST


def _number_or_cell(value: Any) -> Any:
    """Read a number back that JSON has no word for; a parameter of that text is a choice."""
    return float(value) if value in ("inf", "-inf", "nan") else _cell(value)


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _is_earlier(path: Path, study: StudyCopy) -> bool:
    """Whether a file is JSON of the study, of any version, or a table as one of any study is written."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".json":
            return base_name(json.loads(path.read_text(encoding="utf-8"))["study"]) == base_name(study.name)
        is_csv = path.suffix.lower() == ".csv"
        frame = pd.read_csv(path, nrows=0) if is_csv else pd.read_parquet(path)
    except ImportError:
        return True  # writing it says what is missing
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return list(frame.columns[:3]) == _FIRST


def _write(path: Path, document: Mapping[str, Any]) -> None:
    with written_aside(path) as draft:
        if path.suffix.lower() == ".json":
            text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
            draft.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        elif path.suffix.lower() == ".csv":
            table(document).map(cell_of_csv).to_csv(draft, index=False, errors="backslashreplace")
        else:
            _write_parquet(draft, table(document))


def _write_parquet(path: Path, frame: pd.DataFrame) -> None:
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].dropna()}
        if len(kinds) > 1 and not kinds <= {int, float}:  # a column of Parquet has one type
            frame[name] = [None if value is None else str(value) for value in frame[name]]
    try:
        frame.to_parquet(path, index=False)
    except ImportError as error:
        msg = "writing .parquet needs pyarrow: pip install pyarrow, or write a .csv"
        raise InvalidOptionError(msg, code="NB118") from error
