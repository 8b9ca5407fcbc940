"""Start a study again from the cell that is stored with it, in a kernel that never ran that cell.

Whoever clicks Resume in a new kernel has the file, and perhaps the data that the
cell reads. The stored code is compiled as a cell would be; what it reads and this
notebook lacks is named, and where code or data differ from those of the study,
nothing is started: going on would mix two things. Nor is a cell that has never run on
this machine, until its user has read and trusted it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.callables import read_callable
from optuna_nb.cell.source import read_cell
from optuna_nb.cell.trust import is_trusted, trust
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import PRUNERS, SAMPLERS, TuneOptions, base_name
from optuna_nb.storage.reader import Reader
from optuna_nb.tuning.changes import describe_change, matches
from optuna_nb.tuning.reads import outside_reads
from optuna_nb.tuning.resume import on_top

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from optuna_nb.records import Objective, RunView, StudySnapshot, VersionView
    from optuna_nb.tuning.handle import StudyHandle

_KEPT = (
    *("timeout", "batch", "jobs", "executor", "cluster"),
    *("durability", "buffer_size", "flush_seconds", "synchronous", "step_interval"),
    *("keep_log", "model", "experiment"),
)


def stored_study(
    handle: StudyHandle, shell: InteractiveShell | None, more: int | None
) -> tuple[Objective, TuneOptions]:
    """Read from the file how a study is to go on.

    Args:
        handle: the study.
        shell: the running IPython, whose names the code is to use.
        more: how many trials to add to the total; None keeps the total.

    Raises:
        InvalidOptionError: the study cannot go on from here; one line that says what is missing.
    """
    if shell is None:
        msg = f"the cell of {handle.name} can only run in a notebook: call tune() with its function again"
        raise InvalidOptionError(msg, code="NB406")
    version = stored_version(handle)
    with contextlib.closing(Reader(handle.storage, handle.address())) as reader:
        snapshot = reader.snapshot()
        runs = [run for run in reader.runs() if run.study == handle.study_name]
    objective = _objective(version, shell)
    if not matches(version.fingerprint, objective.fingerprint):
        change = describe_change(version.fingerprint, objective.fingerprint)
        msg = f"{change} since {handle.name}: run its cell to begin a new version, or set what it was"
        raise InvalidOptionError(msg, code="NB407")
    return objective, _options(handle, version, snapshot, runs, more)


def stored_version(handle: StudyHandle) -> VersionView:
    """Read the version of a study, with the cell that it is from.

    Raises:
        InvalidOptionError: no code is kept for it.
    """
    with contextlib.closing(Reader(handle.storage, handle.address())) as reader:
        version = next((v for v in reader.versions() if v.name == handle.study_name), None)
    if version is None or not version.code.strip():
        msg = f"no code is kept for {handle.name}: run a %%tune cell of this name to go on with it"
        raise InvalidOptionError(msg, code="NB406")
    return version


def trust_stored(handle: StudyHandle, shell: InteractiveShell, *, yes: bool, line: str) -> str:
    """Show the cell that is stored with a study and, with ``yes``, let it run on this machine.

    Args:
        handle: the study.
        shell: the running IPython, which keeps what is trusted.
        yes: whether the user has read the cell.
        line: what the user typed, without the yes.

    Returns:
        The cell, its control characters as escapes, and a line that says what holds now.

    Raises:
        InvalidOptionError: no code is kept for the study.
    """
    version = stored_version(handle)
    if yes:
        trust(shell, version.code)
        return f"{version.name}: its cell may run on this machine now; resume goes on with it"
    shown = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in version.code)
    return f"{shown.rstrip()}\n\n{version.name}: `{line} --yes` lets this cell run on this machine"


def missing_names(shell: InteractiveShell, code: str) -> list[str]:
    """Return the names that code reads and the notebook does not have.

    Raises:
        InvalidOptionError: the stored code is no Python for this version of it.
    """
    known = {"trial", "get_ipython", *vars(builtins), *shell.user_ns}
    return sorted(name for name in outside_reads(_parsed(shell, code)) if name not in known)


def _parsed(shell: InteractiveShell, code: str) -> ast.Module:
    try:
        return ast.parse(str(shell.transform_cell(code)))  # type: ignore[no-untyped-call]
    except SyntaxError as error:
        msg = f"the stored cell cannot be read ({error.msg}, line {error.lineno}): run the cell again"
        raise InvalidOptionError(msg, code="NB406") from None


def _objective(version: VersionView, shell: InteractiveShell) -> Objective:
    statements = _parsed(shell, version.code).body
    only = statements[0] if len(statements) == 1 else None
    function = only.name if isinstance(only, ast.FunctionDef) else None  # which is then the notebook's own
    if function is None and not is_trusted(shell, version.code):
        msg = (
            f"the cell of {version.name} has never run on this machine: `%tune trust {version.name}` shows it"
            " and, with --yes, lets it run"
        )
        raise InvalidOptionError(msg, code="NB418")
    missing = missing_names(shell, version.code)
    if missing:
        msg = f"{version.name} needs {', '.join(missing)}: run the cells that make them, then resume"
        raise InvalidOptionError(msg, code="NB407")
    if function is not None:
        known: Any = shell.user_ns.get(function)
        if not callable(known):
            msg = f"{version.name} needs {function}: run the cell that defines it, then resume"
            raise InvalidOptionError(msg, code="NB407")
        return read_callable(known, shell)
    return read_cell(shell, base_name(version.name), version.code)


def _options(
    handle: StudyHandle,
    version: VersionView,
    snapshot: StudySnapshot,
    runs: list[RunView],
    more: int | None,
) -> TuneOptions:
    flags: Mapping[str, Any] = runs[-1].flags if runs else {}
    sampler, pruner = flags.get("sampler", "tpe"), flags.get("pruner", "median")
    for kind, word, known in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if word not in known:
            msg = f"{handle.name} had a {kind} of its own ({word}), which is not kept: run its cell again"
            raise InvalidOptionError(msg, code="NB408")
    kept = {key: flags[key] for key in _KEPT if flags.get(key) is not None}
    trials, more = on_top(snapshot.target, snapshot.done, more)
    return replace(
        TuneOptions(name=base_name(version.name), storage=handle.storage),
        trials=None if more is not None else trials,
        more=more,
        going_on=handle.study_name,
        directions=snapshot.directions,
        metric=snapshot.metric,
        sampler=sampler,
        pruner=pruner,
        notes=runs[-1].notes if runs else None,
        tags=runs[-1].tags if runs else (),
        **kept,
    )
