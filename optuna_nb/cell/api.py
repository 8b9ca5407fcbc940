"""The Python API: what the magics call, and what a plain script calls.

Argument names are those of the flags. The magics only resolve names of
variables and pass values on to the same functions.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any

from optuna_nb.cell import DEFAULT_STORAGE, trust
from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.checks import check, texts_of
from optuna_nb.cell.notebook import notebook_path
from optuna_nb.cell.numbers import read_seconds
from optuna_nb.cell.options import by_name, default_executor
from optuna_nb.cell.steering import stored_study
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import PRUNERS, SAMPLERS, Objective, TuneOptions
from optuna_nb.tuning import api as tuning
from optuna_nb.tuning import capture
from optuna_nb.tuning.transfer import transfer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

    from optuna_nb.tuning.handle import StudyHandle


def tune(
    objective: Callable[[Trial], Any],
    *,
    name: str,
    trials: int | None = None,
    more: int | None = None,
    timeout: float | str | None = None,
    directions: str | Sequence[str] | None = None,
    sampler: str | BaseSampler = "tpe",
    batch: int | None = 1,
    pruner: str | BasePruner = "median",
    seed: int | None = None,
    jobs: int | None = None,
    executor: str | None = None,
    cluster: Any = None,
    metric: str | None = None,
    model: str | None = None,
    experiment: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] = (),
    continue_: bool = False,
    warm_start: int = 0,
    durability: str = "trial",
    buffer_size: int = 100,
    flush_seconds: float = 1.0,
    synchronous: str = "auto",
    step_interval: int = 1,
    fix: Mapping[str, Any] | None = None,
    log: bool = True,
    storage: str | PathLike[str] | None = None,
    wait: bool = False,
) -> StudyHandle:
    """Tune a function in a background thread; every finished trial is in the database.

    Running it again with the same function goes on where the study stopped, and
    adds nothing once ``trials`` are done. A changed function begins a new version.

    Args:
        objective: takes an ``optuna.Trial`` and returns a number, an array of
            fold scores, or a tuple with one value per direction. It runs in a
            background thread, in several with ``jobs``.
        name: of the study, without a version.
        trials: how many in total; None means 100, or no limit with a timeout.
        more: how many more than there are; not together with ``trials``.
        timeout: seconds after which no trial begins, or ``"90s"``, ``"10m"``, ``"2h"``.
        directions: ``"minimize"`` (default) or ``"maximize"``, one per value.
        sampler: tpe, plaintpe, random, grid, cmaes, gp, nsgaii, nsgaiii, qmc, brute, or an Optuna sampler.
        batch: how many trials ``tpe`` draws from one model, where a cluster asks faster than it draws.
        pruner: median, hyperband, sha, percentile, wilcoxon, none, or an Optuna pruner.
        seed: start of all random numbers; None for one that is chosen and recorded.
        jobs: trials at the same time; None for one, or for all that a cluster has room for.
        executor: ``"thread"``, or ``"dask"`` for processes of this machine or a cluster;
            None is thread, and dask where there is a cluster.
        cluster: of dask: ``"tcp://host:8786"``, a ``Client`` or a cluster; None starts one here.
        metric: what the score is called.
        model: type of the model, for the records.
        experiment: experiment that the study belongs to, for the records.
        notes: a remark for the records.
        tags: labels for the records.
        continue_: stay in the old version although the function has changed.
        warm_start: how many of the best trials of the old version to try first.
        durability: ``"trial"`` writes each finished trial before the next begins,
            ``"pooled"`` many at a time, ``"end"`` all in one transaction when the run
            ends, is interrupted or fails.
        buffer_size: pooled: how many trials wait at most.
        flush_seconds: pooled: how long they wait at most.
        synchronous: ``"full"`` survives a power cut, ``"normal"`` a killed process;
            ``"auto"`` is full for trials of more than 50 ms.
        step_interval: how many reported steps apart a live trial is shown; the finished
            trial has all of them. ``log_metrics`` keeps only the steps that it divides.
        fix: parameters that keep a value, by name. They belong to the version of
            the study and survive a resume; ``{}`` lifts them, None keeps them.
        log: keep what the trials print.
        storage: URL or path of the database; None for what ``%config OptunaNB.storage``
            says, or ``sqlite:///optuna_nb.db``.
        wait: return only when the tuning has ended.

    Returns:
        The handle of the study, at once unless ``wait``.

    Raises:
        InvalidOptionError: an argument cannot be used.
        StorageError: the database cannot be used, or another process tunes the study.
        ClusterError: a cluster cannot be reached or used.
        ObjectiveError: the tuning failed, where ``wait`` is set.
    """
    named = texts_of("directions", directions)
    if directions is not None and not named:
        msg = "directions is empty: give 'minimize' or 'maximize' for each score"
        raise InvalidOptionError(msg, code="NB107")
    if isinstance(timeout, str):
        timeout = read_seconds(timeout)
    options = TuneOptions(
        name=name,
        storage=storage_or_default(storage),
        trials=_plain(trials),
        more=_plain(more),
        timeout=timeout,
        directions=named or ("minimize",),
        sampler=by_name("sampler", sampler, SAMPLERS, {}) if isinstance(sampler, str) else sampler,
        batch=1 if batch is None else _plain(batch),
        pruner=by_name("pruner", pruner, PRUNERS, {}) if isinstance(pruner, str) else pruner,
        seed=_plain(seed),
        jobs=_plain(jobs),
        executor=executor or default_executor(cluster),
        cluster=cluster,
        metric=metric,
        model=model,
        experiment=experiment,
        notes=notes,
        tags=texts_of("tags", tags),
        continue_old=continue_,
        warm_start=_plain(warm_start),
        user_directions=bool(named),
        durability=durability,
        buffer_size=_plain(buffer_size),
        flush_seconds=flush_seconds,
        synchronous=synchronous,
        step_interval=_plain(step_interval),
        fix=fix,
        keep_log=log,
    )
    check(options)
    handle = start(read_callable(objective, _shell()), options)
    return handle.wait() if wait else handle


def _plain(number: Any) -> Any:
    """Turn an integer of numpy into one of Python; anything else is checked later."""
    return int(number) if isinstance(number, Integral) and not isinstance(number, bool) else number


def load(name: str, storage: str | PathLike[str] | None = None) -> StudyHandle:
    """Open a study of the database by its name, whoever tunes it.

    Args:
        name: ``"churn"`` for its newest version, or ``"churn@1"``; a study of plain Optuna by its own name.
        storage: URL or path of the database; None as in ``tune``.

    Raises:
        StudyNotFoundError: there is no such study.
        StorageError: the database cannot be read.
    """
    return _with_view(tuning.load(name, storage_or_default(storage)))


def pull(
    name: str, source: str, *, storage: str | PathLike[str] | None = None, as_name: str | None = None
) -> StudyHandle:
    """Copy a study with its records from another file or server, and open it here.

    Args:
        name: ``"churn"`` for all its versions, or ``"churn@1"``.
        source: URL of the database that has it; nothing changes there.
        storage: URL or path of the database that gets it; None as in ``tune``.
        as_name: what the study is called here; None for the name that it has.

    Raises:
        StudyNotFoundError: there is no such study.
        InvalidOptionError: there is a study of that name here.
        StorageError: a database cannot be used.
    """
    here = storage_or_default(storage)
    note = transfer(name, source, here, new_name=as_name)
    handle = load(as_name or name, here)
    handle.note = note
    return handle


def start(objective: Objective, options: TuneOptions) -> StudyHandle:
    """Begin to tune, with the output of the trials kept out of the notebook."""
    shell = _shell()
    publisher = shell.display_pub if shell else None
    hooks = hasattr(publisher, "register_hook")
    capture.install(_hook_into(publisher) if hooks else None)
    options = replace(
        options,
        notebook=notebook_path(None if shell is None else shell.user_ns),
        keep_log=options.keep_log and bool(_configured("capture", default=True)),
    )
    if shell is not None:
        trust.trust(shell, objective.code)
    return _with_view(tuning.start(objective, options))


def storage_or_default(given: object) -> str:
    """Give the database URL of an argument, or what ``%config OptunaNB.storage`` holds, or the default.

    Raises:
        InvalidOptionError: the argument is neither a text nor a path.
    """
    if given is None or given == "":
        return str(_configured("url", default=DEFAULT_STORAGE))
    if not isinstance(given, (str, PathLike)):
        msg = f"storage={given!r} is neither a text nor a path: give 'sqlite:///tuning.db', or a path"
        raise InvalidOptionError(msg, code="NB501")
    return str(given)


def _configured(name: str, *, default: object) -> object:
    """Give what ``%config OptunaNB`` holds, or the default where there are no magics."""
    shell = _shell()
    magics = shell.magics_manager.registry.get("OptunaNB") if shell else None
    return getattr(magics, name, default)


def _hook_into(publisher: Any) -> Callable[[Callable[[Any], Any]], Callable[[], None]]:
    """Adapt ipykernel's publisher, whose hooks belong to the thread that registers them."""

    def register(hook: Callable[[Any], Any]) -> Callable[[], None]:
        publisher.register_hook(hook)
        return lambda: publisher.unregister_hook(hook)

    return register


def _with_view(handle: StudyHandle) -> StudyHandle:
    handle.view, handle.restarter, handle.reporter = _show, _restart, _report
    return handle


def _restart(handle: StudyHandle, more: int | None) -> StudyHandle:
    """Go on with a study of which this kernel has not run the cell."""
    return start(*stored_study(handle, _shell(), more))


def _show(handle: StudyHandle) -> None:
    from optuna_nb.cell import view

    view.show(handle)


def _report(handle: StudyHandle, file: str) -> str:
    from optuna_nb.cell import view_verbs

    return view_verbs.write_report(handle, file)


def _shell() -> InteractiveShell | None:
    """Find the running IPython, without importing it for a plain script."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
