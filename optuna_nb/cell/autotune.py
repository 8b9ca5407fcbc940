"""``autotune`` and ``refine``: for scripts, and for ``%autotune`` and ``%tune refine``."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna_nb.cell import api
from optuna_nb.cell.checks import check, texts_of
from optuna_nb.cell.comparing import compare
from optuna_nb.cell.numbers import read_seconds
from optuna_nb.cell.options import by_name, default_executor
from optuna_nb.cell.steering import stored_study
from optuna_nb.errors import DirectionMismatchError, InvalidOptionError, OptunaNBError, StorageError
from optuna_nb.models.autotune import DEFAULT_SEED, DEFAULT_TRIALS, AutotuneOptions, prepare
from optuna_nb.models.evaluation import LIBRARY_DEFAULTS, SETTING, STUDY
from optuna_nb.models.refine import is_better, prepare_refinement
from optuna_nb.models.winner import CODE, GAIN, HOLDOUT, SUMMED_UP
from optuna_nb.records import SAMPLERS, TuneOptions, base_name
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.server import identity
from optuna_nb.storage.versions import find
from optuna_nb.tuning import api as tuning
from optuna_nb.tuning import background, fixing
from optuna_nb.tuning.reading import load_to_look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    import optuna
    from optuna.samplers import BaseSampler

    from optuna_nb.records import Objective
    from optuna_nb.tuning.handle import StudyHandle

_logger = logging.getLogger("optuna_nb")


def autotune(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    name: str | None = None,
    data: Any = None,
    target: str | None = None,
    problem: str | None = None,
    metric: Any = None,
    trials: int | None = None,
    more: int | None = None,
    timeout: float | str | None = None,
    cv: Any = None,
    folds: int | None = None,
    repeats: int | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    holdout: float = 0.0,
    preset: str = "default",
    space: Mapping[str, Any] | None = None,
    fix: Mapping[str, Any] | None = None,
    race: bool = True,
    refit: bool = True,
    refine: bool = False,
    sampler: str | BaseSampler = "tpe",
    seed: int = DEFAULT_SEED,
    jobs: int | None = None,
    executor: str | None = None,
    cluster: Any = None,
    fold_jobs: int | None = None,
    experiment: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] = (),
    storage: str | PathLike[str] | None = None,
    wait: bool = False,
) -> Any:
    """Tune a known model in a background thread, without an objective of your own.

    A study opens with settings that are known to be good and with the library's defaults
    (XGBoost's and CatBoost's last, as they are slow), then the sampler draws. Rows are split
    and binned once; boosting rounds are found by early stopping; a trial that its first folds
    show to be hopeless ends early. What was found in ``y`` and what is searched is printed.

    Args:
        model: ``"xgboost"``, ``"catboost"``, ``"hist_gradient_boosting"``,
            ``"random_forest"``, ``"logistic"``, ``"ridge"`` and others; an estimator; a
            ``Pipeline`` that ends in one; or a list of these, to compare them.
        X: rows, ``(n_rows, n_columns)``: a DataFrame (numbers, strings, categories, gaps) or
            an array of numbers.
        y: target, ``(n_rows,)``: labels or numbers.
        name: of the study; None for ``MODEL_tuning_seed_SEED``, as ``xgboost_tuning_seed_33``.
        data: a DataFrame that holds rows and target, in place of ``X`` and ``y``.
        target: the column of ``data`` that is the target.
        problem: ``"classification"`` or ``"regression"``, if ``y`` does not make it clear.
        metric: any scorer of scikit-learn, by name, with or without ``neg_``, or as a
            callable; None for log loss, or root mean squared error.
        trials: in total, over all runs; None for 50, or no limit with a timeout. For
            several models, of all together.
        more: how many more than there are.
        timeout: seconds, or text as ``"5m"``, after which no trial begins.
        cv: number of folds, a share below 1 for one split, or a splitter.
        folds: number of folds; None for 5.
        repeats: how often the rows are split anew; None for once. Where neither this, cv, folds
            nor a preset are given, less than 1,000 rows without groups are split thrice (by CatBoost
            unless rows x columns x classes are 100,000 and more), and from 50,000 rows on
            (1,000 of each class) there is one split of 0.2.
        groups: one group a row; rows of a group stay together.
        sample_weight: one weight a row; only how they stand to each other counts.
        holdout: share of the rows that no trial sees; they score the winner and the
            defaults once, at the end.
        preset: ``"default"``, or ``"bluecast"`` for BlueCast's search space.
        space: ranges that replace single ones: ``(low, high)``, ``(low, high, "log")``, a
            list of choices, an Optuna distribution, or one value.
        fix: parameters that keep a value.
        race: whether hopeless trials end after their first folds.
        refit: whether the best model is fitted on all rows, the held-out ones included, at the
            end; else when asked for.
        refine: whether a fine grid around the best follows, as a study of its own.
        sampler: as for ``tune``.
        seed: of folds, models and sampler.
        jobs: trials at the same time; None for one, or for all that a cluster has room for.
        executor: ``"thread"``, or ``"dask"`` for processes of this machine or a cluster;
            None is thread, and dask where there is a cluster.
        cluster: of dask: ``"tcp://host:8786"``, a ``Client`` or a cluster; None starts one here.
        fold_jobs: folds of a trial at the same time, with one thread each; None for as
            many as the trial has cores.
        experiment: experiment that the study belongs to, for the records.
        notes: a remark for the records.
        tags: labels for the records.
        storage: URL or path of the database; None as in ``tune``.
        wait: return only when the tuning has ended.

    Returns:
        The handle of the study, with ``best_model``; for several models a ``Comparison``
        with ``table`` and ``winner``. With ``refine`` and ``wait`` the better of parent
        and child.

    Raises:
        InvalidOptionError: an argument cannot be used.
        StorageError: the database cannot be used, or another process tunes the study.
        ClusterError: a cluster cannot be reached or used.
        ObjectiveError: the tuning failed, where ``wait`` is set.
    """
    asked = AutotuneOptions(
        model=model, X=X, y=y, data=data, target=target, problem=problem, metric=metric, cv=cv, folds=folds,
        repeats=repeats, groups=groups, sample_weight=sample_weight, preset=preset, space=space,
        fix=fix or {}, holdout=holdout, race=race, refit=refit, seed=seed, jobs=jobs or 1,
        fold_jobs=fold_jobs,
    )  # fmt: skip
    options = TuneOptions(
        name=name or "autotune",
        storage=api.storage_or_default(storage),
        trials=DEFAULT_TRIALS if trials is None and not more and not timeout else trials,
        more=more,
        timeout=read_seconds(timeout) if isinstance(timeout, str) else timeout,
        sampler=by_name("sampler", sampler, SAMPLERS, {}) if isinstance(sampler, str) else sampler,
        pruner="none",
        seed=seed,
        jobs=jobs,
        executor=executor or default_executor(cluster),
        cluster=cluster,
        experiment=experiment,
        notes=notes,
        tags=texts_of("tags", tags),
    )
    check(options)
    if isinstance(model, (list, tuple)):
        comparison = compare(asked, options, name, _start, refine=refine)
        return comparison.wait() if wait else comparison
    prepared = prepare(asked)
    print(prepared.text)  # noqa: T201 - what was found and what is searched
    options = replace(
        options,
        name=name or prepared.name,
        directions=(prepared.direction,),
        metric=prepared.metric,
        model=prepared.objective.model,
    )
    check(options)
    handle = _start(prepared.objective, options)
    if not refine:
        return handle.wait() if wait else handle
    if wait:
        return refine_study(handle.wait(), wait=True)
    threading.Thread(target=_refine_later, args=(handle,), name="optuna_nb refine", daemon=True).start()
    return handle


def _start(objective: Objective, options: TuneOptions) -> StudyHandle:
    """Start a study unless what it holds are scores of another kind."""
    _check_taken_over(options)
    try:
        return api.start(objective, replace(options, user_directions=True))
    except DirectionMismatchError:
        raise InvalidOptionError(
            f"{options.name} has the other direction than {options.metric}, which is to"
            f" {options.directions[0]}: give the study another name",
            code="NB608",
        ) from None


def _check_taken_over(options: TuneOptions) -> None:
    """Refuse to go on with a study that plain Optuna made where its values cannot be this metric.

    Raises:
        InvalidOptionError: If they are negative and the metric is a loss.
    """
    try:
        stored = tuning.load(options.name, options.storage)
    except StorageError:
        return  # there is none yet
    if base_name(stored.name) != stored.name or options.directions != ("minimize",):
        return
    values = [it.value for it in stored.study.get_trials(deepcopy=False) if it.value is not None]
    if min(values, default=0.0) < 0:
        raise InvalidOptionError(
            f"{stored.name} holds values below 0, which are no {options.metric} (BlueCast scores CatBoost"
            " classifiers by minus the Matthews correlation): give the study another name, or go on by"
            " %%tune",
            code="NB608",
        )


def refine_study(
    handle: StudyHandle,
    params: Sequence[str] = (),
    *,
    trials: int | None = None,
    wait: bool = False,
) -> StudyHandle:
    """Try a grid of 5 values from 0.9 to 1.1 of the best ones, in a child study.

    Args:
        handle: of a study that this kernel has run, or whose cell is stored with it.
        params: numeric parameters; none for those that matter most to the model.
        trials: at most so many points of the grid; None for 25.
        wait: return only when it has ended, and then the better of parent and child.

    Raises:
        InvalidOptionError: the study's code or what it reads is not here, or a parameter is none.
    """
    objective, known = _code_of(handle)
    base = base_name(handle.name)
    study = handle.study
    if len(study.directions) > 1:
        raise InvalidOptionError(
            f"{handle.name} has several directions: there is no one best trial to refine",
            code="NB409",
        )
    direction = study.direction.name.lower()
    refinement = prepare_refinement(
        handle.name,
        handle.best_trial,
        objective,
        names=params,
        fixed=fixing.stored(study._storage, study._study_id),  # noqa: SLF001
        seed=known.seed or 0,
        direction=direction,
        looks=study.user_attrs.get(HOLDOUT, {}).get("looks", 0),
    )
    child_name = f"{base}_refined"
    _check_ours(child_name, handle.storage)
    options = replace(
        known,
        name=child_name,
        trials=trials or refinement.trials,
        more=None,
        timeout=None,
        sampler=refinement.sampler,
        batch=1,
        directions=(direction,),
        user_directions=False,
        fix=None,
        warm_start=0,
        continue_old=False,
        going_on=None,
        notes=f"refines {handle.name}",
    )
    child = api.start(refinement.objective, options)
    if not wait:
        return child
    found = child.wait().study.best_trials
    return child if found and is_better(found[0].values[0], handle.best_value, direction) else handle


def _check_ours(name: str, storage: str) -> None:
    """Refuse to add trials to a study of plain Optuna that only has the name of a refinement."""
    with contextlib.closing(open_read_only(storage)) as connection:
        found = find(connection, name)
    if found is not None and found.version == 0:
        msg = f"{name} is a study of Optuna's, not a refinement: `%tune rename` one of the two"
        raise InvalidOptionError(msg, code="NB412")


def _code_of(handle: StudyHandle) -> tuple[Objective, TuneOptions]:
    """Return what a study tunes: as this kernel ran it, or by the cell that is stored with it."""
    own = background.find(identity(handle.storage), handle.study_name)
    if own is not None:
        return own.objective, own.options
    if STUDY in handle.study.user_attrs:
        base = base_name(handle.name)
        raise InvalidOptionError(
            f"this kernel does not know the data of {handle.name}: run its line,"
            f" %autotune {base} ..., again first",
            code="NB406",
        )
    from IPython.core.getipython import get_ipython

    return stored_study(handle, get_ipython(), None)


def _refine_later(handle: StudyHandle) -> None:
    """Refine once the parent has ended; one that failed or was stopped has no child."""
    try:
        handle.wait()
        own = background.find(identity(handle.storage), handle.study_name)
        if own is not None and not own.control.is_stopping:
            refine_study(handle)
    except OptunaNBError as error:
        _logger.warning("%s is not refined: %s", handle.name, error)


def summary(study: optuna.Study) -> str:
    """Say what a study of ``autotune`` gained: over the defaults, and on the holdout. Often empty."""
    attributes, lines = study.user_attrs, []
    if study.best_trials and study.best_trial.user_attrs.get(SETTING) == LIBRARY_DEFAULTS:
        lines.append(
            "the best trial is the library's defaults; parameters outside the search space are not listed"
            f" here, `%tune best {base_name(study.study_name)} --code` prints them"
        )
    if gain := attributes.get(GAIN):
        mean, low, high = gain
        chance = "" if low > 0 else ", which may be chance"
        lines.append(f"gain over library defaults {mean:.4g}{chance} (95 % interval {low:.4g} to {high:.4g})")
    if held := attributes.get(HOLDOUT):
        text = f"{held['rows']} held-out rows: {attributes[STUDY]['metric']} {held['score']:.4g}"
        if "defaults" in held:
            text += f", library defaults {held['defaults']:.4g}"
        looks = "" if held["looks"] == 1 else f" (looked at {held['looks']} times)"
        lines.append(text + looks)
    if lines and (old := _older_best(study)) is not None:
        lines.append(f"gain and held-out rows are those of trial {old}, the best one when the last run ended")
    return "\n".join(lines)


def _older_best(study: optuna.Study) -> int | None:
    """Return the best trial when a run last ended, where another one is better since."""
    old = study.user_attrs.get(SUMMED_UP)
    return None if old is None or study.best_trial.number == old else int(old)


def best_code(handle: StudyHandle) -> str:
    """Return Python that builds the best model.

    Raises:
        InvalidOptionError: the study has none, or not yet.
    """
    study = load_to_look(handle)
    attributes = study.user_attrs
    if STUDY not in attributes:
        raise InvalidOptionError(
            f"{handle.name} is no study of %autotune: its own cell is the code", code="NB416"
        )
    if CODE not in attributes:
        raise InvalidOptionError(
            f"{handle.name} has not ended: its code is there after `%tune wait`", code="NB416"
        )
    old, code = _older_best(study), str(attributes[CODE])
    if old is None:
        return code
    better = study.best_trial.number
    return f"# of trial {old}: trial {better} is better since, and its code comes when the run ends\n{code}"
