"""A code that stands behind a message is explained where the user is."""

from __future__ import annotations

import pytest
from IPython.core.formatters import DisplayFormatter

import optuna_nb
from optuna_nb.cell.explain import sections
from optuna_nb.cell.verbs import run_verb
from optuna_nb.errors import InvalidOptionError


def test_the_verb_shows_the_section_of_the_code_as_markdown_and_as_plain_text():
    shown, _ = DisplayFormatter().format(run_verb("explain NB103", "sqlite:///unused.db"))
    assert shown.keys() == {"text/markdown", "text/plain"}
    for text in shown.values():
        assert text.startswith("NB103: **A quote is not closed.** The line has an odd number")
        assert "###" not in text


@pytest.mark.parametrize("written", ["NB402", "nb402", "[NB402]", " [nb402] "])
def test_a_code_may_be_copied_with_its_brackets_or_typed_small(written):
    assert optuna_nb.explain(written) == f"NB402: {sections()['NB402']}"


def test_an_unknown_code_is_refused_in_a_line_that_shows_a_right_one():
    with pytest.raises(InvalidOptionError, match=r"^there is no code NB999: take .* as NB101"):
        optuna_nb.explain("NB999")


def test_a_verb_without_its_code_says_what_it_needs():
    with pytest.raises(InvalidOptionError, match=r"needs a code, as `%tune explain NB101`"):
        run_verb("explain", "sqlite:///unused.db")


def test_each_code_has_its_own_text_alone():
    texts = sections().values()
    assert len(texts) > 70
    assert all(text.startswith("**") and "##" not in text for text in texts)
