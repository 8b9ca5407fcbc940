"""Whether a grid has been tried whole, so that running its cell again adds nothing.

Optuna finds this out after a trial only. A ``GridSampler`` can be asked before
the first one; brute force cannot, so the end of its search is noted with the
study, beside what was fixed then: with another ``--fix`` there is more to try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.samplers import BruteForceSampler, GridSampler
from optuna.trial import TrialState

from optuna_nb.tuning import fixing

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from optuna_nb.storage.studies import StudyStorage
    from optuna_nb.tuning.study import TunedStudy

ATTRIBUTE = (
    "optuna_nb:exhausted"  # system attribute of a study: how many trials it had then, and what was fixed
)


def is_exhausted(study: TunedStudy, sampler: BaseSampler) -> bool:
    """Tell whether every combination has been tried and none is queued."""
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):
        return False
    if isinstance(sampler, GridSampler):
        return sampler.is_exhausted(study)
    stored = study._storage.get_study_system_attrs(study._study_id).get(ATTRIBUTE)  # noqa: SLF001
    return isinstance(sampler, BruteForceSampler) and len(trials) > 0 and stored == _end(study)


def note_end(study: TunedStudy, storage: StudyStorage, sampler: BaseSampler) -> None:
    """Note that brute force has come to its end."""
    if study.exhausted and isinstance(sampler, BruteForceSampler):
        storage.set_study_system_attr(study._study_id, ATTRIBUTE, _end(study))  # noqa: SLF001


def _end(study: TunedStudy) -> list[Any]:
    fixed = fixing.stored(study._storage, study._study_id)  # noqa: SLF001
    return [len(study.get_trials(deepcopy=False)), fixed]
