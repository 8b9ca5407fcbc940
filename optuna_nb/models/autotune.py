"""From a model and data to an objective: where all parts of automatic tuning meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import distribution_to_json

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.catalogue import find_model, make_learner
from optuna_nb.models.evaluation import LIBRARY_DEFAULTS, SETTING, Evaluation
from optuna_nb.models.folds import DEFAULT_FOLDS, by_default, describe_holdout, make_folds, split_holdout
from optuna_nb.models.metrics import by_name, find_metric, task_of_metric
from optuna_nb.models.problem import read_problem
from optuna_nb.models.sklearn_model import WITHOUT_PROBABILITIES, SklearnLearner
from optuna_nb.models.spaces import Space, names
from optuna_nb.models.units import check_unit, in_units
from optuna_nb.models.winner import Winner
from optuna_nb.records import Objective, Opening
from optuna_nb.tuning.fingerprint import fingerprint

if TYPE_CHECKING:
    from optuna_nb.models.catalogue import Model
    from optuna_nb.models.learner import Learner

DEFAULT_SEED = 33
DEFAULT_TRIALS = 50
_COSTLY = {"catboost"}  # by columns and classes


@dataclass(frozen=True, slots=True, kw_only=True)
class AutotuneOptions:
    """What is asked of automatic tuning. Names are those of the flags."""

    model: Any
    X: Any = None
    y: Any = None
    data: Any = None
    target: str | None = None
    problem: str | None = None
    metric: Any = None
    cv: Any = None
    folds: int | None = None
    repeats: int | None = None
    groups: Any = None
    sample_weight: Any = None
    preset: str = "default"
    space: Mapping[str, Any] | None = None
    fix: Mapping[str, Any] | None = None
    holdout: float = 0.0
    race: bool = True
    refit: bool = True
    seed: int = DEFAULT_SEED
    jobs: int = 1
    fold_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An objective that is ready to be tuned.

    Attributes:
        objective: What is tuned.
        direction: ``"minimize"`` or ``"maximize"``.
        metric: What the score is called.
        name: What the study is called where the user gives no name.
        found: What the data are, for people.
        search: What will be searched, likewise.
        n_folds: How many folds a trial has.
    """

    objective: Objective
    direction: str
    metric: str
    name: str
    found: str
    search: str
    n_folds: int

    @property
    def text(self) -> str:
        """Both, one after the other."""
        return f"{self.found}\n{self.search}"


def prepare(options: AutotuneOptions) -> Prepared:
    """Read the problem, split the rows, choose the space, and make the objective.

    Data are not copied where they need not be: do not change them while the study runs.

    Raises:
        InvalidOptionError: Something cannot be used; one line, with the fix.
    """
    if options.fold_jobs is not None and options.fold_jobs < 1:
        raise InvalidOptionError(f"fold_jobs={options.fold_jobs!r}: give 1 or more", code="NB605")
    options = replace(options, metric=by_name(options.metric))
    model = find_model(options.model)
    X, y = _rows(options)
    task = options.problem or model.task or task_of_metric(options.metric)
    problem = read_problem(X, y, sample_weight=options.sample_weight, groups=options.groups, task=task)
    kept, apart = np.arange(problem.n_rows), np.empty(0, dtype=np.intp)
    everything = problem
    if options.holdout:
        kept, apart = split_holdout(problem, options.holdout, options.seed, options.cv)
        problem = problem.take(kept)
    asked = options.metric
    if asked is None and problem.is_classification and model.name in WITHOUT_PROBABILITIES:
        asked = "accuracy"
    metric = find_metric(asked, problem)
    given = {"cv": options.cv, "folds": options.folds, "repeats": options.repeats}
    given = {name: value for name, value in given.items() if value is not None}
    own = _own_splits(options)
    if own is not None:
        given["cv"] = own
    if not given and options.preset == "default":
        given = by_default(problem, is_costly=model.name in _COSTLY)
    how = {"cv": None, "folds": DEFAULT_FOLDS, "repeats": 1, **given}
    folds, splits = make_folds(problem, **how, seed=options.seed)
    learner = make_learner(model, problem, folds, metric, options.seed, whole=everything)
    space, fix = _space(options, model, learner)
    learner.settle(space, fix)
    fixed = {name: value for name, value in space.fixed.items() if name in fix}
    about = {
        "model": learner.family,
        "space": space.name,
        "metric": metric.name,
        "direction": metric.direction,
        "problem": everything.describe(),
        "splits": splits,
    }
    evaluation = Evaluation(
        learner,
        space,
        fixed=fixed,
        about=about,
        race=options.race,
        jobs=options.jobs,
        fold_jobs=options.fold_jobs,
    )
    rows = (X.to_frame() if X.ndim == 1 else X) if hasattr(X, "iloc") else everything.X
    if isinstance(learner, SklearnLearner) and hasattr(rows, "columns"):
        _check_names(rows.columns, has_text=bool(problem.categorical))
    winner = Winner(evaluation, rows, everything.labels, everything.weights, kept=kept, apart=apart)

    def finish(study: Any) -> None:
        winner.sum_up(study)
        if options.refit and study.best_trials:
            winner.model(study)

    lines = [everything.describe(), f"metric {metric.name}, to {metric.direction}; {splits}"]
    if len(apart):
        lines.append(describe_holdout(apart, everything.n_rows))
    identify = partial(
        _identity,
        options,
        X,
        everything.y,
        how,
        model=model,
        space=space,
        learner=learner,
        metric=metric.name,
    )
    identity = identify()
    rows = {"data X", "data y", "data groups", "data sample_weight"}
    objective = Objective(
        evaluation,
        _code(options, learner, space, metric.name),
        identity,
        learner.family,
        opening=_opening(learner, space),
        finish=finish,
        refit=winner.model,
        # The user's own scorer or estimator may change what it reads, as a list of its calls.
        refingerprint=identify if any(it.startswith("data ") for it in identity.keys() - rows) else None,
    )
    return Prepared(
        objective,
        metric.direction,
        metric.name,
        f"{learner.family}_tuning_seed_{options.seed}",
        "\n".join(lines),
        space.describe(),
        len(folds),
    )


def _check_names(columns: Any, *, has_text: bool) -> None:
    """Refuse names that scikit-learn refuses, before the winner's fit does."""
    several = columns.nlevels > 1 and has_text
    if several or (columns.nlevels == 1 and len({isinstance(name, str) for name in columns}) > 1):
        raise InvalidOptionError(
            'the names of the columns of X are not all text: X.columns = [f"{it}" for it in X.columns]',
            code="NB603",
        )


def _own_splits(options: AutotuneOptions) -> list[Any] | None:
    """Return the user's own row numbers, read once; None for a number or a splitter.

    Raises:
        InvalidOptionError: If rows are held out, which would give them other numbers.
    """
    if not hasattr(options.cv, "split") and not isinstance(options.cv, Iterable):
        return None
    if isinstance(options.cv, str):
        return None
    if options.holdout and (not hasattr(options.cv, "split") or hasattr(options.cv, "test_fold")):
        raise InvalidOptionError(
            "--holdout leaves other rows than cv numbers: leave rows out of the splits yourself, or give a"
            " splitter",
            code="NB605",
        )
    return None if hasattr(options.cv, "split") else list(options.cv)


def _rows(options: AutotuneOptions) -> tuple[Any, Any]:
    if options.data is None:
        if options.X is None or options.y is None:
            raise InvalidOptionError(
                "autotune needs rows and target: -X X -y y, or --data df --target column",
                code="NB602",
            )
        return options.X, options.y
    if options.X is not None or options.y is not None:
        raise InvalidOptionError("give the rows once: -X and -y, or --data and --target", code="NB602")
    if not hasattr(options.data, "columns"):
        raise InvalidOptionError(
            f"data is of type {type(options.data).__name__}: give a DataFrame, or -X and -y", code="NB602"
        )
    if not hasattr(options.data, "iloc"):
        raise InvalidOptionError(
            "data is no DataFrame of pandas: give data.to_pandas(), or -X and -y", code="NB602"
        )
    columns, target = options.data.columns, options.target
    if target not in columns:  # a line knows no numbers
        target = next((name for name in columns if str(name) == target), None)
    if target is None:
        names = ", ".join(map(str, columns[:8]))
        raise InvalidOptionError(f"--target names a column of the data, as one of {names}", code="NB602")
    return options.data.drop(columns=target), options.data[target]


def _space(options: AutotuneOptions, model: Model, learner: Learner) -> tuple[Space, dict[str, Any]]:
    """Return the search space and what the user fixes, by the names of the space."""
    if model.is_known:
        space = learner.default_space(options.preset)
    else:
        if not options.space:
            raise InvalidOptionError(
                f"{model.name} has no search space of ours: give one by --space,"
                " as {'alpha': (0.01, 10.0, 'log')}",
                code="NB604",
            )
        space = Space(f"{model.name} (yours)", ())
    given, fix = (
        _by_names_of(space, _dict_of(word, it), learner)
        for word, it in (("space", options.space), ("fix", options.fix))
    )
    if model.is_known:
        said = {**learner.extra, **given, **fix}
        check_unit(learner.family, learner.problem, said)
        if options.preset == "default":
            space = in_units(space, learner.family, learner.problem, said)
    space = space.overridden(given, fix)
    if {**learner.extra, **space.fixed}.get("bootstrap") is False:  # then a forest samples no rows
        space = space.overridden({"max_samples": None}, None)
    if not space.params:
        raise InvalidOptionError("every parameter is fixed: leave one free to be tuned", code="NB604")
    return space, fix


def _dict_of(word: str, given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidOptionError(
            f"{word} takes a dict by names of parameters, as {{'alpha': 0.1}}", code="NB604"
        )
    return given


def _by_names_of(space: Space, given: Mapping[str, Any], learner: Learner) -> dict[str, Any]:
    """Rename what the user names: ``eta`` is ``learning_rate`` where the space calls it so.

    Raises:
        InvalidOptionError: If the model has no such parameter.
    """
    synonyms, of_space = learner.synonyms, (*names(space.params), *space.fixed)
    for name in given:
        if name not in (*of_space, *synonyms) and not learner.takes(name):
            near = get_close_matches(name, [*of_space, *synonyms, *learner.defaults], n=1)
            hint = f"did you mean {near[0]}?" if near else f"it searches {', '.join(names(space.params))}"
            raise InvalidOptionError(f"{learner.family} has no parameter {name!r}: {hint}", code="NB604")
    held = {synonyms.get(name, name): name for name in of_space}
    return {held.get(synonyms.get(name, name), name): value for name, value in given.items()}


def _opening(learner: Learner, space: Space) -> tuple[Opening, ...]:
    """Queue the library's defaults and what is known to be good, what takes long at the end."""
    defaults = Opening(space.complete(learner.defaults), {SETTING: LIBRARY_DEFAULTS}, is_baseline=True)
    known = [
        Opening(space.complete(setting), {SETTING: f"known to be good {k}"})
        for k, setting in enumerate(space.opening, 1)
    ]
    return (*known, defaults) if learner.slow_defaults else (defaults, *known)


def _identity(
    options: AutotuneOptions,
    X: Any,
    y: Any,
    how: Mapping[str, Any],
    *,
    model: Model,
    space: Space,
    learner: Learner,
    metric: str,
) -> dict[str, str]:
    """Fingerprint what the scores of a study depend on, one part for each that can change."""
    data = {"X": X, "y": y, "groups": options.groups, "sample_weight": options.sample_weight}
    given = {name: value for name, value in data.items() if value is not None}
    parts = fingerprint("\n".join(given), given)
    parts.pop("cell", None)
    splits = {**how, "holdout": options.holdout}
    odd = {name: value for name, value in space.fixed.items() if not _is_plain(value)}
    said = replace(
        space, fixed={**space.fixed, **{name: type(value).__name__ for name, value in odd.items()}}
    )
    settings = {
        "search space": [said.describe(), *(distribution_to_json(it.distribution) for it in space.params)],
        "model": {"family": learner.family, "extra": learner.extra, "steps": list(learner.recipe.steps)},
        "metric": [options.metric, learner.metric.speaks_labels] if callable(options.metric) else metric,
        "splits": {**splits, "seed": options.seed},
        "racing": options.race,
        "problem": str(learner.problem.task),
        **({"fixed": odd} if odd else {}),
        **({} if options.sample_weight is None else {"weights": "1 in the mean"}),
    }
    for name, value in settings.items():
        found = fingerprint("value", {"value": value})
        parts[name] = next(part for key, part in found.items() if key.endswith("value"))
        parts |= _users_code(found)
    return parts | _users_code(fingerprint("value", {"value": type(model.estimator)}))


def _users_code(found: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that code of the user's has by itself: functions, classes, and what these read."""
    whole = ("cell", "data value", "import value")
    return {
        name.replace(" value", " of the model"): part for name, part in found.items() if name not in whole
    }


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


def _code(options: AutotuneOptions, learner: Learner, space: Space, metric: str) -> str:
    call = f"autotune({learner.family!r}, X, y, metric={metric!r}, seed={options.seed})"
    return f"{call}\n\n{space.describe()}"
