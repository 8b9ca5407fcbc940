"""Questions of a trial to its study, of which only the answer travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from optuna_nb.tuning.executors.remote_trial import RemoteStudy

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna import Study

_T = TypeVar("_T")


def ask_study(study: Study | RemoteStudy, question: Callable[..., _T], *arguments: Any) -> _T:
    """Return ``question(study, *arguments)``, computed in the process that holds the study.

    Args:
        study: ``trial.study``, wherever the trial runs.
        question: a function of a module of this package. It may be called twice for one answer.
        arguments: what else it takes; small, as they travel, too.

    Raises:
        Exception: What the question raised.
    """
    if isinstance(study, RemoteStudy):
        return study.compute(question, arguments)
    return question(study, *arguments)
