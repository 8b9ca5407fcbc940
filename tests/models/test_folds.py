"""Which rows a fold learns from and is scored on."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, TimeSeriesSplit

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.folds import apart, describe_holdout, make_folds, split_holdout
from optuna_nb.models.problem import read_problem

X = np.arange(240.0).reshape(120, 2)
Y = np.array([0, 0, 0, 1] * 30)


def test_classes_are_spread_evenly_and_every_row_scores_once():
    folds, text = make_folds(read_problem(X, Y), folds=5)

    assert text == "5 folds of StratifiedKFold (shuffled)"
    assert sorted(np.concatenate([fold.score for fold in folds])) == list(range(120))
    assert {int(Y[fold.score].sum()) for fold in folds} == {6}


def test_rows_of_a_group_stay_together_also_in_the_holdout():
    groups = np.repeat(np.arange(12), 10)
    problem = read_problem(X, Y, groups=groups)

    folds, _ = make_folds(problem, folds=3)
    kept, apart = split_holdout(problem, 0.25, seed=1)

    assert all(not set(groups[fold.train]) & set(groups[fold.score]) for fold in folds)
    assert not set(groups[kept]) & set(groups[apart])


@pytest.mark.parametrize(
    ("cv", "count"),
    [
        *((3, 3), (np.int64(3), 3), (0.25, 1), (np.float32(0.25), 1), (TimeSeriesSplit(4), 4)),
        ([(range(90), range(90, 120))], 1),
    ],
)
def test_cv_is_a_number_a_share_a_splitter_or_the_rows_themselves(cv, count):
    folds, _ = make_folds(read_problem(X, Y), cv)

    assert len(folds) == count


@pytest.mark.parametrize(
    ("cv", "share"),
    [
        (ShuffleSplit(1, random_state=0), "10%"),
        (ShuffleSplit(1, test_size=60, random_state=0), "50%"),
        (ShuffleSplit(1, train_size=0.75, random_state=0), "25%"),
        (ShuffleSplit(1, train_size=0.3, test_size=0.2, random_state=0), "20%"),
        (0.2, "20%"),
    ],
)
def test_one_split_says_which_share_of_the_rows_scores(cv, share):
    assert f"one split, {share} of the rows score" in make_folds(read_problem(X, Y), cv)[1]


def test_repeats_split_anew_and_the_seed_decides():
    problem = read_problem(X, Y)

    folds, _ = make_folds(problem, folds=2, repeats=3, seed=1)
    again, _ = make_folds(problem, folds=2, repeats=3, seed=1)
    other, _ = make_folds(problem, folds=2, repeats=3, seed=2)

    assert len(folds) == 6
    assert all((a.score == b.score).all() for a, b in zip(folds, again, strict=True))
    assert any((a.score != b.score).any() for a, b in zip(folds, other, strict=True))


@pytest.mark.parametrize(
    ("cv", "says"),
    [
        (1, "2 or more"),
        (1.5, "share of the rows"),
        ("five", "is text"),
        (KFold, r"KFold is a class: give what it makes, as KFold\(\)"),
        (iter(()), "make it anew, or give a list of it"),
        ([(range(10), range(10, 10**6))], "names row 999999 of"),
        ([(range(10), [])], "a row at least"),
        ([(np.ones(len(Y), dtype=bool), range(10))], "arrays of row numbers"),
        (KFold(3, shuffle=True), "KFold splits the rows otherwise each time: give it a seed"),
        (object(), "cannot be split"),
        (GroupKFold(3), "name them with --groups"),
        (ShuffleSplit(3), "random_state=0"),
    ],
)
def test_what_cannot_split_is_refused(cv, says):
    with pytest.raises(InvalidOptionError, match=says):
        make_folds(read_problem(X, Y), cv)


@pytest.mark.parametrize("wrong", [{"folds": 2.5}, {"repeats": 0}, {"folds": "3"}])
def test_folds_and_repeats_are_whole_numbers(wrong):
    with pytest.raises(InvalidOptionError, match="give a whole number, 1 or more"):
        make_folds(read_problem(X, Y), **wrong)


@pytest.mark.parametrize("share", [0.001, 0.9999, "0.2", 2])
def test_a_holdout_that_cannot_be_set_apart_is_refused(share):
    with pytest.raises(InvalidOptionError, match="--holdout"):
        split_holdout(read_problem(X, Y), share, 1)


class Before:
    """Learns from the first half of the rows and scores the second; or the other way round."""

    def __init__(self, *, turned):
        self.turned = turned

    def split(self, X, y=None, groups=None):
        halves = np.array_split(np.arange(len(X)), 2)
        yield tuple(halves[::-1] if self.turned else halves)


@pytest.mark.parametrize("cv", [TimeSeriesSplit(4), TimeSeriesSplit(2), Before(turned=False)])
def test_folds_that_look_ahead_have_a_holdout_that_does_so_too(cv):
    kept, held = split_holdout(read_problem(X, Y), 0.2, 1, cv)

    assert (kept.tolist(), held.tolist()) == (list(range(96)), list(range(96, 120)))
    assert describe_holdout(held, 120) == "the last 24 rows are held out and looked at once, at the end"


def test_a_gap_between_folds_is_left_before_the_holdout_too():
    kept, held = split_holdout(read_problem(X, Y), 0.2, 1, TimeSeriesSplit(3, gap=5))

    assert (kept.tolist(), held.tolist()) == (list(range(91)), list(range(96, 120)))


def test_a_fold_in_which_no_row_counts_is_refused():
    problem = read_problem(X, Y, sample_weight=np.repeat([0.0, 1.0], 60))
    with pytest.raises(InvalidOptionError, match="all rows that fold 1 of 2 scores have the weight 0"):
        make_folds(problem, KFold(2))


@pytest.mark.parametrize(
    "cv", [KFold(4, shuffle=True, random_state=1), [(np.arange(70), np.arange(70, 120))]]
)
@pytest.mark.filterwarnings("ignore:The groups parameter is ignored")
def test_folds_that_part_a_group_are_refused_with_the_group(cv):
    problem = read_problem(X, Y, groups=np.repeat([f"g{k}" for k in range(8)], 15))
    name = type(cv).__name__ if isinstance(cv, KFold) else "cv"
    with pytest.raises(
        InvalidOptionError, match=rf"^{name} puts rows of group 'g\d' on both sides .* as GroupKFold"
    ):
        make_folds(problem, cv)


@pytest.mark.parametrize("cv", [None, 5, 0.2, KFold(4), Before(turned=True), TimeSeriesSplit(500)])
def test_other_folds_have_a_holdout_from_anywhere(cv):
    kept, held = split_holdout(read_problem(X, Y), 0.2, 1, cv)

    assert held.min() < kept.max()
    assert describe_holdout(held, 120) == "24 rows are held out and looked at once, at the end"


def test_neighbours_of_one_group_go_to_a_later_holdout_together():
    problem = read_problem(X, Y, groups=np.repeat(np.arange(12), 10))

    assert split_holdout(problem, 0.2, 1, Before(turned=False))[1].tolist() == list(range(90, 120))
    with pytest.raises(InvalidOptionError, match="no row is left to learn from"):
        split_holdout(read_problem(X, Y, groups=np.ones(120)), 0.2, 1, Before(turned=False))


def test_rows_that_are_split_several_times_stay_apart_within_one_split():
    problem = read_problem(X, Y)
    folds, _ = make_folds(problem, folds=2, repeats=2, seed=1)

    assert apart(folds) == [[1], [0], [3], [2]]
    assert apart(make_folds(problem, folds=3)[0]) == [[1, 2], [0, 2], [0, 1]]
    assert apart([folds[0], folds[0]]) == [[1], [0]]  # none is apart: all others


def test_few_rows_are_split_thrice_where_nobody_says_otherwise():
    from optuna_nb.models.autotune import AutotuneOptions, prepare

    def count(**options):
        return len(prepare(AutotuneOptions(**{"model": "ridge", **options})).objective.evaluate.learner.folds)

    rng = np.random.default_rng(0)
    few, many = rng.normal(size=(90, 2)), rng.normal(size=(1_000, 2))
    assert count(X=few, y=few[:, 0]) == 15
    assert count(X=many, y=many[:, 0]) == 5
    wide = rng.normal(size=(500, 60))
    assert count(X=wide, y=wide[:, 0]) == 15
    assert count(X=wide, y=np.arange(500) % 2, model="logistic") == 15
    assert count(X=wide, y=np.arange(500) % 9, model="logistic") == 15
    assert count(X=wide, y=np.arange(500) % 9, model="catboost") == 5  # each trial costs too much
    assert count(X=few, y=few[:, 0], folds=4) == 4
    assert count(X=few, y=few[:, 0], cv=3) == 3
    assert count(X=few, y=few[:, 0], repeats=2) == 10
    assert count(X=few, y=few[:, 0], groups=np.arange(90) % 9) == 5
    assert count(X=few, y=few[:, 0], model="catboost") == 15


def test_models_that_are_compared_have_the_same_folds():
    from optuna_nb.cell.comparing import _prepared_alike
    from optuna_nb.models.autotune import AutotuneOptions

    def counts(models, y):
        return [it.n_folds for it in _prepared_alike(AutotuneOptions(model=models, X=wide, y=y))]

    wide = np.random.default_rng(0).normal(size=(500, 60))
    assert counts(["ridge", "random_forest"], wide[:, 0]) == [15, 15]
    assert counts(["catboost", "logistic"], np.arange(500) % 9) == [5, 5]
    assert counts(["random_forest", "logistic"], np.arange(500) % 9) == [15, 15]


def test_many_rows_are_split_once_where_nobody_says_otherwise_and_no_class_is_rare():
    from optuna_nb.models.autotune import AutotuneOptions, prepare

    def sizes(y, **options):
        prepared = prepare(AutotuneOptions(**{"model": "ridge", "X": X, "y": y, **options}))
        return [len(fold.score) for fold in prepared.objective.evaluate.learner.folds]

    X = np.random.default_rng(0).normal(size=(50_000, 2))
    rare = np.arange(50_000) < 900
    assert sizes(X[:, 0]) == [10_000]
    assert sizes(X[:, 0] > 0, model="logistic") == [10_000]
    assert sizes(rare, model="logistic") == [10_000] * 5
    assert sizes(X[:, 0], folds=4) == [12_500] * 4
    assert sizes(X[:, 0], repeats=2) == [10_000] * 10
    assert len(sizes(X[:-1, 0], X=X[:-1])) == 5
