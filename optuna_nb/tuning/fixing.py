"""Parameters that do not vary: ``--fix depth=3`` tunes the others around it.

The fixed values belong to a version of a study: they stand in its attributes,
so a resume that does not name them keeps them. Naming others changes them from
the next trial on, in the same version, as the code has not changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BruteForceSampler, PartialFixedSampler

from optuna_nb.errors import InvalidOptionError
from optuna_nb.tuning.reseeding import places
from optuna_nb.tuning.results import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from optuna_nb.storage.studies import StudyStorage

FIXED = "optuna_nb:fixed_params"  # system attribute of a study


class FixingSampler(PartialFixedSampler):
    """Optuna's ``PartialFixedSampler``, which refuses a value that the distribution does not hold.

    The other parameters are drawn as the sampler inside draws them. A value that
    was enqueued for one trial goes before a fixed one.
    """

    def __init__(self, fixed: Mapping[str, Any], sampler: BaseSampler) -> None:
        """Fix some parameters.

        Args:
            fixed: Value by name of the parameter.
            sampler: Draws the rest.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(dict(fixed), sampler)
        for place in places(sampler):
            if isinstance(place.value, BruteForceSampler):
                # Other values of a fixed parameter are no combinations that are still to be tried.
                vars(place.value)["_populate_tree"] = partial(_populate, self._fixed_params)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the fixed value, or what the sampler inside draws.

        Raises:
            InvalidOptionError: If the distribution does not hold the fixed value.
        """
        if param_name in self._fixed_params:
            value = held(param_name, self._fixed_params[param_name], param_distribution)
            self._fixed_params[param_name] = value
            return value
        return self._base_sampler.sample_independent(study, trial, param_name, param_distribution)


def _populate(fixed: Mapping[str, Any], tree: Any, trials: list[FrozenTrial], params: dict[str, Any]) -> None:
    BruteForceSampler._populate_tree(tree, trials, {**fixed, **params})  # noqa: SLF001 - it has no other hook


def read_sets(params: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return parameter sets that are to be tried, in plain values.

    Raises:
        InvalidOptionError: If they are no such sets.
    """
    sets = [params] if isinstance(params, Mapping) else params
    if not isinstance(sets, (list, tuple)) or not sets or not all(map(_is_set, sets)):
        msg = "enqueue takes a dict of values by parameter name, or a list of such dicts"
        raise InvalidOptionError(msg, code="NB411")
    return [plain(one) for one in sets]


def _is_set(one: object) -> bool:
    return isinstance(one, Mapping) and len(one) > 0 and all(isinstance(name, str) for name in one)


def held(name: str, value: Any, distribution: BaseDistribution) -> Any:
    """Return the value as the distribution holds it: 3 for 3.0, the choice "1" for 1.

    Raises:
        InvalidOptionError: If it holds no such value.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        same = [choice for choice in choices if type(choice) is type(value) and choice == value]
        alike = same or [choice for choice in choices if choice == value or str(choice) == str(value)]
        if alike:
            return alike[0]
        text = f"one of {', '.join(map(repr, choices))}"
    else:
        try:
            internal = distribution.to_internal_repr(value)
        except (ValueError, TypeError):
            internal = None
        if internal is not None and distribution._contains(internal):  # noqa: SLF001 - as Optuna's sampler asks
            return distribution.to_external_repr(internal)
        text = _range(distribution)
    msg = f"{name}={value!r} is not what the objective suggests: give {text}"
    raise InvalidOptionError(msg, code="NB114")


def _range(distribution: BaseDistribution) -> str:
    parts = distribution._asdict()
    text = f"a number from {parts.get('low')} to {parts.get('high')}"
    return text if parts.get("step") in (None, 1) else f"{text} in steps of {parts['step']}"


def stored(storage: BaseStorage, study_id: int) -> dict[str, Any]:
    """Return the fixed parameters of a study."""
    return dict(storage.get_study_system_attrs(study_id).get(FIXED, {}))


def settle(storage: StudyStorage, study_id: int, fix: Mapping[str, Any] | None) -> str:
    """Decide what is fixed from the next trial on, and keep it with the study that we own.

    Args:
        storage: Where the study is.
        study_id: Which one.
        fix: The fixed parameters; an empty one lifts all; None keeps what there is.

    Returns:
        What is fixed, in words; empty where nothing is or was.

    Raises:
        InvalidOptionError: If finished trials drew such a parameter from a
            distribution that does not hold the value, or JSON cannot hold it.
    """
    before = stored(storage, study_id)
    if fix is None:
        return f"fixed: {in_words(before)}" if before else ""
    wanted = {name: plain(value) for name, value in fix.items()}
    trials = storage.get_all_trials(study_id, deepcopy=False)
    check(trials, wanted)
    if wanted != before:
        storage.set_study_system_attr(study_id, FIXED, wanted)
    if not wanted:
        return f"no longer fixed: {in_words(before)}" if before else ""
    was = (
        f" (before: {in_words(before) or 'nothing'})"
        if before != wanted and _any_done(storage, study_id)
        else ""
    )
    strange, known = unknown(trials, list(wanted))
    hint = (
        f"; no trial asked for {' or '.join(strange)}, only for {', '.join(sorted(known))}" if strange else ""
    )
    return f"fixed: {in_words(wanted)}{was}{hint}"


def check(trials: Sequence[FrozenTrial], wanted: Mapping[str, Any]) -> None:
    """Compare values with the newest distribution that a trial drew the parameter from.

    Raises:
        InvalidOptionError: If it does not hold the value.
    """
    newest: dict[str, BaseDistribution] = {}
    for trial in trials:
        newest.update(trial.distributions)
    for name, value in wanted.items():
        if name in newest:
            held(name, value, newest[name])


def unknown(trials: Sequence[FrozenTrial], names: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the names that no finished trial asked for, and the names that some did."""
    known = {name for trial in trials if trial.state.is_finished() for name in trial.params}
    return [name for name in names if known and name not in known], known


def in_words(fixed: Mapping[str, Any]) -> str:
    """Write fixed parameters as ``depth=3, kind='a'``."""
    return ", ".join(f"{name}={value!r}" for name, value in fixed.items())


def _any_done(storage: StudyStorage, study_id: int) -> bool:
    return any(t.state.is_finished() for t in storage.get_all_trials(study_id, deepcopy=False))
