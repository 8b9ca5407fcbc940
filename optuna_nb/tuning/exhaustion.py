"""Whether a grid has been tried whole, so that running its cell again adds nothing.

Optuna finds this out after a trial only. A ``GridSampler`` can be asked before
the first one; brute force cannot, so the end of its search is noted with the
study, beside what was fixed then: with less of that fixed there is more to try.
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

ATTRIBUTE = "optuna_nb:exhausted"  # of a study: at each end, how many trials it had and what was fixed


def is_exhausted(study: TunedStudy, sampler: BaseSampler) -> bool:
    """Tell whether every combination has been tried and none is queued."""
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.WAITING for trial in trials):
        return False
    if isinstance(sampler, GridSampler):
        return sampler.is_exhausted(study)
    fixed = fixing.stored(study._storage, study._study_id).items()  # noqa: SLF001
    ends = _ends(study) if isinstance(sampler, BruteForceSampler) else []
    return any(0 < count <= len(trials) and end.items() <= fixed for count, end in ends)


def note_end(study: TunedStudy, storage: StudyStorage, sampler: BaseSampler) -> None:
    """Note that brute force has come to its end."""
    if study.exhausted and isinstance(sampler, BruteForceSampler):
        fixed = fixing.stored(storage, study._study_id)  # noqa: SLF001
        others = [[count, end] for count, end in _ends(study) if end != fixed]
        ends = [*others, [len(study.get_trials(deepcopy=False)), fixed]]
        storage.set_study_system_attr(study._study_id, ATTRIBUTE, ends)  # noqa: SLF001


def _ends(study: TunedStudy) -> list[tuple[int, dict[str, Any]]]:
    stored = study._storage.get_study_system_attrs(study._study_id).get(ATTRIBUTE, [])  # noqa: SLF001
    return [(count, end) for count, end in stored]
