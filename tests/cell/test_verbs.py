"""The line of ``%tune``: verbs, their help, and mistakes."""

import pytest

from optuna_nb.cell.parser import HelpAsked
from optuna_nb.cell.verbs import VERBS, help_text, run_verb
from optuna_nb.errors import InvalidOptionError, StorageError

URL = "sqlite:///none.db"


@pytest.mark.parametrize("line", ["", "-h", "--help", "help", "  # only a comment"])
def test_without_a_verb_the_help_lists_them_all(line):
    with pytest.raises(HelpAsked) as asked:
        run_verb(line, URL)
    for verb in VERBS:
        assert f"%tune {verb} " in str(asked.value)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    with pytest.raises(HelpAsked) as asked:
        run_verb(f"{verb} -h", URL)
    assert VERBS[verb].about in str(asked.value)
    assert f"%tune {verb}" in str(asked.value)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("lst", "%tune has no verb lst; did you mean list?"),
        ("churn --trials 5", "write %%tune churn above it"),
        ("best", "%tune best needs the name of a study"),
        ("best churn --vlaue", "%tune best has no flag --vlaue"),
        ("best churn --storge x", "did you mean --storage?"),
        ("best churn fraud", "'fraud' is one word too many"),
        ("list churn", "'churn' is one word too many"),
        ("wait 'churn", "a quote is not closed"),
    ],
)
def test_a_mistake_is_refused_in_one_line_that_names_the_fix(line, part):
    with pytest.raises(InvalidOptionError) as caught:
        run_verb(line, URL)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if VERBS[verb].takes_name])
def test_a_verb_without_a_database_says_so_and_makes_no_file(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rest = {"delete": "--yes", "push": "sqlite:///there.db", "pull": "sqlite:///there.db"}
    with pytest.raises(StorageError):
        run_verb(f"{verb} churn {rest.get(verb, '')}", URL)
    assert list(tmp_path.iterdir()) == []


def test_the_help_fits_a_screen():
    assert max(map(len, help_text().splitlines())) <= 110
