"""The line magic ``%autotune``, and the verbs that know its studies."""

import contextlib

import optuna  # noqa: F401 - now: its log handler keeps the stderr of the moment, which must not be a test's
import pytest
from IPython.core.error import UsageError
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer, roc_auc_score
from sklearn.model_selection import KFold

from optuna_nb.cell.autotune_line import read_autotune
from optuna_nb.cell.parser import HelpAsked
from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.metrics import by_name
from optuna_nb.storage.reader import Reader


@pytest.fixture
def loaded(capsys, shell):  # in this order: the streams of capsys must outlive the shell
    shell.run_line_magic("load_ext", "optuna_nb")
    X, y = load_iris(return_X_y=True)
    shell.push({"X": X, "y": y})
    return shell


def test_one_line_tunes_and_best_model_predicts(loaded, capsys):
    loaded.run_line_magic(
        "autotune", "iris --model logistic -X X -y y --trials 4 --folds 3 --wait -q -o study"
    )

    assert "multiclass classification: 150 rows x 4 columns" in capsys.readouterr().out
    assert loaded.user_ns["study"].name == "iris@1"
    assert loaded.user_ns["study"].best_model.score(loaded.user_ns["X"], loaded.user_ns["y"]) > 0.9


def test_what_a_model_prints_is_not_kept_where_that_is_turned_off(loaded):
    class Chatty(LogisticRegression):
        def fit(self, X, y):
            print("printed")
            return super().fit(X, y)

    loaded.push({"chatty": Chatty(max_iter=1000), "space": {"C": (0.1, 1.0)}})
    loaded.run_line_magic("config", "OptunaNB.capture = False")
    line = "iris --model chatty -X X -y y --space space --trials 2 --folds 3 --wait -q -o study"
    loaded.run_line_magic("autotune", line)

    handle = loaded.user_ns["study"]
    with contextlib.closing(Reader(handle.storage, handle.name)) as reader:
        assert reader.numbers_with_log() == []


def test_running_it_again_adds_nothing(loaded, capsys):
    line = "iris --model logistic -X X -y y --trials 3 --folds 3 --wait -q"
    loaded.run_line_magic("autotune", line)
    loaded.run_line_magic("autotune", line)

    assert "iris@1 is finished: 3 of 3 done" in capsys.readouterr().out


def test_a_study_without_a_name_is_called_after_model_and_seed(loaded):
    loaded.run_line_magic("autotune", "--model ridge -X X -y y --trials 2 --seed 7 --wait -q -o study")

    assert loaded.user_ns["study"].name == "ridge_tuning_seed_7@1"


def test_best_prints_the_gain_and_with_code_the_model(loaded, capsys):
    loaded.run_line_magic(
        "autotune", "iris --model logistic -X X -y y --trials 3 --folds 3 --holdout 0.2 --wait -q"
    )
    capsys.readouterr()

    loaded.run_line_magic("tune", "best iris")
    shown = capsys.readouterr().out
    loaded.run_line_magic("tune", "best iris --code")

    assert "gain over library defaults" in shown
    assert "30 held-out rows: log_loss" in shown
    assert "model = make_pipeline(StandardScaler(), LogisticRegression(" in capsys.readouterr().out


def test_one_flag_moves_the_trials_into_processes_and_everything_else_stays(loaded, capsys):
    line = "iris --model logistic -X X -y y --folds 3 --wait -q -o study"
    loaded.run_line_magic("autotune", f"{line} --trials 4 --executor dask --jobs 2")
    study = loaded.user_ns["study"]
    assert (study.name, study.snapshot().done) == ("iris@1", 4)
    with contextlib.closing(Reader(study.storage, study.name)) as reader:
        assert reader.runs()[0].flags["executor"] == "dask"
    capsys.readouterr()

    loaded.run_line_magic("tune", "best iris --code")
    assert "LogisticRegression(" in capsys.readouterr().out
    loaded.run_line_magic("autotune", f"{line} --trials 5")
    assert "resumed iris@1: 4 of 5 done" in capsys.readouterr().out


def test_refine_is_a_verb(loaded, capsys):
    loaded.run_line_magic("autotune", "iris --model logistic -X X -y y --trials 3 --folds 3 --wait -q")
    loaded.run_line_magic("tune", "refine iris --param C --trials 3 --wait")

    assert "iris_refined@1 begins with 3 trials to go" in capsys.readouterr().out


def test_refine_works_from_the_stored_cell_in_a_kernel_that_never_ran_it(loaded, capsys):
    from optuna_nb.tuning import background

    loaded.user_ns["shift"] = 1.0
    loaded.run_cell_magic(
        "tune", "bowl --trials 3 --wait -q", "(trial.suggest_float('x', -5, 5) - shift) ** 2"
    )
    loaded.run_line_magic("autotune", "iris --model knn -X X -y y --trials 2 --folds 2 --wait -q")
    background.shut_down_all()  # as in a new kernel
    loaded.run_line_magic("tune", "refine bowl --wait")

    assert "bowl_refined@1 begins with 6 trials to go" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"run its line, %autotune iris \.\.\., again first"):
        loaded.run_line_magic("tune", "refine iris")
    del loaded.user_ns["shift"]
    background.shut_down_all()
    with pytest.raises(UsageError, match="bowl@1 needs shift"):
        loaded.run_line_magic("tune", "refine bowl")


def test_several_models_give_one_table(loaded, capsys):
    loaded.run_line_magic("autotune", "--model logistic,knn -X X -y y --trials 8 --folds 2 --wait -o found")

    assert list(loaded.user_ns["found"].table["model"]) == list(
        loaded.user_ns["found"].table.sort_values("log_loss")["model"]
    )
    said = capsys.readouterr().out
    assert [said.count(it) for it in ("150 rows x 4 columns", "metric log_loss", "search space ")] == [
        1,
        1,
        2,
    ]


def test_models_of_a_list_may_be_variables_and_a_function_of_scikit_learn_is_its_metric():
    names = {"rf": LogisticRegression(), "roc_auc_score": roc_auc_score, "f1_like": make_scorer(f1_score)}
    arguments, _ = read_autotune(
        "--model rf,knn -X X -y y --metric roc_auc_score", {**names, "X": 1, "y": 1}, ""
    )
    assert arguments["model"] == [names["rf"], "knn"]
    assert arguments["metric"] is roc_auc_score
    assert by_name(arguments["metric"]) == "roc_auc_score"
    arguments, _ = read_autotune("--model knn -X X -y y --metric f1_like", {**names, "X": 1, "y": 1}, "")
    assert arguments["metric"] is names["f1_like"]


def test_values_that_are_data_are_given_by_the_name_of_their_variable():
    splitter, mine = KFold(4), {"C": (0.1, 1.0)}
    arguments, _ = read_autotune(
        "a --model logistic -X X -y y --cv split --space mine --fix max_iter=50 --fix solver=saga",
        {"X": [1], "y": [2], "split": splitter, "mine": mine},
        "sqlite:///a.db",
    )

    assert (arguments["X"], arguments["cv"], arguments["space"]) == ([1], splitter, mine)
    assert arguments["fix"] == {"max_iter": 50, "solver": "saga"}
    assert read_autotune("--model knn --cv 0.2", {}, "")[0]["cv"] == 0.2
    assert read_autotune("--model a,b", {}, "")[0]["model"] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a -X X -y y", "--model xgboost"),
        ("a --model xgbost -X X -y y", "did you mean xgboost"),
        ("a --model knn -X Z -y y", "no variable Z"),
        ("a --model knn -X X -y y --cv five", "neither a number nor a variable"),
        ("a --model knn -X X -y y --fix C", "NAME=VALUE"),
        ("a --model knn -X X -y y --trails 5", "did you mean --trials"),
        ("best --model knn -X X -y y", "verb of %tune"),
        ("a --model knn -X X -y y --out 1a", "name of a variable"),
        ("a --model knn -X X -y y --cluster far", "there is no variable far; give tcp://host:8786"),
        ("a --model knn -X X -y y --executor dsk", "did you mean dask"),
        ("a --model knn -X X -y y --executor thread --cluster X", "--cluster is for --executor dask"),
        ("a --model knn -X X -y y --cluster X", "a ndarray is no cluster"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(loaded, line, says):
    with pytest.raises(UsageError, match=says) as caught:
        loaded.run_line_magic("autotune", line)
    assert "\n" not in str(caught.value)


def test_help_explains_every_flag():
    with pytest.raises(HelpAsked) as asked:
        read_autotune("-h", {}, "")
    assert "--holdout" in str(asked.value)


def test_a_study_of_a_cell_has_no_code_to_print(loaded):
    loaded.run_cell_magic("tune", "cell --trials 1 --wait -q", "trial.suggest_float('x', 0, 1)")

    with pytest.raises(UsageError, match="its own cell is the code"):
        loaded.run_line_magic("tune", "best cell --code")


def test_every_flag_of_autotune_is_in_its_reference():
    from pathlib import Path

    from optuna_nb.cell.autotune_line import autotune_parser

    page = Path(__file__).parents[2] / "docs" / "reference" / "autotune.md"
    text = page.read_text(encoding="utf-8")
    flags = [
        flag for flag in autotune_parser().flags() if f"`{flag}`" not in text and f"`{flag} " not in text
    ]
    assert flags == []


def test_a_bad_name_of_the_output_is_refused_before_anything_starts():
    with pytest.raises(InvalidOptionError, match="cannot be the name of a variable"):
        read_autotune("--model knn -o class", {}, "")


@pytest.mark.parametrize(
    ("before", "word"),
    [
        ("%autotune a --mo", "--model"),
        ("%autotune a --model xg", "xgboost"),
        ("%autotune a --model knn -X ", "X"),
        ("%autotune a --sampler cm", "cmaes"),
    ],
)
def test_tab_offers_flags_models_and_variables(loaded, before, word):
    from optuna_nb.cell.completion import candidates

    assert word in list(candidates(loaded, before, 0, before)[1])
