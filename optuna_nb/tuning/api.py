"""From an objective and its options to a handle: where a study is started, loaded, renamed, deleted."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna_nb.errors import LockedStudyError, StorageError, StudyNotFoundError
from optuna_nb.storage import renaming, runs, versions
from optuna_nb.storage.bests import best_values
from optuna_nb.storage.opening import open_database, open_read_only
from optuna_nb.storage.record_database import read_records, records_database
from optuna_nb.storage.server import absolute, identity
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import background, volatile
from optuna_nb.tuning.advice import advice_on_edited, advice_on_file, advice_on_unseen, advice_on_volatile
from optuna_nb.tuning.background import Background
from optuna_nb.tuning.executors.choice import make_executor
from optuna_nb.tuning.handle import StudyHandle
from optuna_nb.tuning.naming import check_name
from optuna_nb.tuning.resume import check_directions, prepare
from optuna_nb.tuning.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from optuna_nb.records import Objective, RecordsFound, TuneOptions

_OF_A_RUN = ("sampler", "pruner", "batch", "jobs", "executor", "durability", "timeout")

_logger = logging.getLogger("optuna_nb")


def start(objective: Objective, options: TuneOptions) -> StudyHandle:
    """Start or resume a study in the background and return at once.

    Raises:
        InvalidOptionError: If an option cannot be used.
        StorageError: If the database cannot be used, or another kernel runs the study.
    """
    path = identity(options.storage)
    options = replace(options, storage=absolute(options.storage))  # wherever the program goes meanwhile
    running = background.running(path)
    replaced: list[str] = []
    for name, other in running.items():
        if other.options.name == options.name and options.going_on in (None, name):
            if volatile.is_same(other.objective, objective):
                if not other.control.is_stopping and (handle := _already_running(name, other, options)):
                    return handle
                other.let_end(name)
            elif _is_newest(name, options):
                other.control.stop()  # its code was replaced; its trial in flight ends meanwhile
                if options.continue_old:  # in this very version
                    other.let_end(name)
                else:
                    replaced.append(name)
    executor = make_executor(objective, options)  # first: what cannot be sent to workers makes no new version
    with contextlib.ExitStack() as undo:  # if the study cannot begin
        undo.callback(executor.close)
        storage = StudyStorage(options.storage)
        undo.callback(storage.close)
        prepared = prepare(storage, objective, options)
        objective = volatile.with_known(objective, prepared.version.fingerprint)
        work = Work(storage, prepared, objective, options, executor)
        undo.pop_all()
    control = work.control
    thread = Background(objective, options, control, work.run, work.abandon)
    work.when_looked_again = lambda looked: setattr(thread, "objective", looked)
    background.remember(path, prepared.version.study_name, thread)
    note = prepared.note
    if work.study.exhausted:
        note = f"{prepared.version.study_name} is finished: every combination has been tried"
    thread.start()
    if work.inexact:
        note += f"; a resume cannot be exact with this sampler: {work.inexact}"
    advice = (
        advice_on_volatile(objective.fingerprint),
        advice_on_unseen(objective.unseen),
        advice_on_edited(objective.edited),
        advice_on_file(storage.database),
    )
    stops = "; ".join(f"{name} was running and stops" for name in replaced)
    note = "; ".join(filter(None, (note, stops, executor.about, *advice)))
    return StudyHandle(prepared.version.study_name, options.storage, note=note, starter=start)


def _is_newest(study_name: str, options: TuneOptions) -> bool:
    """Tell whether a version is the newest of its study, whose code a changed cell replaces."""
    with contextlib.suppress(StorageError), contextlib.closing(open_read_only(options.storage)) as connection:
        newest = versions.find(connection, options.name)
        return newest is None or newest.study_name == study_name
    return True


def _already_running(name: str, other: Background, options: TuneOptions) -> StudyHandle | None:
    """Tell a run of this kernel what is asked for now; None where it hears of it no more."""
    handle = StudyHandle(name, options.storage, starter=start)
    snapshot = handle.snapshot()
    check_directions(name, snapshot.directions, options)
    if options.more is not None:
        handle.more(options.more)
    elif options.trials not in (None, other.control.target) and not other.control.set_target(options.trials):
        return None
    target = other.control.target
    done = snapshot.done
    of = "" if target is None else f" of {target}"
    handle.note = f"{name} is running already: {done}{of} done"
    if other.control.takes_no_more and done != target:  # its timeout has come
        handle.note = f"{name} is ending, {done}{of} done: run the cell again after that to go on"
    if advice := advice_on_volatile(other.objective.fingerprint):
        handle.note += f"; {advice}"
    if changed := _changed_flags(options, other.options):
        verb = "counts" if len(changed) == 1 else "count"
        handle.note += (
            f"; {', '.join(changed)} {verb} from the next run on: %tune stop it and run the cell again"
        )
    return handle


def _changed_flags(asked: TuneOptions, running: TuneOptions) -> list[str]:
    """Name the flags that a run does not change while it goes on."""

    def word(value: object) -> object:  # two samplers of one kind may well be the same
        return value if value is None or isinstance(value, (str, int, float)) else type(value)

    changed = [
        f"--{name}" for name in _OF_A_RUN if word(getattr(asked, name)) != word(getattr(running, name))
    ]
    is_fixed_anew = asked.fix is not None and dict(asked.fix) != dict(running.fix or {})
    return [*changed, *(["--fix"] if is_fixed_anew else [])]


def load(name: str, storage: str) -> StudyHandle:
    """Return the handle of a study that is in the database, whoever runs it.

    Raises:
        StudyNotFoundError: If there is none of that name.
        StorageError: If the database cannot be opened.
    """
    path, url = identity(storage), absolute(storage)
    if not path.exists():  # a run can be steered also where its file was deleted
        for study_name, own in background.running(path).items():
            if name in (study_name, own.options.name):
                return StudyHandle(study_name, url, starter=start)
    with contextlib.closing(open_read_only(storage)) as connection:
        version = versions.resolve(connection, name)
        own_name = versions.name_of_one(connection, version)
    return StudyHandle(own_name, url, study_name=version.study_name, starter=start)


def versions_of(name: str, storage: str) -> list[str]:
    """Return the studies that a name stands for: one version, or with a bare name all of them.

    Raises:
        StudyNotFoundError: If there is none of that name.
    """
    with contextlib.closing(open_read_only(storage)) as connection:
        found = versions.resolve(connection, name)
        if name != found.base_name:
            return [found.study_name]
        return [it.study_name for it in versions.all_of(connection, name)] or [found.study_name]


def delete(name: str, storage: str) -> list[str]:
    """Delete one version of a study, or with a bare name all of them, with their records.

    Returns:
        The names of the studies that are gone.

    Raises:
        LockedStudyError: If a kernel is running it.
        StudyNotFoundError: If there is none of that name.
    """
    return _delete(versions_of(name, storage), storage)


def _delete(names: list[str], storage: str) -> list[str]:
    """Delete studies by the names that Optuna has for them: all of them or, where one runs, none."""
    path = identity(storage)
    with contextlib.closing(open_read_only(storage)) as connection:
        for study_name in names:
            version = versions.find_exactly(connection, study_name)
            if version is None:
                msg = f"there is no study {study_name!r}"
                raise StudyNotFoundError(msg, code="NB401")
            renaming.check_idle(connection, version)
    opened = StudyStorage(storage)
    try:
        for study_name in names:
            opened.delete_study(opened.get_study_id_from_name(study_name))
            runs.delete_runs(opened.database, study_name)
    finally:
        opened.close()
    background.forget(path, names)
    return names


def rename(name: str, new_name: str, storage: str) -> dict[str, str]:
    """Give one version of a study, or with a bare name all of them, another name; records follow.

    Returns:
        The old names, and the new ones.

    Raises:
        InvalidOptionError: If the new name is taken, or cannot be one.
        LockedStudyError: If a kernel is running it.
        StudyNotFoundError: If there is none of that name.
    """
    check_name(new_name)
    versions_of(name, storage)  # no file is made for a study that is not there
    database = open_database(storage)
    try:
        with database.transaction() as connection:
            renamed = renaming.rename(connection, name, new_name)
    finally:
        database.close()
    background.rename(identity(storage), renamed, new_name)
    return renamed


def find_records(
    storage: str, *, experiment: str | None = None, model_run: str | None = None
) -> RecordsFound:
    """Say what hangs on an experiment, or on a model run whose id begins so.

    Raises:
        InvalidOptionError: If there is none.
    """
    with contextlib.closing(read_records(storage)) as database:
        return runs.find_records(database, experiment=experiment, model_run=model_run)


def delete_records(storage: str, found: RecordsFound, *, with_study: bool) -> None:
    """Delete an experiment or a model run with its runs, and with its studies if asked.

    Raises:
        LockedStudyError: If a kernel is running one of the studies.
    """
    for name in found.running:
        with contextlib.suppress(StudyNotFoundError):  # a server may hold records alone
            if load(name, storage).is_running:
                msg = f"{name} is running: %tune stop {name} first"
                raise LockedStudyError(msg, code="NB403")
    if with_study:
        for name in found.studies:
            with contextlib.suppress(StudyNotFoundError):  # its records have outlived it
                _delete([name], storage)
    with contextlib.closing(records_database(storage)) as database:
        runs.delete_records(database, found)


def list_studies(storage: str) -> pd.DataFrame:
    """Return one row a study, newest first: name, state, done, target, best, metric, created_at (UTC).

    ``best`` is that of complete trials that keep their constraints; NaN where there is none, and
    with several directions, as there is more than one.
    """
    import pandas as pd

    with contextlib.closing(open_read_only(storage)) as connection:
        rows, best = versions.list_all(connection), best_values(connection)
    columns = ["name", "state", "done", "target", "best", "metric", "created_at"]
    table = pd.DataFrame([{**row, "best": best.get(row["study_id"])} for row in rows], columns=columns)
    table = table.astype({"target": "Int64", "best": float})  # a study may have neither
    return table.assign(created_at=pd.to_datetime(table["created_at"], utc=True).dt.floor("s"))
