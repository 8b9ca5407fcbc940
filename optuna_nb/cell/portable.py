"""The objectives of a notebook, as callables that also travel to a worker.

Here each trial runs in a fresh copy of the frozen names, with a shell of its own. Pickled,
an objective takes along the code and the names that it reaches, by value, and is put
together on the worker in the same way; only the notebook is not there: magics, ``!cmd``
and ``get_ipython()`` are refused before the first trial.
"""

from __future__ import annotations

import asyncio
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.namespace import Snapshot
from optuna_nb.errors import InvalidCellError
from optuna_nb.tuning.observer import log_metrics, trial_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from IPython.core.interactiveshell import InteractiveShell
    from optuna.trial import Trial

VALUE = "__optuna_nb_value__"  # the name that a cell's last expression is assigned to
_OF_THE_NOTEBOOK = frozenset({"get_ipython", "exit", "quit", "In", "Out", "display"})


class CellObjective:
    """The body of a cell. May be called from any thread.

    Args:
        snapshot: the names that it reads.
        code: the body, which assigns its value to ``VALUE``.
        shell: the running IPython; None on a worker.
    """

    def __init__(self, snapshot: Snapshot, code: CodeType, shell: InteractiveShell | None) -> None:
        self._snapshot = snapshot
        self._code = code
        self._shell = shell
        # What the notebook calls so is the user's own.
        ours: dict[str, object] = {"log_metrics": log_metrics, "trial_event": trial_event}
        if shell is None:
            ours["display"] = _display
        self._for_trials = {name: it for name, it in ours.items() if name not in snapshot.names}

    def __call__(self, trial: Trial) -> Any:
        """Run one trial, and return its value."""
        namespace = self._snapshot.fresh(trial=trial, **self._for_trials)
        _give_shell(self._shell, namespace)
        # The cell is the user's own program; a top-level ``await`` makes it a coroutine.
        running = eval(self._code, namespace)  # noqa: S307
        if self._code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(running)
        value = namespace[VALUE]
        self._snapshot.release(namespace)
        return value

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Travel as the code, and a function that has the names as its globals."""
        _refuse_shell(self._snapshot)
        namespace = self._snapshot.fresh()
        names = ", ".join(self.names_for_workers())
        # Functions of the notebook share this namespace, and cloudpickle keeps it one.
        template = compile(f"lambda: ({names})", "<names>", "eval").co_consts[0]
        return _cell_on_worker, (self._code, FunctionType(template, namespace))

    def names_for_workers(self) -> dict[str, Any]:
        """Return what goes to a worker, by name."""
        return _travelling(self._snapshot)


class FunctionObjective:
    """A function of the notebook. May be called from any thread.

    Args:
        snapshot: the names that it reads.
        function: what is called with a trial.
        shell: the running IPython; None on a worker.
    """

    def __init__(self, snapshot: Snapshot, function: FunctionType, shell: InteractiveShell | None) -> None:
        self._snapshot = snapshot
        self._function = function
        self._shell = shell

    def __call__(self, trial: Trial) -> Any:
        """Run one trial, and return its value."""
        mine = self._snapshot.function(self._function)
        _give_shell(self._shell, mine.__globals__)
        return mine(trial)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Travel as the function, with the names of the start as its globals."""
        _refuse_shell(self._snapshot)
        return _function_on_worker, (self._snapshot.function(self._function),)

    def names_for_workers(self) -> dict[str, Any]:
        """Return what goes to a worker, by name."""
        return _travelling(self._snapshot)


def _cell_on_worker(code: CodeType, names: FunctionType) -> CellObjective:
    return CellObjective(Snapshot(names.__globals__, code), code, None)


def _function_on_worker(function: FunctionType) -> FunctionObjective:
    return FunctionObjective(Snapshot(function.__globals__, function.__code__), function, None)


def _travelling(snapshot: Snapshot) -> dict[str, Any]:
    return {name: snapshot.names[name] for name in snapshot.reached if name not in _OF_THE_NOTEBOOK}


def _refuse_shell(snapshot: Snapshot) -> None:
    if "get_ipython" in snapshot.reached:
        raise InvalidCellError(
            "a magic, `!` or get_ipython() needs this notebook, which a worker does not have:"
            " take it out (subprocess.run does what `!` does), or use --executor thread",
            code="NB805",
        )


def _give_shell(shell: InteractiveShell | None, namespace: dict[str, Any]) -> None:
    if shell is not None:
        from optuna_nb.cell.trial_shell import give_own_shell

        give_own_shell(shell, namespace)


def _display(*values: object, **_: object) -> None:
    """Stand for IPython's ``display`` on a worker: what it shows goes into the trial's log."""
    for value in values:
        print(repr(value))  # noqa: T201 - the log of the trial
