"""What y says about the problem."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.problem import Task, read_problem

X = np.arange(80.0).reshape(40, 2)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        ([0, 1] * 20, Task.BINARY),
        (["no", "yes"] * 20, Task.BINARY),
        ([True, False] * 20, Task.BINARY),
        ([1.0, 2.0] * 20, Task.BINARY),
        ([1, 2, 3, 4] * 10, Task.MULTICLASS),
        (pd.Series(["a", "b"] * 20, dtype="category"), Task.BINARY),
        (np.linspace(0, 1, 40), Task.REGRESSION),
        (list(range(40)), Task.REGRESSION),
    ],
)
def test_the_kind_of_problem_is_found_from_y(y, task):
    assert read_problem(X, y).task is task


@pytest.mark.parametrize("form", [np.array, pd.DataFrame, list])
def test_a_single_column_is_a_target(form):
    assert read_problem(X, form([[number] for number in range(40)])).y.shape == (40,)


def test_labels_come_back_as_the_user_gave_them():
    problem = read_problem(X, ["no", "yes"] * 20)

    assert list(problem.labels[:2]) == ["no", "yes"]
    assert set(problem.y) == {0, 1}


def test_the_user_may_know_better_than_y():
    assert read_problem(X, [1, 2, 3, 4] * 10, task="regression").task is Task.REGRESSION


@pytest.mark.parametrize("y", [np.linspace(-3.185, 1, 40), np.repeat([0.5, 1.25], [39, 1])])
def test_numbers_with_fractions_are_no_classes_where_they_are_many_or_rare(y):
    with pytest.raises(InvalidOptionError, match=r"y is continuous, as .*: take a regressor and a --metric"):
        read_problem(X, np.arange(40, dtype=float), task="classification")
    with pytest.raises(InvalidOptionError, match=r"y is continuous, as .*: take a regressor and a --metric"):
        read_problem(X, y, task="classification")


def test_half_stars_may_be_classes():
    assert read_problem(X, [0.5, 1.0, 1.5, 2.0] * 10, task="classification").task is Task.MULTICLASS


def test_text_cannot_be_taken_for_numbers():
    with pytest.raises(InvalidOptionError, match="y holds text, which is classes: take a classifier and a"):
        read_problem(X, ["no", "yes"] * 20, task="regression")


def test_strings_and_categories_are_found_and_numbers_are_not():
    frame = pd.DataFrame({"a": [1.0, None] * 20, "b": ["x", "y"] * 20, "c": pd.Categorical([1, 2] * 20)})

    problem = read_problem(frame, [0, 1] * 20)

    assert problem.categorical == ("b", "c")
    assert "17 % missing" in problem.describe()


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (X, [0, 1], "40 rows"),
        (X, [0, None] * 20, "drop them"),
        (X, ["a"] * 40, "one class only"),
        (X, [0] * 39 + [1], "class 1 has one row"),
        (X, [0] * 40, "one class only, 0: there"),
        (X[:, 0], [0, 1] * 20, "reshape"),
        (np.where(X == 1, np.inf, X), [0, 1] * 20, "infinite"),
        (pd.DataFrame({"t": pd.date_range("2020", periods=40)}), [0, 1] * 20, "holds times"),
        (pd.DataFrame({"t": pd.to_timedelta(range(40), unit="D")}), [0, 1] * 20, "holds times"),
        (pd.DataFrame({"t": pd.date_range("2020", periods=40).date}), [0, 1] * 20, "holds times"),
        (pd.DataFrame({"t": pd.period_range("2020", periods=40, freq="D")}), [0, 1] * 20, "holds times"),
        (pd.DataFrame({"a": X[:, 0]}).replace(0.0, np.inf), [0, 1] * 20, "column 'a' holds infinite"),
        (pd.DataFrame({"a": X[:, 0]}).astype(object), [0, 1] * 20, "numbers as objects: X = X.infer_objects"),
        (np.array([[1.0, "a"]] * 40, dtype=object), [0, 1] * 20, "give a DataFrame"),
        ([[1.0, "a"]] * 40, [0, 1] * 20, "give a DataFrame"),
        (np.ma.masked_equal(X, 3), [0, 1] * 20, "filled"),
        (X[:0], [], "nothing to learn"),
        (X[:, :0], [0, 1] * 20, "nothing to learn"),
        (X, [1, "a"] * 20, "mixes text and numbers"),
        (X, [1j] * 40, "complex"),
        (X, X, "y has 2 columns: give one of them"),
        (X, pd.DataFrame(X), "y has 2 columns"),
        (X, X.tolist(), "y has 2 columns"),
        (X, np.ma.masked_equal(X[:, 0], 4), "y is missing in 1 row"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line_that_names_the_fix(X, y, says):
    with pytest.raises(InvalidOptionError, match=says) as caught:
        read_problem(X, y)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [-X[:, 0], X[:, 0] * np.nan, X[:, 0] * 0, ["heavy"] * 40])
def test_weights_are_numbers_from_0_on(weights):
    with pytest.raises(InvalidOptionError, match="sample_weight takes numbers from 0 on"):
        read_problem(X, [0, 1] * 20, sample_weight=weights)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ([1, None] * 20, "groups is missing in 20 rows: give each row a group"),
        (pd.Series([1.0, np.nan] * 20), "groups is missing in 20 rows"),
        (pd.array([1, pd.NA] * 20, dtype="Int64"), "groups is missing in 20 rows"),
        (pd.Series([1, "a"] * 20), r"groups mixes types: give it one, groups = pd.Series\(groups\).astype"),
        ([1, 2], "groups has 2 values for 40 rows"),
    ],
)
def test_each_row_has_a_group_and_all_are_of_one_type(groups, says):
    with pytest.raises(InvalidOptionError, match=says):
        read_problem(X, [0, 1] * 20, groups=groups)


def test_only_two_words_name_a_kind_of_problem():
    with pytest.raises(InvalidOptionError, match="classification or regression, not 'Regression'"):
        read_problem(X, [0, 1] * 20, task="Regression")


def test_numbers_in_an_array_of_objects_are_numbers():
    problem = read_problem(X.astype(object), [0, 1] * 20)
    assert (problem.X.dtype, problem.categorical) == (np.float64, ())


def test_rows_keep_the_index_that_they_came_with_and_the_frame_is_not_changed():
    frame = pd.DataFrame({1: range(40), "b": ["u", "v"] * 20}, index=np.arange(40)[::-1] // 2)
    problem = read_problem(frame, pd.Series([0, 1] * 20))
    assert problem.X.index.equals(frame.index)
    assert problem.take(np.array([3, 1])).X.index.tolist() == [18, 19]
    assert frame.columns.tolist() == [1, "b"]


@pytest.mark.parametrize(
    ("y", "task", "says"),
    [
        (np.full(40, 1.5), "regression", r"y is 1.5 in all rows: there is nothing to learn"),
        ([f"{k / 7:.3f}" for k in range(40)], None, r"y holds numbers as text: y = y.astype\(float\)"),
        ([Decimal(k) / 7 for k in range(40)], None, r"y holds numbers as objects: y = y.astype\(float\)"),
        (pd.date_range("2026-01-01", periods=40), None, "y holds times"),
        (pd.timedelta_range("1h", periods=40), "regression", "y holds times"),
    ],
)
def test_a_target_that_nothing_can_learn_is_refused_with_what_it_holds(y, task, says):
    with pytest.raises(InvalidOptionError, match=says):
        read_problem(X, y, task=task)


@pytest.mark.parametrize("held", [[1, 2], {"a": 1}, {3}])
def test_a_column_of_lists_is_refused_by_name(held):
    frame = pd.DataFrame({"a": range(40), "z": [held] * 40})
    with pytest.raises(InvalidOptionError, match="column 'z' holds lists or dicts"):
        read_problem(frame, [0, 1] * 20)


def test_a_frame_of_another_library_is_to_be_one_of_pandas():
    class Frame:
        def to_pandas(self):
            raise AssertionError

    with pytest.raises(InvalidOptionError, match=r"give X.to_pandas\(\)"):
        read_problem(Frame(), [0, 1] * 20)
