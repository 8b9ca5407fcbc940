"""The text of a cell becomes an objective, or is refused in one line."""

import linecache
import threading
import traceback

import pytest

from optuna_nb.cell.source import read_cell
from optuna_nb.errors import InvalidCellError


def read(shell, body, line="churn -n 3"):
    return read_cell(shell, line, body)


def run_in_thread(function, *args):
    result = []
    thread = threading.Thread(target=lambda: result.append(function(*args)))
    thread.start()
    thread.join(10)
    return result[0]


def test_the_last_expression_is_the_value(shell, trial):
    objective = read(shell, "x = trial.suggest_float('x', 0, 3)\nx ** 2\n")
    assert objective.evaluate(trial) == 4.0
    assert objective.code == "x = trial.suggest_float('x', 0, 3)\nx ** 2\n"


def test_a_comment_and_a_semicolon_behind_the_value_do_not_matter(shell, trial):
    assert read(shell, "trial.number + 1;  # the score\n\n# done\n").evaluate(trial) == 1


def test_shell_commands_and_line_magics_work_in_the_body(shell, trial):
    shell.run_line_magic("alias_magic", "env_again env")
    body = "%env_again OPTUNA_NB_TEST=7\nout = !echo 5\nint(out[0]) + int(%env OPTUNA_NB_TEST)\n"
    body = body.replace("int(%env OPTUNA_NB_TEST)", "7")
    assert run_in_thread(read(shell, body).evaluate, trial) == 12


def test_await_works_at_top_level_in_any_thread(shell, trial):
    body = "import asyncio\nawait asyncio.sleep(0)\nvalue = 3\nawait asyncio.sleep(0, value)\n"
    objective = read(shell, body)
    assert run_in_thread(objective.evaluate, trial) == 3
    assert run_in_thread(objective.evaluate, trial) == 3


def test_nothing_leaks_into_the_notebook(shell, trial):
    shell.run_cell("x = 1")
    before = dict(shell.user_ns)
    read(shell, "import json as leaked\nx = 5\ny = 6\nx + y").evaluate(trial)
    assert {k: v for k, v in shell.user_ns.items() if k in before} == before
    assert set(shell.user_ns) == set(before)


def test_each_trial_begins_with_the_names_of_the_start(shell, trial):
    shell.run_cell("count = 0")
    objective = read(shell, "count += 1\ncount")
    assert [objective.evaluate(trial) for _ in range(3)] == [1, 1, 1]


def test_rebinding_a_name_later_does_not_change_the_study(shell, trial):
    shell.run_cell("X = 10\ndef score():\n    return X * scale()\ndef scale():\n    return 2")
    objective = read(shell, "score() + X")
    shell.run_cell("X = 0\ndef scale():\n    return 99")
    assert objective.evaluate(trial) == 30


def test_trials_in_several_threads_do_not_see_each_other(shell):
    shell.run_cell("def mine():\n    return trial.number")
    objective = read(shell, "import time\ntime.sleep(0.01)\nmine() - trial.number")
    trials = [type("Trial", (), {"number": k})() for k in range(8)]
    found = []
    threads = [threading.Thread(target=lambda t=t: found.append(objective.evaluate(t))) for t in trials]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [0] * 8


def failing_lines(objective, trial):
    try:
        objective.evaluate(trial)
    except ZeroDivisionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [(frame.lineno, frame.line) for frame in frames if frame.name == "<module>"]
    pytest.fail("the cell should have failed")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("x = 1\n\n1 / 0", 4),
        ("\n\nx = 1\n1 / 0", 5),
        ("# a comment\n\n!true \\\n   && true\nx = 2\n1 / 0\n", 7),
    ],
)
def test_a_traceback_shows_the_line_as_counted_from_the_magic(shell, trial, body, line):
    assert failing_lines(read(shell, body), trial) == [(line, "1 / 0")]


def test_lines_above_the_magic_count_too(shell, trial):
    kept = []
    shell.register_magic_function(
        lambda line, cell: kept.append(read_cell(shell, line, cell)), "cell", "tune"
    )
    shell.run_cell("\n\n%%tune churn\nx = 1\n1 / 0\n", store_history=True)
    assert failing_lines(kept[0], trial) == [(5, "1 / 0")]


def test_ipython_shows_the_cell_and_its_line(shell, trial):
    objective = read(shell, "x = 1\n1 / 0")
    try:
        objective.evaluate(trial)
    except ZeroDivisionError as error:
        shown = "\n".join(shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__))
    assert "Cell In[1], line 3" in shown
    assert "----> 3 1 / 0" in shown


def test_the_cell_is_compiled_once(shell, trial):
    objective = read(shell, "1 + 1")
    before = len(linecache.cache)
    for _ in range(5):
        objective.evaluate(trial)
    assert len(linecache.cache) == before


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "the cell is empty"),
        ("  \n\n", "the cell is empty"),
        ("# only a comment\n", "only comments"),
        ("score = 1\n", "add `score` on a line of its own"),
        ("score: float = 1\n", "add `score` on a line of its own"),
        ("x = 1\nx += 1\n", "add `x` on a line of its own"),
        ("if True:\n    1\n", "ends with a statement (line 2)"),
        ("import os\n", "ends with a statement (line 2)"),
        ("x = 1\nreturn x\n", "`return` in line 3"),
        ("if True:\n    return 1\n1\n", "`return` in line 3"),
        ("%%time\nx = 1\nx\n", "take `%%time` (line 2) out"),
        ("x = 1\n%%time\nx\n", "take `%%time` (line 3) out"),
        ("x = 1\nx = = 2\nx\n", "SyntaxError in line 3: invalid syntax: `x = = 2`"),
        ("\n\nx = = 2\nx\n", "SyntaxError in line 4"),
        ("def f(:\n    pass\n1\n", "SyntaxError in line 2"),
        ("if True:\nx = 1\nx\n", "IndentationError in line 3"),
        ("x = 1\nyield x\n", "SyntaxError in line 3"),
        ("x = (1,\n", "SyntaxError in line 2"),
    ],
)
def test_a_body_that_cannot_be_an_objective_is_refused_in_one_line(shell, body, part):
    with pytest.raises(InvalidCellError) as caught:
        read(shell, body)
    message = str(caught.value)
    assert part in message
    assert "\n" not in message


def test_return_inside_a_function_of_the_cell_is_fine(shell, trial):
    assert read(shell, "def f():\n    return 4\n(lambda: f())()").evaluate(trial) == 4


def test_percent_signs_inside_a_string_are_not_a_magic(shell, trial):
    assert read(shell, 'text = """\n%%time\n"""\nlen(text)').evaluate(trial) == 8


def test_the_fingerprint_knows_the_code_and_not_its_comments(shell):
    first = read(shell, "x = 1\nx").fingerprint
    assert read(shell, "# more\nx  =  1  # and more\n\nx\n").fingerprint == first
    assert read(shell, "x = 2\nx").fingerprint != first


def test_the_fingerprint_does_not_depend_on_earlier_executions(shell):
    shell.run_cell("data = [1, 2]", store_history=True)
    first = read(shell, "len(data)").fingerprint
    shell.run_cell("data", store_history=True)
    assert read(shell, "len(data)").fingerprint == first


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ("model = SVC(C=1)\n1", "SVC"),
        ("model = svm.SVC(C=1)\n1", "SVC"),
        ("cross_val_score(Ridge(), X, y)", "Ridge"),
        ("model = make_pipeline(StandardScaler(), SVC())\n1", "SVC"),
        ("model = Pipeline([('scale', StandardScaler()), ('svc', SVC())])\n1", "SVC"),
        ("from xgboost import XGBClassifier\nmodel = XGBClassifier()\n1", "XGBClassifier"),
        ("model = BaggingClassifier(SVC())\n1", "BaggingClassifier"),
        ("x = trial.suggest_float('x', 0, 1)\nx", None),
        ("model = frozenset()\n1", None),
    ],
)
def test_the_type_of_the_model_is_read_from_the_cell(shell, body, model):
    shell.run_cell(
        "from sklearn import svm\nfrom sklearn.svm import SVC\nfrom sklearn.linear_model import Ridge\n"
        "from sklearn.pipeline import Pipeline, make_pipeline\n"
        "from sklearn.ensemble import BaggingClassifier\nfrom sklearn.preprocessing import StandardScaler"
    )
    assert read(shell, body).model == model


def test_large_results_of_a_trial_do_not_wait_for_the_garbage_collector(shell, trial):
    import gc
    import weakref

    shell.run_cell("class Big:\n    pass\nborn = []\ndef helper():\n    return model")
    shell.user_ns["weakref"] = weakref
    objective = read(shell, "model = Big()\nborn.append(weakref.ref(model))\nhelper() is model")
    gc.disable()
    try:
        assert objective.evaluate(trial) is True
        assert shell.user_ns["born"][0]() is None
    finally:
        gc.enable()
