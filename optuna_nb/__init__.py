"""Hyperparameter tuning from a notebook cell: in the background, in a database, resumable.

``%load_ext optuna_nb`` gives ``%%tune``; ``tune`` and ``load`` are the same for a
script. Everything is imported when it is first used, so that loading the
extension costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from optuna_nb.cell.api import load as load
    from optuna_nb.cell.api import pull as pull
    from optuna_nb.cell.api import tune as tune
    from optuna_nb.cell.autotune import autotune as autotune
    from optuna_nb.cell.explain import explain as explain
    from optuna_nb.cell.questions import best_score_by_model as best_score_by_model
    from optuna_nb.cell.questions import compare_runs as compare_runs
    from optuna_nb.cell.questions import count_by_status as count_by_status
    from optuna_nb.cell.questions import mean_time_by_method as mean_time_by_method
    from optuna_nb.cell.questions import run_events as run_events
    from optuna_nb.cell.questions import run_metrics as run_metrics
    from optuna_nb.cell.questions import run_parents as run_parents
    from optuna_nb.cell.questions import runs as runs
    from optuna_nb.errors import ClusterError as ClusterError
    from optuna_nb.errors import DirectionMismatchError as DirectionMismatchError
    from optuna_nb.errors import InvalidCellError as InvalidCellError
    from optuna_nb.errors import InvalidOptionError as InvalidOptionError
    from optuna_nb.errors import LeaseLostError as LeaseLostError
    from optuna_nb.errors import LockedStudyError as LockedStudyError
    from optuna_nb.errors import ObjectiveError as ObjectiveError
    from optuna_nb.errors import OptunaNBError as OptunaNBError
    from optuna_nb.errors import StorageError as StorageError
    from optuna_nb.errors import StudyNotFoundError as StudyNotFoundError
    from optuna_nb.tuning.handle import StudyHandle as StudyHandle
    from optuna_nb.tuning.observer import log_metrics as log_metrics
    from optuna_nb.tuning.observer import trial_event as trial_event

__version__ = "0.1.0"

_HOMES = {
    "tune": "optuna_nb.cell.api",
    "load": "optuna_nb.cell.api",
    "pull": "optuna_nb.cell.api",
    "autotune": "optuna_nb.cell.autotune",
    "explain": "optuna_nb.cell.explain",
    "log_metrics": "optuna_nb.tuning.observer",
    "trial_event": "optuna_nb.tuning.observer",
    "runs": "optuna_nb.cell.questions",
    "count_by_status": "optuna_nb.cell.questions",
    "mean_time_by_method": "optuna_nb.cell.questions",
    "best_score_by_model": "optuna_nb.cell.questions",
    "compare_runs": "optuna_nb.cell.questions",
    "run_parents": "optuna_nb.cell.questions",
    "run_events": "optuna_nb.cell.questions",
    "run_metrics": "optuna_nb.cell.questions",
    "StudyHandle": "optuna_nb.tuning.handle",
    "OptunaNBError": "optuna_nb.errors",
    "InvalidOptionError": "optuna_nb.errors",
    "InvalidCellError": "optuna_nb.errors",
    "ObjectiveError": "optuna_nb.errors",
    "StorageError": "optuna_nb.errors",
    "StudyNotFoundError": "optuna_nb.errors",
    "LockedStudyError": "optuna_nb.errors",
    "LeaseLostError": "optuna_nb.errors",
    "DirectionMismatchError": "optuna_nb.errors",
    "ClusterError": "optuna_nb.errors",
}

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register ``%%tune``, ``%tune`` and ``%autotune`` (``%load_ext optuna_nb``)."""
    from optuna_nb.cell import magics

    magics.load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take them away again (``%unload_ext optuna_nb``)."""
    from optuna_nb.cell import magics

    magics.unload(ipython)
