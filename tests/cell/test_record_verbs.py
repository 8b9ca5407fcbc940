"""Records as a notebook sees them: metrics and events of a cell, and the verbs that ask."""

import sqlite3

import optuna
import pytest
from IPython.utils.capture import capture_output

import optuna_nb
from optuna_nb.cell.notebook import notebook_path
from optuna_nb.cell.steering import stored_study
from optuna_nb.errors import InvalidOptionError

CELL = "x = trial.suggest_float('x', -1, 1)\nprint('printed', x)\nx"


@pytest.fixture
def run(shell):
    shell.run_line_magic("load_ext", "optuna_nb")

    def run(text):
        with capture_output() as captured:
            result = shell.run_cell(text)
        run.result = result.result
        return captured.stdout + captured.stderr

    return run


def rows(sql):
    with sqlite3.connect("optuna_nb.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def test_a_cell_keeps_metrics_and_events_without_an_import(run):
    run(
        "%%tune bowl -n 3 --wait -q\n"
        "def loop():\n    for step in range(4):\n        log_metrics(step, auc=trial.number + step / 10)\n"
        "loop()\ntrial_event('exchange', step=2, temperature=0.5)\n" + CELL
    )
    metrics = optuna_nb.run_metrics("bowl")
    assert list(metrics["trial"]) == [0] * 4 + [1] * 4 + [2] * 4
    assert list(metrics["value"])[:4] == [0.0, 0.1, 0.2, 0.3]
    run("%tune runs --events bowl")
    events = run.result
    mine = events[events["kind"] == "exchange"]["payload"]
    assert list(mine) == [{"trial": n, "step": 2, "temperature": 0.5} for n in range(3)]
    assert list(events["kind"])[:2] == ["started", "worker joined"]


def test_a_step_interval_thins_metrics(run):
    run("%%tune bowl -n 1 --wait -q --step-interval 5\nfor i in range(10):\n    log_metrics(i, a=i)\n" + CELL)
    assert list(optuna_nb.run_metrics("bowl")["step"]) == [0, 5]
    ids = optuna_nb.runs()["id"]
    assert list(optuna_nb.run_metrics(ids[0])["step"]) == [0, 5]
    assert list(optuna_nb.compare_runs(ids[0]).columns) == [str(ids[0])]


def test_runs_that_are_longer_than_a_time_take_it_as_text_too(run):
    run("%%tune bowl -n 1 --wait -q\n" + CELL)
    assert len(optuna_nb.runs("bowl")) == 1
    assert len(optuna_nb.runs(longer_than="1h")) == len(optuna_nb.runs(longer_than=3600)) == 0
    with pytest.raises(InvalidOptionError, match="longer_than takes a time, as 90s"):
        optuna_nb.runs(longer_than="long")


def test_a_name_of_the_notebook_wins_over_ours(run):
    run("def log_metrics(n):\n    return n * 10")
    run("%%tune bowl -n 1 --wait -q\ntrial.suggest_float('x', 0, 1)\nlog_metrics(4)")
    assert optuna_nb.load("bowl").best_value == 40


def test_outside_of_a_trial_there_is_nothing_to_log():
    with pytest.raises(InvalidOptionError, match="works only in a trial"):
        optuna_nb.log_metrics(1, auc=0.5)
    with pytest.raises(InvalidOptionError, match="works only in a trial"):
        optuna_nb.trial_event("x")


@pytest.mark.parametrize(("before", "flag"), [("", "--no-log"), ("%config OptunaNB.capture = False", "")])
def test_what_trials_print_is_not_kept_where_that_is_turned_off(run, before, flag):
    run(before)
    assert "printed" not in run(f"%%tune bowl -n 2 --wait -q {flag}\n{CELL}")
    assert rows("SELECT count(*) FROM trial_logs") == [(0,)]
    run(f"%%tune other -n 2 --wait -q\n{CELL}")
    assert rows("SELECT count(*) FROM trial_logs") == [(2 if flag else 0,)]


def test_a_study_that_goes_on_from_its_stored_cell_keeps_what_its_line_said(run, shell):
    flags = "--no-log --experiment trees --model Tree --notes remark --tag red --tag blue"
    run(f"%%tune bowl -n 2 --wait -q {flags}\n{CELL}")
    _, options = stored_study(optuna_nb.load("bowl"), shell, 2)
    assert (options.keep_log, options.experiment, options.model) == (False, "trees", "Tree")
    assert (options.notes, options.tags) == ("remark", ("red", "blue"))


def test_runs_are_filtered_and_the_sql_is_printed(run):
    run(f"%%tune one -n 2 --wait -q --tag red --experiment e1 --model A --metric auc\n{CELL}")
    run(f"%%tune two -n 2 --wait -q --tag blue --experiment e2 --model B --maximize\n{CELL}")
    for line, names in (
        ("", ["two@1", "one@1"]),
        ("one", ["one@1"]),
        ("--tag red", ["one@1"]),
        ("--experiment e2", ["two@1"]),
        ("--model B --status completed", ["two@1"]),
        ("--metric auc --best", ["one@1"]),
        ("--longer-than 1h", []),
        ("--limit 1", ["two@1"]),
    ):
        out = run(f"%tune runs {line} --sql")
        assert list(run.result["study_name"]) == names, line
        assert [row[1] for row in rows(out.partition("Out[")[0])] == names
    run("%tune runs --by status")
    assert run.result.to_dict("list") == {"status": ["completed"], "runs": [2]}
    run("%tune runs --by model")
    assert list(run.result["model_type"]) == ["A", "B"]
    run("%tune compare one two")
    assert list(run.result.loc["model_type"]) == ["A", "B"]
    assert "n_iterations" not in run.result.index  # 2 trials each
    run("%tune compare one two --alike")
    assert list(run.result.loc["n_iterations"]) == [2, 2]
    assert "name two runs or more" in run("%tune compare one")
    run(f"%%tune one --more 1 --wait -q\n{CELL}")
    run("%tune runs --parents one")
    assert len(run.result) == 2


def test_runs_of_each_version_of_an_adopted_study_are_found_by_its_number(tmp_path):
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    study = optuna.create_study(study_name="opt", storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    first = optuna_nb.tune(
        lambda trial: trial.suggest_float("x", 0, 1), name="opt", trials=2, storage=url, wait=True
    )
    optuna_nb.tune(
        lambda trial: trial.suggest_float("x", 0, 1) + 1, name="opt", trials=3, storage=url, wait=True
    )
    for name, trials in (("opt@1", 1), ("opt@2", 3), ("opt", 3)):
        assert list(optuna_nb.runs(name, storage=url)["n_iterations"]) == [trials]
        assert optuna_nb.compare_runs(name, storage=url)[name]["n_iterations"] == trials
        assert len(optuna_nb.run_parents(name, storage=url)) == 1
    run_id = str(first.runs["id"][0])
    assert optuna_nb.compare_runs(run_id[:12], storage=url).loc["n_iterations"].tolist() == [1]


def test_deleting_an_experiment_says_what_goes_and_asks(run):
    run(f"%%tune one -n 2 --wait -q --experiment e1\n{CELL}")
    run(f"%%tune one --more 2 --wait -q --experiment e1\n{CELL}")
    run(f"%%tune two -n 2 --wait -q --experiment e2\n{CELL}")
    out = run("%tune delete --experiment e1 --with-study")
    assert (
        "experiment 'e1' with 1 model run, 2 tuning runs, 1 study with all trials for ever: add --yes" in out
    )
    assert len(optuna_nb.runs()) == 3
    run("%tune delete --experiment e1 --with-study --yes")
    run("%tune list")
    assert list(run.result["name"]) == ["two@1"]
    run("%tune delete --experiment e2 --yes")
    run("%tune list")
    assert list(run.result["name"]) == ["two@1"]
    for table in ("experiments", "model_runs", "tuning_runs", "run_events"):
        assert rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_a_notebook_is_found_by_what_its_editor_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jupyter = {"JPY_SESSION_NAME": "/n/churn.ipynb"}
    assert notebook_path({"__vsc_ipynb_file__": "/v/code.ipynb"}, jupyter) == "/v/code.ipynb"
    assert notebook_path({}, jupyter) == "/n/churn.ipynb"
    assert notebook_path({}, {"JPY_SESSION_NAME": "console-1"}) == notebook_path({}, {}) == str(tmp_path)


def test_each_notebook_is_an_experiment_of_its_own(run, monkeypatch):
    for notebook in ("/n/churn.ipynb", "/n/fraud.ipynb", "/n/churn.ipynb"):
        monkeypatch.setenv("JPY_SESSION_NAME", notebook)
        run(f"%%tune s -n 1 --wait -q\n{CELL}")
    assert rows("SELECT name, notebook FROM experiments ORDER BY name") == [
        ("churn", "/n/churn.ipynb"),
        ("fraud", "/n/fraud.ipynb"),
    ]
