"""Questions to the records, as Python functions that return DataFrames.

They read only, from the database of ``%config OptunaNB.storage`` unless another
is named; ``postgresql+psycopg://...`` is one, too. A run is named by its id, by
how the id begins, or by its study, which means the study's newest run.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.api import storage_or_default
from optuna_nb.cell.numbers import read_seconds
from optuna_nb.errors import StudyNotFoundError
from optuna_nb.storage import questions
from optuna_nb.storage.questions import LIMIT, Filters
from optuna_nb.storage.record_database import read_records
from optuna_nb.storage.server import is_server
from optuna_nb.tuning import api as tuning

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from uuid import UUID

    import pandas as pd

    from optuna_nb.storage.record_database import RecordDatabase


def runs(
    name: str | None = None,
    *,
    status: str | None = None,
    model: str | None = None,
    tag: str | None = None,
    experiment: str | None = None,
    metric: str | None = None,
    longer_than: float | str | None = None,
    best: bool = False,
    limit: int = LIMIT,
    show_sql: Callable[[str], None] | None = None,
    storage: str | PathLike[str] | None = None,
) -> pd.DataFrame:
    """List tuning runs, newest first; all that is given must hold.

    Args:
        name: of a study, ``"churn"`` for its newest version.
        status: running, completed or failed.
        model: type of the model, as ``"XGBClassifier"``.
        tag: a label that the run has.
        experiment: the experiment that it belongs to.
        metric: what its score is called.
        longer_than: seconds, or text as ``"1h"``; only runs that started before and have not ended.
        best: the best scores first. Scores compare within one metric.
        limit: how many at most; 100 if not given.
        show_sql: is given the SQL that was run; it is valid on SQLite and PostgreSQL.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row a run: id, study_name, model_type, status, best_score, scoring_metric, direction,
        tuning_method, best_params, n_iterations, tuning_time (seconds), started_at, completed_at,
        user_notes, tags, parent_tuning_run_id.

    Raises:
        InvalidOptionError: a filter cannot be.
        StorageError: there is no such study or database.
    """
    if isinstance(longer_than, str):
        longer_than = read_seconds(longer_than, "longer_than")
    url = storage_or_default(storage)
    with closing(read_records(url)) as database:
        filters = Filters(
            study=None if name is None else _study(database, url, name),
            model=model,
            status=status,
            tag=tag,
            experiment=experiment,
            metric=metric,
            longer_than=longer_than,
            best=best,
            limit=limit,
        )
        return _ask(database, questions.runs(filters), show_sql)


def _study(database: RecordDatabase, url: str, name: str) -> str:
    if is_server(url):
        return questions.newest_version(database, _meant(url, name))
    return tuning.load(name, url).study_name


def _meant(url: str, name: str) -> str:
    """Return what Optuna calls the study that a name means; the name itself where only records know it."""
    with suppress(StudyNotFoundError):
        return tuning.load(name, url).study_name
    return name


def count_by_status(
    *, show_sql: Callable[[str], None] | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Count the runs of each status.

    Args:
        show_sql: is given the SQL that was run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row a status that there is: status, runs.

    Raises:
        StorageError: there is no such database.
    """
    return _asked(storage, lambda _: questions.count_by_status(), show_sql)


def mean_time_by_method(
    *, show_sql: Callable[[str], None] | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Say how long the runs of each tuning method took on average.

    Args:
        show_sql: is given the SQL that was run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row a method: tuning_method, mean_time (seconds), runs.

    Raises:
        StorageError: there is no such database.
    """
    return _asked(storage, lambda _: questions.mean_time_by_method(), show_sql)


def best_score_by_model(
    *, show_sql: Callable[[str], None] | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Give the best run of each model type, for each metric and direction.

    Args:
        show_sql: is given the SQL that was run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row each: model_type, scoring_metric, direction, best_score, study_name, id.

    Raises:
        StorageError: there is no such database.
    """
    return _asked(storage, lambda _: questions.best_score_by_model(), show_sql)


def run_parents(
    run: str, *, show_sql: Callable[[str], None] | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Give a run and the runs that it resumed, back to the first.

    Args:
        run: an id, its first letters, or a study's name for its newest run.
        show_sql: is given the SQL that was run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row a run, with the columns of :func:`runs`.

    Raises:
        InvalidOptionError: there is no such run.
        StorageError: there is no such database.
    """
    return _of_run(run, questions.parents, show_sql, storage)


def run_events(
    run: str, *, show_sql: Callable[[str], None] | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Give what happened during a run, in the order of time.

    Args:
        run: an id, its first letters, or a study's name for its newest run.
        show_sql: is given the SQL that was run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row an event: time, worker, kind, payload.

    Raises:
        InvalidOptionError: there is no such run.
        StorageError: there is no such database.
    """
    return _of_run(run, questions.events, show_sql, storage)


def run_metrics(
    run: str, *, trial: int | None = None, storage: str | PathLike[str] | None = None
) -> pd.DataFrame:
    """Give what ``log_metrics`` kept of a run, or of one trial of it.

    Args:
        run: an id, its first letters, or a study's name for its newest run.
        trial: the number of one trial; None for all.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One row a number: trial, name, step, worker, value.

    Raises:
        InvalidOptionError: there is no such run.
        StorageError: there is no such database.
    """
    return _of_run(run, lambda run_id: questions.metric_history(run_id, trial), None, storage)


def compare_runs(*names: str, storage: str | PathLike[str] | None = None) -> pd.DataFrame:
    """Put runs side by side: one column each, one row for each thing that can differ.

    Args:
        *names: each an id, its first letters, or a study's name for its newest run.
        storage: URL or path of the database; None as in ``tune``.

    Returns:
        One column a run, one row for each thing that can differ.

    Raises:
        InvalidOptionError: there is no such run.
        StorageError: there is no such database.
    """
    url = storage_or_default(storage)
    names = tuple(map(str, names))  # they may be the UUIDs that runs() returns
    with closing(read_records(url)) as database:
        ids = questions.run_ids(database, [_meant(url, name) for name in names])
        return questions.side_by_side(questions.ask(database, questions.whole_runs(ids)), ids, names)


def _of_run(
    run: str,
    question: Callable[[UUID], Any],
    show_sql: Callable[[str], None] | None,
    storage: str | PathLike[str] | None,
) -> pd.DataFrame:
    url = storage_or_default(storage)
    return _asked(
        url, lambda database: question(questions.run_ids(database, [_meant(url, str(run))])[0]), show_sql
    )


def _asked(
    storage: str | PathLike[str] | None,
    question: Callable[[RecordDatabase], Any],
    show_sql: Callable[[str], None] | None,
) -> pd.DataFrame:
    with closing(read_records(storage_or_default(storage))) as database:
        return _ask(database, question(database), show_sql)


def _ask(database: RecordDatabase, query: Any, show_sql: Callable[[str], None] | None) -> pd.DataFrame:
    if show_sql is not None:
        show_sql(questions.sql_text(query))
    return questions.ask(database, query)
