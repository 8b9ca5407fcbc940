"""Whatever a user or a file brings comes back as it was, or is refused in one line; none of it is run."""

import json
import math
import os
import pickle
import re
import sqlite3
import warnings
from contextlib import closing

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from harness import lives
from optuna_nb.errors import ObjectiveError, StorageError, StudyNotFoundError
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning.score import read_score

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = [
    "Robert'); DROP TABLE trials; --",
    '" OR 1=1; /*',
    "%s %(x)s {x} ? :x",
    "a\0b",
    "\0",
    "",
    " ",
    "line\nbreak\r\ttab",
    "ÜBER 日本語 🦆 \u202e",
    "e\u0301",
    "<script>alert(1)</script>",
    "x" * 5000,
]
LONE = "\ud800"


@pytest.fixture
def study(storage):
    return optuna.create_study(storage=storage, study_name="s", sampler=optuna.samplers.RandomSampler(1))


def reopened(study, storage, path):
    """Return the trials as this process knows them and as a new one reads them, the same way."""
    known = [repr(trial) for trial in study.get_trials()]
    storage.release(study._study_id)
    again = StudyStorage(f"sqlite:///{path}")
    read = again.get_all_trials(study._study_id)
    again.close()
    assert [repr(trial) for trial in read] == known
    return read


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_any_text_is_a_name_of_anything_and_nothing_else(storage, path, word):
    before = tables(path)
    study = optuna.create_study(storage=storage, study_name=word)
    study.set_user_attr(word, word)
    trial = study.ask()
    trial.suggest_float(word, 0, 1)
    trial.suggest_categorical(f"{word}!", [word, "other"])
    trial.set_user_attr(word, {word: [word]})
    trial.storage.set_trial_system_attr(trial._trial_id, word, word)
    study.tell(trial, 1.0)
    (read,) = reopened(study, storage, path)
    assert set(read.params) == {word, f"{word}!"}
    assert read.user_attrs == {word: {word: [word]}}
    assert tables(path) == before
    reader = Reader(f"sqlite:///{path}", word)
    assert (reader.name, reader.snapshot().done) == (word, 1)
    reader.close()
    plain = optuna.load_study(study_name=word, storage=f"sqlite:///{path}")
    assert plain.user_attrs == {word: word}
    assert plain.best_params.keys() == read.params.keys()
    plain._storage.remove_session()


CANNOT_BE_STORED = {
    "half a character as a parameter": lambda study, trial: trial.suggest_float(LONE, 0, 1),
    "half a character as an attribute": lambda study, trial: trial.set_user_attr(LONE, 1),
    "a number as an attribute": lambda study, trial: trial.set_user_attr(1, 1),
    "half a character as an attribute of the study": lambda study, trial: study.set_user_attr(LONE, 1),
    "half a character as a parameter of another trial": lambda study, trial: study.add_trial(
        create_trial(value=1, params={LONE: 1}, distributions={LONE: IntDistribution(0, 2)})
    ),
    "half a character as an attribute of another trial": lambda study, trial: study.add_trial(
        create_trial(value=1, user_attrs={LONE: 1})
    ),
    "half a character as a new study": lambda study, trial: optuna.create_study(
        storage=study._storage, study_name=LONE
    ),
    "half a character as a study": lambda study, trial: optuna.load_study(
        storage=study._storage, study_name=LONE
    ),
    "half a character as a study to look at": lambda study, trial: Reader(
        str(study._storage.database.path), LONE
    ),
    "a large integer": lambda study, trial: trial.suggest_int("n", 0, 2**53),
    "a large integer below zero": lambda study, trial: trial.suggest_int("n", -(2**60), 0),
    "a large integer of another trial": lambda study, trial: study.add_trial(
        create_trial(value=1, params={"n": 2**53 + 1}, distributions={"n": IntDistribution(0, 2**60)})
    ),
    "a large step": lambda study, trial: trial.report(1.0, 2**63),
    "a large step of another trial": lambda study, trial: study.add_trial(
        create_trial(value=1, intermediate_values={2**64: 1.0})
    ),
    "a tuple as a choice": lambda study, trial: trial.suggest_categorical("c", [(1, 2), 3]),
    "a complex number as a choice": lambda study, trial: trial.suggest_categorical("c", [1j]),
    "a number of numpy as a choice": lambda study, trial: trial.suggest_categorical("c", [np.int64(1)]),
}


@pytest.mark.parametrize("what", CANNOT_BE_STORED)
def test_what_cannot_be_stored_is_refused_where_it_is_said_and_not_when_it_is_written(study, what):
    trial = study.ask()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Optuna's, about choices
        with pytest.raises(StorageError) as caught:
            CANNOT_BE_STORED[what](study, trial)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    study.tell(trial, 1.0)  # and nothing of it is left behind
    assert [(t.number, t.params, t.values) for t in study.trials] == [(0, {}, [1.0])]


@pytest.mark.parametrize(
    "value",
    [1j, "seven", "1.5", None, [1, "x"], {}, object(), True, b"1", 10**400, np.array([]), [[1.0]]],
    ids=lambda value: re.sub(" at 0x.*", "", repr(value)),
)
def test_a_value_that_is_no_score_is_named_before_it_reaches_the_study(value):
    with pytest.raises(ObjectiveError) as caught:
        read_score(value, ["minimize"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5e-324, -0.0, 0.1 + 0.2, 2.0**1023, 2**60 + 1])
def test_any_number_is_a_value_to_the_last_bit(study, storage, path, value):
    trial = study.ask()
    trial.report(value, 2**62)
    study.tell(trial, value)
    (read,) = reopened(study, storage, path)
    assert read.values[0].hex() == (float(value) + 0.0).hex()


def test_a_trial_whose_value_is_nan_fails_and_is_kept(study, storage, path):
    trial = study.ask()
    trial.report(math.nan, 1)
    with pytest.warns(UserWarning, match="not acceptable"):
        study.tell(trial, math.nan)
    (read,) = reopened(study, storage, path)
    assert read.state == TrialState.FAIL
    assert math.isnan(read.intermediate_values[1])


@quick
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_json_is_an_attribute(storage, path, value):
    study = optuna.create_study(storage=storage)
    study.set_user_attr("a", value)
    trial = study.ask()
    trial.set_user_attr("a", value)
    study.tell(trial, 0.0)
    (read,) = reopened(study, storage, path)
    expected = repr(json.loads(json.dumps(value)))
    assert repr(read.user_attrs["a"]) == repr(study.user_attrs["a"]) == expected


@quick
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.lists(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            min_size=1,
            max_size=4,
        ),
        max_size=6,
    )
)
def test_any_parameter_comes_back_as_it_was_drawn(storage, path, wanted):
    study = optuna.create_study(storage=storage)
    params, distributions = {}, {}
    for name, value in wanted.items():
        if isinstance(value, list):
            params[name], distributions[name] = value[-1], CategoricalDistribution(value)
        else:
            kind = FloatDistribution if isinstance(value, float) else IntDistribution
            params[name], distributions[name] = value, kind(min(value, 0), max(value, 0))
    study.enqueue_trial(params)
    trial = study.ask(distributions)
    study.tell(trial, 1.0)
    (read,) = reopened(study, storage, path)
    for name, value in params.items():
        got = read.params[name]
        if isinstance(wanted[name], float):
            assert got.hex() == (value + 0.0).hex()
        else:  # of choices that are equal, such as 1 and True, Optuna draws the first
            assert got == value or (math.isnan(got) and math.isnan(value))


def test_names_of_numpy_are_plain_texts(study, storage, path):
    for name in np.array(["alpha", "beta"]):
        trial = study.ask()
        trial.suggest_float(name, 0, 1)
        trial.set_user_attr(name, 1)
        study.tell(trial, np.float32(0.5))
    assert [list(t.params) for t in reopened(study, storage, path)] == [["alpha"], ["beta"]]


def test_large_integers_are_exact_as_choices_and_attributes(study, storage, path):
    large = [2**53 + 1, -(2**63) - 1, 10**40]
    trial = study.ask()
    drawn = trial.suggest_categorical("n", large)
    trial.set_user_attr("n", large)
    study.tell(trial, 1.0)
    (read,) = reopened(study, storage, path)
    assert read.params["n"] == drawn
    assert read.user_attrs["n"] == large


@pytest.mark.slow
def test_ten_thousand_parameters_and_ten_megabytes_are_stored(study, storage, path):
    trial = study.ask()
    for index in range(10_000):
        trial.suggest_float(f"p{index}", 0, 1)
    trial.set_user_attr("log", "ü" * 10_000_000)
    study.set_user_attr("log", "x" * 10_000_000)
    study.tell(trial, 1.0)
    (read,) = reopened(study, storage, path)
    assert (len(read.params), len(read.user_attrs["log"])) == (10_000, 10_000_000)


NAMES = [
    "a?b.db",
    "a%20b.db",
    "{}.db",
    "#.db",
    "a&mode=ro.db",
    "line\nbreak.db",
    " .db",
    "'.db",
    '".db',
    "ü🦆.db",
]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"not utf-8 \xff.db")], ids=ascii)
def test_any_file_name_is_that_of_the_file(tmp_path, name):
    path = tmp_path / name
    storage = StudyStorage(f"sqlite:///{path}")
    study = optuna.create_study(storage=storage, study_name="s")
    study.tell(study.ask(), 1.0)
    reader = Reader(f"sqlite:///{path}", "s")
    assert reader.snapshot().done == 1
    reader.close()
    storage.close()
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - as the names are


@pytest.mark.parametrize(
    "name",
    ["nul\0.db", f"{LONE}.db", "x" * 300, "x" * 5000, "", ":memory:", "~nobody_of_that_name/x.db"],
    ids=ascii,
)
@pytest.mark.parametrize("scheme", ["sqlite:///", ""])
def test_a_name_that_no_file_can_have_is_refused_in_one_line(name, scheme):
    for use in (StudyStorage, lambda url: Reader(url, "s")):
        with pytest.raises(StorageError) as caught:
            use(scheme + name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
        str(caught.value).encode()


@pytest.mark.parametrize("name", ["x@99999999999999999999", "x@-1", "x@", "@1", "@", "x@1@2", "x@\u0661"])
def test_a_version_that_is_not_there_is_not_found(study, path, name):
    with pytest.raises(StudyNotFoundError):
        Reader(f"sqlite:///{path}", name)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_in_a_file_is_never_run(path, tmp_path):
    flag = tmp_path / "it ran"
    bomb = pickle.dumps(Bomb(str(flag)))
    pickle.loads(bomb).close()  # the bomb works  # noqa: S301
    flag.unlink()
    study, storage = lives.open_study(str(path), "cmaes")
    storage.acquire(study._study_id)
    for _ in range(6):
        lives.one_trial(study, storage, "cmaes", lambda _: None)
    storage.close()
    with closing(sqlite3.connect(path)) as attacker, attacker:
        attacker.execute("DELETE FROM trial_commits")  # who writes pickles can also drop hashes
        attacker.execute("DELETE FROM trial_system_attributes WHERE key LIKE 'cma:%'")
        ids = [trial_id for (trial_id,) in attacker.execute("SELECT trial_id FROM trials")]
        for key in ("cma:optimizer:0", "anything"):
            rows = [(trial_id, key, json.dumps(bomb.hex())) for trial_id in ids]
            attacker.executemany(
                "INSERT INTO trial_system_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", rows
            )
            attacker.executemany(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", rows
            )
    reader = Reader(f"sqlite:///{path}", lives.NAME)
    assert reader.snapshot().done == 6
    reader.close()
    study, storage = lives.open_study(str(path), "cmaes")
    assert len(study.trials) == 6
    with pytest.raises(StorageError, match="damaged or hostile"):
        lives.one_trial(study, storage, "cmaes", lambda _: None)
    storage.close()
    assert not flag.exists()
