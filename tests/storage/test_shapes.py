"""Parameters that are read by what trials share come to what they are one by one."""

import sqlite3

import optuna
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from optuna_nb.storage.shapes import Shape, distribution, params_by_trial
from optuna_nb.storage.studies import StudyStorage

KINDS = [
    FloatDistribution(-1e300, 1e300),
    FloatDistribution(1e-300, 1.0, log=True),
    IntDistribution(0, 3),
    CategoricalDistribution(("50 %", "%r", None, 'a"b')),
]
NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["%", "%r", "100%d", "'", "\\", "\n"]
)
VALUES = st.floats() | st.integers(0, 3) | st.none() | st.binary(max_size=3)


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(KINDS), VALUES), max_size=12))
def test_what_is_hashed_is_the_text_of_the_sorted_rows(params):
    rows = [(name, value, distribution_to_json(kind)) for name, (kind, value) in params.items()]
    shape = Shape(tuple(row[0] for row in rows), tuple(row[2] for row in rows))
    assert shape.row_text([row[1] for row in rows]) == repr(sorted(rows, key=lambda row: row[0]))


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(KINDS), st.integers(0, 3).map(float)), max_size=12))
def test_parameters_are_what_their_distributions_make_of_them_in_the_order_of_the_draws(params):
    shape = Shape(tuple(params), tuple(distribution_to_json(kind) for kind, _ in params.values()))
    read = shape.params([value for _, value in params.values()])
    expected = {name: kind.to_external_repr(value) for name, (kind, value) in params.items()}
    assert list(read.items()) == list(expected.items())
    assert [type(value) for value in read.values()] == [type(value) for value in expected.values()]
    assert shape.distributions == {name: kind for name, (kind, _) in params.items()}


@given(st.permutations([(trial, name) for trial in range(4) for name in "abc"]))
def test_trials_that_drew_at_the_same_time_are_told_apart(order):
    text = distribution_to_json(KINDS[0])
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE rows (trial, name, value, text)")
    rows = [(trial, name, float(trial * 10 + ord(name)), text) for trial, name in order]
    connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
    read = params_by_trial(connection.execute("SELECT * FROM rows ORDER BY rowid"))
    connection.close()
    assert {trial: form.params(values) for trial, (form, values) in read.items()} == {
        trial: {name: value for of, name, value, _ in rows if of == trial} for trial in range(4)
    }
    for trial, (form, values) in read.items():
        assert list(form.params(values)) == [name for of, name, _, _ in rows if of == trial]


def test_many_rows_are_read_in_full():
    connection = sqlite3.connect(":memory:")
    rows = connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)"
        " SELECT i / 5, 'x' || (i % 5), i * 1.0, ? FROM n",
        (distribution_to_json(KINDS[0]),),
    )
    read = params_by_trial(rows)
    connection.close()
    assert [value for _, values in read.values() for value in values] == [float(i) for i in range(2500)]


def test_no_trial_can_change_the_distributions_of_another(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    storage = StudyStorage(url)
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    storage.close()
    opened = StudyStorage(url)
    one, other = optuna.load_study(storage=opened, study_name="s").get_trials(deepcopy=False)
    one.distributions.clear()
    assert other.distributions == {"x": FloatDistribution(0.0, 1.0)}
    opened.close()


def test_a_distribution_is_read_once():
    text = distribution_to_json(IntDistribution(1, 7))
    assert distribution(text) is distribution(str(text.encode(), "utf-8")) == IntDistribution(1, 7)
