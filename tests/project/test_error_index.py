"""Every message has a code, every code its section, and every section its use."""

import ast
import functools
import pickle
import re
import traceback
from pathlib import Path

import pytest

from optuna_nb import errors

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"NB\d{3}")
SELF_CODED = {
    "TrialIdTakenError",
    "CommitUnansweredError",
}  # they hand their code to the base class themselves


@functools.cache
def package_trees():
    files = sorted((ROOT / "optuna_nb").rglob("*.py"))
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def error_names():
    """Every subclass of OptunaNBError, also those that ``errors.py`` would not know of."""
    classes = [node for tree in package_trees().values() for node in ast.walk(tree) if is_class(node)]
    names = {"OptunaNBError"}
    while True:
        more = {it.name for it in classes if names & {ast.unparse(base).split(".")[-1] for base in it.bases}}
        if more <= names:
            return names
        names |= more


def is_class(node):
    return isinstance(node, ast.ClassDef)


def made_errors():
    """Give (place, its codes) of every place that makes one of our errors; no code where it is forgotten."""
    known_errors = error_names() - SELF_CODED
    for path, tree in package_trees().items():
        imported = [it for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for it in node.names]
        ours = known_errors | {it.asname for it in imported if it.name in known_errors and it.asname}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            made = node.func if isinstance(node.func, (ast.Name, ast.IfExp)) else None
            is_one = made and any(isinstance(it, ast.Name) and it.id in ours for it in ast.walk(made))
            if is_one or (path.name == "errors.py" and is_super_init(node)):
                yield f"{path}:{node.lineno}", codes_of(node, tree)


def is_super_init(node):
    return ast.unparse(node.func) == "super().__init__" and len(node.keywords) == 1


def codes_of(call, tree):
    """The code that a call gives, or those that the variable it gives can hold."""
    given = next((it.value for it in call.keywords if it.arg == "code"), None)
    if isinstance(given, ast.Name):
        values = [it.value for it in ast.walk(tree) if isinstance(it, ast.Assign) and names(it) == [given.id]]
    else:
        values = [given] if given else []
    constants = {it.value for value in values for it in ast.walk(value) if isinstance(it, ast.Constant)}
    return {it for it in constants if CODE.fullmatch(str(it))}


def names(assignment):
    return [target.id for target in assignment.targets if isinstance(target, ast.Name)]


def sections():
    text = (ROOT / "optuna_nb" / "error_index.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^### (NB\d{3})\n(.+?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))


def test_every_error_that_is_made_has_a_code():
    made = dict(made_errors())

    assert len(made) > 150
    assert [place for place, codes in made.items() if not codes] == []


def test_every_code_has_a_section_and_every_section_a_code():
    used = {code for _, codes in made_errors() for code in codes}

    assert used == set(sections())


def test_every_section_says_in_a_sentence_what_it_is_and_then_what_to_do():
    for code, text in sections().items():
        assert re.match(r"\*\*[^*]+[.?]\*\* ", text.replace("\n", " ")), code
        assert len(text.split()) > 12, code


def test_sections_stand_in_order_and_once():
    text = (ROOT / "optuna_nb" / "error_index.md").read_text(encoding="utf-8")
    codes = re.findall(r"^### (NB\d{3})$", text, re.MULTILINE)

    assert codes == sorted(set(codes))


def test_a_message_stays_itself_and_the_code_stands_beside_it():
    error = errors.InvalidOptionError("no such flag", code="NB101")

    assert (str(error), error.code) == ("no such flag", "NB101")
    assert error.in_one_line() == "no such flag [NB101]"
    assert "[NB101]" in "".join(traceback.format_exception_only(error))


def test_an_error_comes_back_whole_from_a_pickle():
    stored = pickle.dumps(errors.ObjectiveError("no score", code="NB302"))
    error = pickle.loads(stored)  # noqa: S301 - our own bytes, as a process pool sends them

    assert (str(error), error.code) == ("no score", "NB302")
    assert "".join(traceback.format_exception_only(error)).count("[NB302]") == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("%tune bset churn", "NB106"),
        ("%%tune churn --trails 5\n1", "NB101"),
        ("%%tune churn --trials none\n1", "NB104"),
        ("%%tune churn\nreturn 1", "NB203"),
        ("%%tune churn\nx = 1", "NB205"),
    ],
)
def test_a_notebook_shows_the_code_at_the_end_of_the_line(line, code, capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    try:
        shell.run_cell("%load_ext optuna_nb")
        shell.run_cell(line)
        shown = capsys.readouterr()
        assert re.search(rf"^UsageError: .+ \[{code}\]$", shown.out + shown.err, re.MULTILINE)
    finally:
        shell.run_cell("%unload_ext optuna_nb")
        shell.history_manager.end_session()


def test_a_message_that_quotes_another_keeps_the_code_of_that_one():
    inner = errors.ObjectiveError("the score is NaN", code="NB305")
    outer = errors.ObjectiveError(f"trial 0 failed: {inner.in_one_line()}", code="NB301")

    assert outer.in_one_line() == "trial 0 failed: the score is NaN [NB305]"
