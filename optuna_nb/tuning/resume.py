"""Which study a cell means: the one it made before, a new version, or a new study.

The same fingerprint resumes; another one begins a new version that is linked to
the old; nothing is lost or mixed. Code that never finished a trial gives way.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from optuna_nb.errors import DirectionMismatchError, InvalidOptionError, LockedStudyError, StudyNotFoundError
from optuna_nb.records import VersionRecord
from optuna_nb.storage import runs, versions
from optuna_nb.storage.refusals import reading
from optuna_nb.storage.rows import FIXED_PARAMS
from optuna_nb.tuning import fixing, volatile
from optuna_nb.tuning.changes import describe_change, matches
from optuna_nb.tuning.naming import check_name
from optuna_nb.tuning.ranking import rank
from optuna_nb.tuning.reseeding import own_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import FrozenTrial

    from optuna_nb.records import Objective, TuneOptions
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.studies import StudyStorage

DEFAULT_TRIALS = 100
METRIC_NAMES = "study:metric_names"  # Optuna's system attribute of a study


@dataclass(frozen=True, slots=True)
class Prepared:
    """A study that this process owns, ready to run."""

    version: VersionRecord
    ledger: Ledger
    target: int | None
    note: str  # one line: what begins, goes on or has changed


def prepare(storage: StudyStorage, objective: Objective, options: TuneOptions) -> Prepared:
    """Find or make the study for an objective, and own it.

    Raises:
        InvalidOptionError: If the name cannot be that of a study.
        DirectionMismatchError: If the study has other directions than were asked for.
        InvalidOptionError: If a fixed value is not one that the objective suggests.
        LockedStudyError: If another kernel is running it.
    """
    check_name(options.name)
    try:
        prepared = _prepare(storage, objective, options)
    except DuplicatedStudyError:  # another kernel began the same one just now: it is found the second time
        prepared = _prepare(storage, objective, options)
    fixed = fixing.settle(storage, prepared.version.study_id, options.fix)
    return replace(prepared, note=f"{prepared.note}; {fixed}") if fixed else prepared


def _prepare(storage: StudyStorage, objective: Objective, options: TuneOptions) -> Prepared:
    found = _find(storage, objective, options)
    if found is None and options.going_on is not None:
        msg = f"there is no study {options.going_on!r} any more: run its cell to begin a new one"
        raise StudyNotFoundError(msg, code="NB401")
    if found is None:
        return _begin(storage, objective, options, None)
    directions = _stored_directions(storage, found.study_id)
    check_directions(found.study_name, directions, options)
    if found.version == 0:  # adopted for ever: what is refused later must not have bound it to this code
        fixing.check(storage.get_all_trials(found.study_id, deepcopy=False), options.fix or {})
        return _owning(storage, found, partial(_adopt, storage, objective, options, found))
    is_same = matches(found.fingerprint, objective.fingerprint)
    if options.going_on and not is_same and not options.continue_old:  # deleted, and made anew elsewhere
        msg = f"{found.study_name} has other code by now than this kernel ran: run its cell to go on"
        raise InvalidOptionError(msg, code="NB407")
    made_nothing = _done(storage, found.study_id) == 0 and not _has_opening(storage, found, objective)
    if not is_same and made_nothing:  # also with --continue
        with contextlib.suppress(LockedStudyError, _FinishedMeanwhileError):
            return _owning(storage, found, partial(_replace_code, storage, objective, options, found))
    if is_same or options.continue_old:
        go_on = _go_on if is_same else _go_on_changed
        return _owning(storage, found, partial(go_on, storage, objective, options, found))
    change = describe_change(found.fingerprint, objective.fingerprint)
    begun = _begin(storage, objective, replace(options, directions=tuple(directions)), found)
    kept = f"{found.study_name} is kept as it is"
    if found.study_name == found.base_name:  # plain Optuna made it, perhaps with many trials
        kept += ", and --continue goes on in it"
    return replace(begun, note=f"{change}: {begun.note}; {kept}")


def check_directions(study_name: str, directions: Sequence[str], options: TuneOptions) -> None:
    """Refuse directions that a user names and a study does not have.

    Raises:
        DirectionMismatchError: One line with both.
    """
    if options.user_directions and list(options.directions) != list(directions):
        msg = (
            f"{study_name} is to {' and '.join(directions)}, not {' and '.join(options.directions)}:"
            f" leave the direction out, choose another name, or `%tune delete {options.name}` first"
        )
        raise DirectionMismatchError(msg, code="NB405")


def _owning(storage: StudyStorage, found: VersionRecord, go_on: Callable[[Ledger], Prepared]) -> Prepared:
    """Take the lease for what follows, and give it back if that fails."""
    ledger = storage.acquire(found.study_id)
    try:
        return go_on(ledger)
    except BaseException:
        storage.release(found.study_id)
        raise


def _find(storage: StudyStorage, objective: Objective, options: TuneOptions) -> VersionRecord | None:
    """Return the version that was asked for, else the one that this very code made, else the newest."""
    with reading(storage.database) as connection:
        if options.going_on is not None:
            return versions.find_exactly(connection, options.going_on)
        newest = versions.find(connection, options.name)
        if newest is None or options.continue_old:
            return newest
        for number in range(newest.version, 0, -1):
            version = versions.find(connection, versions.study_name(options.name, number))
            if version is not None and matches(version.fingerprint, objective.fingerprint):
                return version
        return newest


def _go_on(
    storage: StudyStorage, objective: Objective, options: TuneOptions, found: VersionRecord, ledger: Ledger
) -> Prepared:
    done = _done(storage, found.study_id)
    target = _target(options, done)
    note = _resume_note(found.study_name, done, target, options, found.seed)
    if options.warm_start and done:
        note += "; --warm-start counts only where a changed cell begins a new version"
    if options.metric is not None and options.metric != found.metric:
        note += f"; its metric stays {found.metric or 'without a name'}: another one needs another study name"
    if done:
        note += _other_methods(storage, found.study_name, options)
    else:
        _queue_first(storage, found, objective, options)
    return Prepared(found, ledger, target, note)


def _go_on_changed(
    storage: StudyStorage, objective: Objective, options: TuneOptions, found: VersionRecord, ledger: Ledger
) -> Prepared:
    """Go on with changed code: the version is that of this code from now on, its runs keep their own."""
    change = describe_change(found.fingerprint, objective.fingerprint)
    new = _with_code(storage, volatile.with_known(objective, found.fingerprint), found, found.seed)
    prepared = _go_on(storage, objective, options, new, ledger)
    return replace(prepared, note=f"{change}: {prepared.note}")


def _with_code(storage: StudyStorage, objective: Objective, found: VersionRecord, seed: int) -> VersionRecord:
    with storage.database.transaction() as connection:
        versions.replace_code(connection, found.study_id, objective.code, objective.fingerprint, seed)
    return replace(found, seed=seed, code=objective.code, fingerprint=objective.fingerprint)


def _other_methods(storage: StudyStorage, study_name: str, options: TuneOptions) -> str:
    """Say that the sampler or the pruner is another than before: what follows is drawn otherwise."""
    before = runs.last_flags(storage.database, study_name)
    text = ""
    for what, given in (("sampler", options.sampler), ("pruner", options.pruner)):
        now = given if isinstance(given, str) or given is None else type(given).__name__
        if what in before and before[what] != now:
            text += f"; its {what} is {now} from here on, {before[what]} before"
    return text


def _has_opening(storage: StudyStorage, found: VersionRecord, objective: Objective) -> bool:
    """Tell whether the code chooses the first trials itself: those that wait are not for other code."""
    waiting = storage.get_all_trials(found.study_id, deepcopy=False, states=(TrialState.WAITING,))
    return bool(objective.opening) or any(trial.user_attrs for trial in waiting)


class _FinishedMeanwhileError(Exception):
    """The old code finished its first trial just before we owned the study."""


def _replace_code(
    storage: StudyStorage,
    objective: Objective,
    options: TuneOptions,
    found: VersionRecord,
    ledger: Ledger,
) -> Prepared:
    """Let the code take the place of code that never finished a trial."""
    if _done(storage, found.study_id) > 0:
        raise _FinishedMeanwhileError
    new = _with_code(storage, objective, found, found.seed if options.seed is None else options.seed)
    return _go_on(storage, objective, options, new, ledger)


def _trials(count: int) -> str:
    return f"{count} trial" if count == 1 else f"{count} trials"


def _resume_note(name: str, done: int, target: int | None, options: TuneOptions, seed: int) -> str:
    if done == 0:
        text = f"{name}: {_trials(target)} to go" if target is not None else f"{name} begins"
    elif target is None:
        text = f"resumed {name}: {done} done"
    elif done >= target:
        text = f"{name} is finished: {done} of {target} done; --more N adds trials"
        if done > target:
            text = f"{name} is finished: {done} done, {target} asked for; --more N adds trials"
    else:
        text = f"resumed {name}: {done} of {target} done, {target - done} to go"
    if options.seed is not None and options.seed != seed:
        text += f"; its seed stays {seed}: another seed needs another name"
    return text


def _begin(
    storage: StudyStorage, objective: Objective, options: TuneOptions, parent: VersionRecord | None
) -> Prepared:
    number = _next_number(storage, options.name)
    version = VersionRecord(
        0,
        versions.study_name(options.name, number),
        options.name,
        number,
        _seed(options, parent),
        objective.fingerprint,
        objective.code,
        options.metric,
        options.model or objective.model,
        None if parent is None else parent.study_id,
    )
    study_id = storage.create_study(
        version.study_name,
        [StudyDirection[d.upper()] for d in options.directions],
        lambda connection, new: versions.add(connection, replace(version, study_id=new)),
    )
    version = replace(version, study_id=study_id)
    ledger = storage.acquire(study_id)
    if names := _metric_names(options.metric, len(options.directions)):
        storage.set_study_system_attr(study_id, METRIC_NAMES, names)
    _queue_first(storage, version, objective, options)
    target = _target(options, 0)
    to_go = "" if target is None else f" with {_trials(target)} to go"
    return Prepared(version, ledger, target, f"{version.study_name} begins{to_go}")


def _next_number(storage: StudyStorage, base_name: str) -> int:
    """Return the number of the next version; a name that somebody else took is passed over."""
    with reading(storage.database) as connection:
        newest = versions.find(connection, base_name)
        number = 1 if newest is None else newest.version + 1
        while versions.find(connection, versions.study_name(base_name, number)) is not None:
            number += 1
    return number


def _adopt(
    storage: StudyStorage, objective: Objective, options: TuneOptions, found: VersionRecord, ledger: Ledger
) -> Prepared:
    """Continue a study that plain Optuna made, under its own name."""
    stored = storage.get_study_system_attrs(found.study_id)
    version = replace(
        found,
        version=1,
        seed=_seed(options, None),
        fingerprint=objective.fingerprint,
        code=objective.code,
        metric=options.metric or ",".join(stored.get(METRIC_NAMES, ())) or None,
        model=options.model or objective.model,
    )
    with storage.database.transaction() as connection:
        versions.add(connection, version)
    done = _done(storage, found.study_id)
    target = _target(options, done)
    note = _resume_note(found.study_name, done, target, options, version.seed)
    return Prepared(version, ledger, target, f"{note} (made by Optuna)")


def _metric_names(metric: str | None, count: int) -> list[str]:
    """Split ``auc,seconds`` where there are as many directions; nothing where it does not fit."""
    names = [metric] if metric and count == 1 else (metric or "").split(",")
    return [name.strip() for name in names] if metric and len(names) == count else []


def _seed(options: TuneOptions, parent: VersionRecord | None) -> int:
    if options.seed is not None:
        return options.seed
    if parent is not None:
        return parent.seed
    given = None if isinstance(options.sampler, str) else own_seed(options.sampler)
    return secrets.randbits(31) if given is None else given


def _queue_first(
    storage: StudyStorage, version: VersionRecord, objective: Objective, options: TuneOptions
) -> None:
    """Queue what a version tries first: the best sets of its parent, then the opening of its code.

    Each is a commit of its own: where a kill came between them, the rest is queued when the version goes on.
    """
    first: list[tuple[dict[str, Any], dict[str, Any]]] = []
    if version.parent_study_id is not None and options.warm_start:
        with contextlib.suppress(KeyError):  # deleted since
            known = storage.get_all_trials(version.parent_study_id, deepcopy=False)
            first = [(dict(it.params), {}) for it in rank(known, options.directions)[: options.warm_start]]
    first += [(dict(it.params), dict(it.attributes)) for it in objective.opening]
    there = list(storage.get_all_trials(version.study_id, deepcopy=False))
    for params, attributes in first:
        queued = next((it for it in there if _is_of(it, params, attributes)), None)
        if queued is not None:
            there.remove(queued)
            continue
        queued = create_trial(
            state=TrialState.WAITING, system_attrs={FIXED_PARAMS: params}, user_attrs=attributes
        )
        storage.create_new_trial(version.study_id, queued)


def _is_of(trial: FrozenTrial, params: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Tell whether a trial was queued for a parameter set, which is stored as JSON."""
    asked, marks = json.loads(json.dumps([params, attributes]))
    is_asked: bool = trial.system_attrs.get(FIXED_PARAMS) == asked
    return is_asked and all(it in trial.user_attrs.items() for it in marks.items())


def _stored_directions(storage: StudyStorage, study_id: int) -> list[str]:
    return [direction.name.lower() for direction in storage.get_study_directions(study_id)]


def _done(storage: StudyStorage, study_id: int) -> int:
    return sum(t.state.is_finished() for t in storage.get_all_trials(study_id, deepcopy=False))


def on_top(total: int | None, done: int, more: int | None) -> tuple[int | None, int | None]:
    """Return ``trials`` and ``more`` of a study that is to go on.

    As in a run, what is added comes on top of the total, and of what is done.
    """
    return (total, more) if total is None or more is None else (max(total, done) + more, None)


def _target(options: TuneOptions, done: int) -> int | None:
    if options.more is not None:
        return done + options.more
    if options.trials is not None:
        return options.trials
    return None if options.timeout is not None else DEFAULT_TRIALS
