"""Which rows a fold learns from and which it is scored on, fixed once for a study."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import model_selection as ms

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.spaces import is_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from optuna_nb.models.problem import Problem


DEFAULT_FOLDS = 5
_FEW_ROWS = 1_000  # below, the noise of one split decides between good trials
_REPEATS_OF_FEW = 3
_FEW_NUMBERS = 100_000  # rows times columns times classes (benchmarks/autotune/repeats.py)
_MANY_ROWS = 50_000  # from here on one split says enough (benchmarks/autotune/splits.py)
_MANY_OF_A_CLASS = 1_000
_ONE_SPLIT = 0.2


@dataclass(frozen=True, slots=True)
class Fold:
    """Row numbers of one fold."""

    train: NDArray[np.intp]
    score: NDArray[np.intp]


def make_folds(
    problem: Problem, cv: Any = None, *, folds: int = DEFAULT_FOLDS, repeats: int = 1, seed: int = 33
) -> tuple[list[Fold], str]:
    """Split the rows of a problem.

    Args:
        problem: Its groups, where it has some, stay together.
        cv: A number of folds; a share of the rows, below 1, for one split; a splitter of
            scikit-learn; a list of (train, score) row numbers; or None for ``folds``.
        folds: Number of folds.
        repeats: How often the rows are split anew.
        seed: Of the shuffling.

    Returns:
        The folds, and what they are in words.

    Raises:
        InvalidOptionError: If the rows cannot be split so.
    """
    for what, number in (("folds", folds), ("repeats", repeats)):
        if not is_count(number):
            raise InvalidOptionError(f"{what}={number!r}: give a whole number, 1 or more", code="NB605")
    if isinstance(cv, (str, type)):
        wrong = f"cv={cv!r} is text: give a number of folds or a splitter"
        if isinstance(cv, type):
            wrong = f"cv={cv.__name__} is a class: give what it makes, as {cv.__name__}()"
        raise InvalidOptionError(wrong, code="NB605")
    if cv is None or isinstance(cv, (int, np.integer)):
        splitter = _by_number(problem, int(folds if cv is None else cv), int(repeats), seed)
    elif isinstance(cv, (float, np.floating)):
        splitter = _one_split(problem, float(cv), seed)
    elif hasattr(cv, "split"):
        splitter = cv
    else:
        splitter = None
    try:
        made = _split(problem, cv if splitter is None else splitter)
        again = _split(problem, cv) if hasattr(cv, "split") else made
    except (TypeError, ValueError) as error:
        hint = ": name them with --groups" if problem.groups is None and "groups" in str(error) else ""
        raise InvalidOptionError(
            f"the rows cannot be split: {str(error).splitlines()[0]}{hint}", code="NB605"
        ) from None
    if not all(np.array_equal(a.score, b.score) for a, b in zip(made, again, strict=False)):
        raise InvalidOptionError(
            f"{type(cv).__name__} splits the rows otherwise each time: give it a seed, random_state=0",
            code="NB605",
        )
    _check_any(cv, made)
    _check_weights(problem, made)
    _check_classes(problem, made)
    _check_groups(problem, made, cv)
    return made, _describe(splitter, made, problem.n_rows)


def _check_any(cv: Any, folds: Sequence[Fold]) -> None:
    """Refuse no fold at all."""
    if not folds:
        fix = "give a number of folds or a splitter of scikit-learn"
        if hasattr(cv, "__next__"):
            fix = "it can be read once only, so make it anew, or give a list of it"
        raise InvalidOptionError(f"cv gives no split: {fix}", code="NB605")


def _check_weights(problem: Problem, folds: Sequence[Fold]) -> None:
    """Refuse a fold in which no row counts."""
    if problem.weights is None:
        return
    for number, fold in enumerate(folds, 1):
        for rows, does in ((fold.train, "learns from"), (fold.score, "scores")):
            if not problem.weights[rows].any():
                raise InvalidOptionError(
                    f"all rows that fold {number} of {len(folds)} {does} have the weight 0: drop rows without"
                    " weight, or shuffle them",
                    code="NB605",
                )


def _check_classes(problem: Problem, folds: Sequence[Fold]) -> None:
    """Refuse a fold that has nothing to tell apart; what lacks one of many classes is wrong about it."""
    if problem.classes is None:
        return
    for number, fold in enumerate(folds, 1):
        known = problem.classes[np.unique(problem.y[fold.train])]
        if len(known) == 1:
            raise InvalidOptionError(
                f"fold {number} of {len(folds)} learns from one class only, {known.tolist()[0]!r}: take fewer"
                " folds, or others",
                code="NB605",
            )


def _check_groups(problem: Problem, folds: Sequence[Fold], cv: Any) -> None:
    """Refuse folds that learn from a group that they are scored on, as splitters do that ignore groups."""
    if problem.groups is None:
        return
    groups = np.asarray(problem.groups)
    for fold in folds:
        parted = np.intersect1d(groups[fold.train], groups[fold.score])
        if len(parted):
            name = type(cv).__name__ if hasattr(cv, "split") else "cv"
            raise InvalidOptionError(
                f"{name} puts rows of group {parted.tolist()[0]!r} on both sides of a split:"
                " take one that keeps groups together, as GroupKFold, or leave --groups out",
                code="NB605",
            )


def _split(problem: Problem, by: Any) -> list[Fold]:
    pairs = by.split(problem.X, problem.y, problem.groups) if hasattr(by, "split") else by
    return [Fold(*(_row_numbers(part, problem.n_rows) for part in pair)) for pair in pairs]


def _row_numbers(rows: Any, count: int) -> NDArray[np.intp]:
    numbers = np.asarray(rows)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or not len(numbers):
        msg = "each split is two arrays of row numbers, (train, score), with a row at least"
        raise ValueError(msg)
    if numbers.min() < 0 or numbers.max() >= count:
        msg = f"a split names row {numbers.max() if numbers.max() >= count else numbers.min()} of {count:,}"
        raise ValueError(msg)
    return numbers.astype(np.intp, copy=False)


def by_default(problem: Problem, *, is_costly: bool = False) -> dict[str, Any]:
    """Return what :func:`make_folds` takes by itself: few rows are split thrice, many once.

    Args:
        problem: Rows and target.
        is_costly: A trial costs so much by columns and classes that three splits leave too few.
    """
    classes = 0 if problem.classes is None else len(problem.classes)
    numbers = problem.X.size * (1 if classes <= 2 else classes)  # noqa: PLR2004 - two classes share one tree
    is_cheap = not is_costly or numbers < _FEW_NUMBERS
    if problem.n_rows < _FEW_ROWS and is_cheap and problem.groups is None:
        return {"repeats": _REPEATS_OF_FEW}
    rarest = int(np.bincount(problem.y).min()) if problem.is_classification else problem.n_rows
    if problem.n_rows >= _MANY_ROWS and rarest >= _MANY_OF_A_CLASS:
        return {"cv": _ONE_SPLIT}
    return {}


def apart(folds: Sequence[Fold]) -> list[list[int]]:
    """Return for each fold the numbers of those that score none of its rows.

    Of rows that are split once these are all other folds, and of rows that are split
    several times the others of the same split. Where there are none, all others.
    """
    seen = np.zeros(1 + max(int(fold.score.max()) for fold in folds), dtype=bool)
    found = []
    for number, fold in enumerate(folds):
        seen[fold.score] = True
        others = [k for k in range(len(folds)) if k != number]
        found.append([k for k in others if not seen[folds[k].score].any()] or others)
        seen[fold.score] = False
    return found


def split_holdout(
    problem: Problem, share: Any, seed: int, cv: Any = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Set rows apart that no trial sees.

    Args:
        problem: All rows; those of a group stay together.
        share: Of the rows, between 0 and 1.
        seed: Of the draw.
        cv: As :func:`make_folds` takes it. Where its folds score rows that come after those
            they learn from, the last rows are set apart.

    Returns:
        The numbers of the rows that stay, and of those apart. A gap between what folds learn
        from and what they score is left between them, too.

    Raises:
        InvalidOptionError: If the rows cannot be split so.
    """
    if not isinstance(share, (int, float, np.number)) or not 0 < share < 1:
        raise InvalidOptionError(
            f"--holdout takes a share of the rows between 0 and 1, as 0.2, not {share!r}",
            code="NB605",
        )
    try:
        if (gap := _gap_in_order(problem, cv)) is not None:
            train, apart = _last(problem, float(share), gap)
        else:
            one = _one_split(problem, float(share), seed)
            train, apart = next(one.split(problem.X, problem.y, problem.groups))
    except ValueError as error:
        raise InvalidOptionError(
            f"--holdout {share:g} cannot be set apart: {str(error).splitlines()[0]}", code="NB605"
        ) from None
    if problem.classes is not None and len(lost := np.setdiff1d(problem.y, problem.y[train])):
        raise InvalidOptionError(
            f"--holdout {share:g} leaves no row of class {problem.classes[lost].tolist()[0]!r} to learn from:"
            " give another share or --seed",
            code="NB605",
        )
    return train, apart


def describe_holdout(apart: NDArray[np.intp], n_rows: int) -> str:
    """Say in one line which rows are set apart."""
    are_last = np.array_equal(apart, np.arange(n_rows - len(apart), n_rows))
    which = f"the last {len(apart):,} rows" if are_last else f"{len(apart):,} rows"
    return f"{which} are held out and looked at once, at the end"


def _gap_in_order(problem: Problem, cv: Any) -> int | None:
    """Return how many rows each fold leaves out between what it learns from and what comes after.

    None where a fold learns from rows that do not come before those that it scores.
    """
    if not hasattr(cv, "split"):
        return None
    try:
        folds = _split(problem, cv)
    except (TypeError, ValueError):
        return None  # make_folds says what is wrong
    gap = min((int(fold.score.min() - fold.train.max()) - 1 for fold in folds), default=-1)
    return gap if gap >= 0 else None


def _last(problem: Problem, share: float, gap: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split off the last rows, behind a gap; neighbours of one group go together."""
    border = problem.n_rows - math.ceil(share * problem.n_rows)
    groups = problem.groups
    while groups is not None and border and groups[border - 1] == groups[border]:
        border -= 1
    if border <= gap:
        msg = "no row is left to learn from"
        raise ValueError(msg)
    rows = np.arange(problem.n_rows)
    return rows[: border - gap], rows[border:]


def _by_number(problem: Problem, folds: int, repeats: int, seed: int) -> Any:
    if folds < 2:  # noqa: PLR2004 - folds come in twos at least
        raise InvalidOptionError(
            "--folds takes 2 or more; for one split give a share, --cv 0.2", code="NB605"
        )
    if problem.is_classification and problem.groups is None:
        fewest = int(np.bincount(problem.y).min())
        folds = max(2, min(folds, fewest))
        if repeats > 1:
            return ms.RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
        return ms.StratifiedKFold(folds, shuffle=True, random_state=seed)
    if problem.groups is not None:
        if repeats > 1:
            raise InvalidOptionError(
                "--repeats does not go with --groups: give a splitter by --cv", code="NB605"
            )
        kind = ms.StratifiedGroupKFold if problem.is_classification else ms.GroupKFold
        return kind(folds, shuffle=True, random_state=seed)
    if repeats > 1:
        return ms.RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
    return ms.KFold(folds, shuffle=True, random_state=seed)


def _one_split(problem: Problem, share: float, seed: int) -> Any:
    if not 0 < share < 1:
        raise InvalidOptionError(
            f"--cv {share:g}: give a number of folds, or a share of the rows as 0.2", code="NB605"
        )
    if problem.groups is not None:
        return ms.GroupShuffleSplit(1, test_size=share, random_state=seed)
    kind = ms.StratifiedShuffleSplit if problem.is_classification else ms.ShuffleSplit
    return kind(1, test_size=share, random_state=seed)


def _describe(splitter: Any, folds: Sequence[Fold], n_rows: int) -> str:
    count = len(folds)
    if splitter is None:
        return f"{count} splits of your own"
    name = type(splitter).__name__
    if isinstance(splitter, ms.BaseShuffleSplit) and count == 1:
        return f"one split, {len(folds[0].score) / n_rows:.0%} of the rows score ({name})"
    shuffled = " (shuffled)" if getattr(splitter, "shuffle", None) else ""
    return f"{count} {'fold' if count == 1 else 'folds'} of {name}{shuffled}"
