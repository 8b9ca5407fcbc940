"""What counts as a score, and what a user is told when something else comes back."""
# ruff: noqa: PD011 - a Score has values, and is no table

import decimal
import fractions
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optuna_nb.errors import ObjectiveError
from optuna_nb.tuning.score import Score, read_score

ONE = ("minimize",)
TWO = ("minimize", "maximize")


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        np.float32(2),
        np.int8(2),
        np.array(2.0),
        np.array(2),
        decimal.Decimal(2),
        fractions.Fraction(4, 2),
        (2.0,),
        pd.Series([2.0])[0],
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}-{value}",
)
def test_any_number_is_a_score_and_becomes_a_plain_float(value):
    score = read_score(value, ONE)
    assert score == Score((2.0,), (), None)
    assert type(score.values[0]) is float


@pytest.mark.parametrize(
    "folds",
    [
        [1, 2.0, 6],
        np.array([1, 2, 6]),
        np.ma.masked_array([1, 2, 99, 6], mask=[False, False, True, False]),
        pd.Series([1.0, 2, 6], index=[7, 8, 9]),
        ([1, 2, 6],),
    ],
    ids=lambda value: type(value).__name__,
)
def test_folds_give_their_mean_and_are_all_kept(folds):
    score = read_score(folds, ONE)
    assert score.values == (3.0,)
    assert score.fold_scores == (1.0, 2.0, 6.0)
    assert {type(fold) for fold in score.fold_scores} == {float}
    assert score.std == pytest.approx(np.std([1, 2, 6]))  # of the whole population


@pytest.mark.slow  # needs torch, which the README's test command does not install
def test_a_tensor_is_read_without_its_gradient():
    torch = pytest.importorskip("torch")
    assert read_score(torch.tensor(2.0, requires_grad=True), ONE).values == (2.0,)
    assert read_score(torch.tensor([1.0, 3.0], requires_grad=True), ONE).values == (2.0,)


@given(st.floats(allow_nan=False))
def test_a_float_stays_the_same_bit_for_bit(value):
    assert read_score(value, ONE).values[0].hex() == value.hex()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_the_mean_is_that_of_numpy(folds):
    score = read_score(folds, ONE)
    assert score.values == (float(np.mean(folds)),)
    assert score.fold_scores == tuple(folds)


@pytest.mark.parametrize(
    "value", [(1, 2.0), [1, 2.0], np.array([1.0, 2.0])], ids=lambda value: type(value).__name__
)
def test_several_directions_take_one_value_each(value):
    assert read_score(value, TWO) == Score((1.0, 2.0), (), None)


def test_each_direction_may_have_folds():
    score = read_score(([1, 3], 5), TWO)
    assert score == Score((2.0, 5.0), (1.0, 3.0), None)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_a_score(value):
    assert read_score(value, ONE).values == (value,)
    assert read_score([1.0, value], ONE) == Score((value,), (1.0, value), None)


@pytest.mark.parametrize(
    ("value", "directions", "words"),
    [
        pytest.param(None, ONE, ["last expression is None", "end the cell with the score"], id="None"),
        pytest.param(None, TWO, ["last expression is None"], id="None for two"),
        pytest.param(math.nan, ONE, ["the score is NaN", "TrialPruned"], id="NaN"),
        pytest.param(np.array([1, np.nan]), ONE, ["fold 2 of the score is NaN"], id="NaN in a fold"),
        pytest.param((1.0, math.nan), TWO, ["value 2 of the score is NaN"], id="NaN in a direction"),
        pytest.param(
            ([1.0, math.nan], 1), TWO, ["fold 2 of value 1 of the score is NaN"], id="NaN in a fold of one"
        ),
        pytest.param(np.ma.masked, ONE, ["the score is NaN"], id="masked"),
        pytest.param(
            np.ma.masked_invalid([math.nan]).mean(), ONE, ["the score is NaN"], id="mean of nothing"
        ),
        pytest.param([np.ma.masked, 4.0], ONE, ["fold 1 of the score is NaN"], id="masked fold"),
        pytest.param((1.0, np.ma.masked), TWO, ["value 2 of the score is NaN"], id="masked value"),
        pytest.param(True, ONE, ["is True", "return the number"], id="bool"),
        pytest.param(np.True_, ONE, ["no number"], id="numpy bool"),
        pytest.param([True, False], ONE, ["fold 1"], id="bools"),
        pytest.param("0.9", ONE, ["a str '0.9'", "return a number"], id="text"),
        pytest.param(["0.9"], ONE, ["fold 1 of the score is a str"], id="text in a fold"),
        pytest.param(1j, ONE, ["a complex"], id="complex"),
        pytest.param({"auc": 1}, ONE, ["a dict", "return a number"], id="dict"),
        pytest.param({1.0}, ONE, ["a set"], id="set"),
        pytest.param(object(), ONE, ["an object"], id="object"),
        pytest.param(print, ONE, ["builtin_function"], id="function"),
        pytest.param([], ONE, ["the score is empty"], id="empty list"),
        pytest.param(np.array([]), ONE, ["the score is empty"], id="empty array"),
        pytest.param(np.ones((2, 3)), ONE, ["2 dimensions, (2, 3)"], id="matrix"),
        pytest.param(pd.DataFrame({"a": [1.0]}), ONE, ["2 dimensions"], id="table"),
        pytest.param([[1.0], [2.0]], ONE, ["fold 1 of the score is a list"], id="nested"),
        pytest.param(
            (1.0, 2.0), ONE, ["tuple of 2", "a list or an array of fold scores", "--direction"], id="tuple"
        ),
        pytest.param((), ONE, ["tuple of 0"], id="empty tuple"),
        pytest.param(1.0, TWO, ["is a float and the study has 2 directions", "tuple of 2"], id="one for two"),
        pytest.param((1.0, 2.0, 3.0), TWO, ["tuple of 3", "return a tuple of 2"], id="three for two"),
        pytest.param([math.inf, -math.inf], ONE, ["no mean"], id="both infinities"),
        pytest.param(10**400, ONE, ["too large"], id="huge"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_fix(value, directions, words):
    with pytest.raises(ObjectiveError) as error:
        read_score(value, directions)
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text
