"""``%tune enqueue``, ``export``, ``import`` and ``doctor``, and the flags of durability, in a real shell."""

import errno
import json
import os
import re
import sqlite3
import urllib.request
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import optuna_nb
from optuna_nb.cell.autotune_line import read_autotune
from optuna_nb.cell.completion import candidates
from optuna_nb.cell.options import read_line
from optuna_nb.errors import InvalidOptionError, StudyNotFoundError

CELL = "x = trial.suggest_float('x', -1, 1)\nk = trial.suggest_categorical('kind', ['a', 'b'])\nx ** 2"


def test_the_flags_of_durability_reach_the_run(run):
    out = run(
        "%%tune bowl -n 9 --seed 1 --wait -q -o study --durability pooled --buffer-size 4 --flush-seconds 2"
        f" --synchronous normal --step-interval 3 --fix kind=b\n{CELL}"
    )
    assert "fixed: kind='b'" in out
    assert "9 trials in " in out
    study = run.shell.user_ns["study"]
    assert {t.params["kind"] for t in study.study.trials} == {"b"}
    flags = study.runs["config"].iloc[0]["flags"]
    assert (flags["durability"], flags["buffer_size"], flags["flush_seconds"]) == ("pooled", 4, 2)
    assert (flags["synchronous"], flags["step_interval"], flags["fix"]) == ("normal", 3, {"kind": "b"})


def test_a_study_without_parameters_says_how_to_ask_for_one(run):
    out = run("%%tune still -n 2 --wait -q\n0.5")
    assert "no trial asked for a parameter, as trial.suggest_int('depth', 2, 8) does" in out
    assert "no trial asked" not in run(f"%%tune bowl -n 2 --wait -q\n{CELL}")


def test_best_says_how_to_wait_while_nothing_has_completed(run):
    run("import threading\ngate = threading.Event()")
    run("%%tune slow -n 1 -q\ngate.wait(20)\ntrial.suggest_float('x', 0, 1)")
    assert "no trial has completed yet (0 finished); `%tune wait slow@1` waits for the end" in run(
        "%tune best slow"
    )
    run("gate.set()\n%tune wait slow")
    assert "best value" in run("%tune best slow")


def test_the_words_behind_fix_are_literals_or_text():
    options = read_line(
        "s --fix a=1 --fix b=0.5 --fix c=True --fix d=None --fix e=rbf --fix f=x=y --fix g=[1]", {}, "u"
    )
    expected = {"a": 1, "b": 0.5, "c": True, "d": None, "e": "rbf", "f": "x=y", "g": "[1]"}
    assert options.options.fix == expected
    assert read_line("s --fix none", {}, "u").options.fix == {}
    assert read_line("s", {}, "u").options.fix is None


def test_fix_means_the_same_in_a_cell_and_for_autotune():
    names = {"deep": 9, "share": np.float64(0.5), "rows": [1, 2], "a": 1}
    line = "--fix 'x =3' --fix y=deep --fix z=share --fix \"k='a'\" --fix free=text"
    expected = {"x": 3, "y": 9, "z": 0.5, "k": "a", "free": "text"}
    for fix in ("--fix none", line):
        of_cell = read_line(f"s {fix}", names, "u").options.fix
        of_autotune = read_autotune(f"s --model knn {fix}", names, "u")[0]["fix"]
        assert of_cell == of_autotune == ({} if fix == "--fix none" else expected)
    assert read_line("s --fix c=rows", names, "u").options.fix == {"c": "rows"}  # no trial has such a value
    assert read_autotune("s --model knn --fix c=rows", names, "u")[0]["fix"] == {"c": [1, 2]}


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("s --fix depth", "--fix takes NAME=VALUE"),
        ("s --fix =3", "--fix takes NAME=VALUE"),
        ("s --durability ends", "did you mean end?"),
        ("s --synchronous off", "take one of auto, normal, full"),
        ("s --buffer-size 0", "a whole number above 0"),
        ("s --flush-seconds 0", "a time above 0"),
        ("s --step-interval -1", "--step-interval"),
    ],
)
def test_a_mistake_in_a_flag_is_refused_in_one_line(line, part):
    with pytest.raises(InvalidOptionError) as caught:
        read_line(line, {}, "u")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_variable_holds_is_enqueued(run):
    run(f"%%tune bowl -n 2 --seed 1 --wait -q\n{CELL}")
    run("good = [{'x': 0.25}, {'x': 0.5, 'kind': 'a'}]")
    assert "2 parameter sets queued" in run("%tune enqueue bowl good")
    run(f"%%tune bowl -n 4 --wait -q -o study\n{CELL}")
    assert [t.params["x"] for t in run.shell.user_ns["study"].study.trials[2:]] == [0.25, 0.5]
    assert "did you mean good?" in run("%tune enqueue bowl goood", fails=True)
    assert "name the variable" in run("%tune enqueue bowl", fails=True)
    run("number = 3")
    assert "a dict of values" in run("%tune enqueue bowl number", fails=True)
    for written_out in ('{"x": 1.0, "k": 2}', "\"{'x': 1.0}\""):
        said = run(f"%tune enqueue bowl {written_out}", fails=True)
        assert (
            "takes the name of a variable: my_params = {...} in a cell, then `%tune enqueue bowl my" in said
        )


def test_a_study_is_exported_and_imported(run, tmp_path):
    run(f"%%tune bowl -n 6 --seed 1 --wait -q\n{CELL}")
    assert "wrote 3 trials of bowl@1 to best.json" in run("%tune export bowl best.json --top 3  # the best")
    assert len(json.loads((tmp_path / "best.json").read_text())["trials"]) == 3
    assert "name the file" in run("%tune export bowl", fails=True)
    run("%tune export bowl bowl.db")
    assert "imported dish@1: 6 trials" in run("%tune import bowl.db --name dish")
    assert "name what to import" in run("%tune import", fails=True)
    assert "is a verb of %tune" in run("%tune import bowl.db --name list", fails=True)
    Path("folder").mkdir()
    assert "folder is a folder: name a file in it" in run("%tune import folder", fails=True)
    assert "choose another name with --name" in run("%tune import bowl.db", fails=True)


def test_the_report_is_written_aside_below_home_and_by_the_handle(run, tmp_path, monkeypatch):
    run(f"%%tune bowl -n 2 --seed 1 --wait -q -o study\n{CELL}")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "wrote ~/report.html" in run("%tune export bowl ~/report.html")
    written = (tmp_path / "report.html").read_bytes()
    assert "wrote again.html" in run.shell.user_ns["study"].export("again.html")
    assert (tmp_path / "again.html").read_bytes() == written
    monkeypatch.setattr(Path, "replace", refuse)
    assert "cannot be written (No space left" in run("%tune export bowl ~/report.html", fails=True)
    assert (tmp_path / "report.html").read_bytes() == written
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".export")]
    assert "does not exist: create it" in run("%tune export bowl nowhere/report.html", fails=True)


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_study_gets_another_name_and_goes_on_under_it(run):
    run(f"%%tune bowl -n 6 --seed 1 --wait -q -o before\n{CELL}")
    run(f"%%tune bowl -n 4 --seed 1 --wait -q\n{CELL} + 1")
    assert "bowl@1, bowl@2 are now dish@1, dish@2: write dish above its cell" in run("%tune rename bowl dish")
    out = run(f"%%tune dish -n 9 --seed 1 --wait -q -o study\n{CELL}")
    assert "9/9" in out
    study, space = run.shell.user_ns["study"], run.shell.user_ns
    assert study.name == "dish@1"
    assert len(study.runs) == 2, "its records came with it"
    assert "there is no study 'bowl'" in run("%tune best bowl", fails=True)
    with pytest.raises(StudyNotFoundError, match="there is no study 'bowl@1'"):
        space["before"].snapshot()
    assert "dish@2 is now plate@1" in run("%tune rename dish@2 plate")
    assert list(space["study"].study.trials[0].params) == ["x", "kind"]
    run("table = %tune list")
    assert sorted(space["table"]["name"]) == ["dish@1", "plate@1"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("bowl", "say what it is to be called, as `%tune rename bowl new_name`"),
        ("bowl dish", "there is a study 'dish' already: choose another name"),
        ("bowl odd", "there is a study 'odd@1' already: choose another name"),
        ("bowl bowl", "there is a study 'bowl' already: choose another name"),
        ("bowl list", "is a verb of %tune"),
        ("bowl dish@3", "versions are counted for you"),
        ("bow bowl", "there is no study 'bow'"),
    ],
)
def test_a_name_that_a_study_cannot_get_is_refused_in_one_line(run, tmp_path, line, part):
    optuna.create_study(storage=f"sqlite:///{tmp_path}/optuna_nb.db", study_name="odd@1")
    for name in ("bowl", "dish"):
        run(f"%%tune {name} -n 2 --seed 1 --wait -q\n{CELL}")
    assert part in run(f"%tune rename {line}", fails=True)
    assert "2/2" in run(f"%%tune bowl -n 2 --wait -q\n{CELL}")


def test_a_study_of_plain_optuna_gets_another_name(run, tmp_path):
    url = f"sqlite:///{tmp_path}/optuna_nb.db"
    optuna.create_study(storage=url, study_name="old").add_trial(optuna.trial.create_trial(value=1.0))
    assert "old is now new" in run("%tune rename old new")
    assert optuna.study.get_all_study_names(url) == ["new"]


@pytest.fixture
def plain(tmp_path):
    """The file of a study of plain Optuna."""
    file = tmp_path / "optuna_nb.db"
    study = optuna.create_study(storage=f"sqlite:///{file}", study_name="old")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study._storage.remove_session()
    return file


def test_looking_at_a_study_of_plain_optuna_writes_nothing_into_its_file(run, plain):
    before = plain.read_bytes()
    for line in (
        *("best old", "show old", "trials old", "plot history old", "export old old.csv", "doctor old"),
        *("wait old", "list"),
    ):
        run(f"%tune {line}")
        assert plain.read_bytes() == before, line


@pytest.mark.slow
def test_the_dashboard_of_a_study_of_plain_optuna_writes_nothing_into_its_file(run, plain):
    before = plain.read_bytes()
    address = run("%tune dashboard old").split()[0]
    with urllib.request.urlopen(address) as page:  # noqa: S310 - of this machine
        assert page.status == 200
    assert plain.read_bytes() == before


def test_a_handle_on_a_study_of_plain_optuna_reads_without_writing(tmp_path):
    file = tmp_path / "old.db"
    study = optuna.create_study(storage=f"sqlite:///{file}", study_name="old", directions=["minimize"] * 2)
    study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 1 - trial.params["x"]), n_trials=3)
    study._storage.remove_session()
    before = file.read_bytes()
    handle = optuna_nb.load("old", storage=f"sqlite:///{file}")
    assert handle.best_values == [tuple(trial.values) for trial in study.best_trials]
    assert list(handle.trials_dataframe()["params_x"]) == list(study.trials_dataframe()["params_x"])
    assert file.read_bytes() == before


def test_a_trial_that_plain_optuna_left_running_shifts_no_number(tmp_path):
    url = f"sqlite:///{tmp_path}/old.db"
    study = optuna.create_study(storage=url, study_name="old")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.ask()
    study.add_trial(optuna.trial.create_trial(value=0.0))
    handle = optuna_nb.load("old", storage=url)
    assert handle.best_trial.number == study.best_trial.number == 2
    shown, known = handle.trials_dataframe(), study.trials_dataframe()
    assert list(shown["number"]) == list(known["number"]) == [0, 1, 2]
    assert list(shown["state"]) == list(known["state"])
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("DELETE FROM trials WHERE number = 1")
    connection.close()
    assert list(handle.trials_dataframe()["number"]) == [0, 2]
    assert handle.best_trial.number == 2


@pytest.fixture
def adopted(run, tmp_path):
    """A study of plain Optuna that went on here, and whose cell has changed since."""
    url = f"sqlite:///{tmp_path}/optuna_nb.db"
    optuna.create_study(storage=url, study_name="old").add_trial(optuna.trial.create_trial(value=1.0))
    for more in ("", " + 100"):
        run(f"%%tune old -n 3 --seed 1 --wait -q\n{CELL}{more}")
    return url


def test_of_an_adopted_study_the_version_that_was_named_is_renamed(run, adopted):
    assert "old is now solo" in run("%tune rename old@1 solo")
    assert sorted(optuna.study.get_all_study_names(adopted)) == ["old@2", "solo"]
    assert len(optuna.load_study(study_name="solo", storage=adopted).trials) == 3
    assert "5/5" in run(f"%%tune solo -n 5 --seed 1 --wait -q\n{CELL}")


def test_an_adopted_study_is_renamed_and_copied_with_all_versions(run, adopted, tmp_path):
    assert "old, old@2 are now new, new@2" in run("%tune rename old new")
    assert "new@2: best value 100" in run("%tune best new@2")
    run(f"%tune push new sqlite:///{tmp_path}/there.db")
    there = f"sqlite:///{tmp_path}/there.db"
    assert {n: len(optuna.load_study(study_name=n, storage=there).trials) for n in ("new", "new@2")} == {
        "new": 3,
        "new@2": 3,
    }


def test_a_version_of_an_adopted_study_is_shown_steered_and_read_by_its_number(run, adopted):
    assert "old@1: best value" in run("%tune best old@1")
    assert "old@1: best value 100" not in run("%tune best old@1")
    run("import optuna_nb\none = optuna_nb.load('old@1')\ntwo = optuna_nb.load('old')")
    one, two = run.shell.user_ns["one"], run.shell.user_ns["two"]
    assert (repr(one), repr(two)) == ("<Study 'old@1'>", "<Study 'old@2'>")
    assert (one.study.study_name, two.study.study_name) == ("old", "old@2")
    assert one.best_value < 50 < two.best_value
    assert (len(one.runs), len(two.runs)) == (1, 1)
    assert one.more(2).wait().snapshot().done == 5
    assert two.snapshot().done == 3


def test_a_study_that_takes_the_name_of_another_goes_on_with_its_own_code(run):
    run(f"%%tune first -n 2 --seed 1 --wait -q -o first\n{CELL} + 100")
    run(f"%%tune second -n 2 --seed 1 --wait -q\n{CELL}")
    run("%tune rename first archive\n%tune rename second first")
    run("import optuna_nb\ntaken = optuna_nb.load('first').more(2).wait()")
    assert max(t.value for t in run.shell.user_ns["taken"].study.trials) < 50
    run("kept = optuna_nb.load('archive').more(2).wait()")
    assert min(t.value for t in run.shell.user_ns["kept"].study.trials) >= 100


def test_a_study_that_runs_keeps_its_name(run):
    run("%%tune slow -n 99 -q\nimport time\ntime.sleep(0.05)\ntrial.suggest_float('x', 0, 1)")
    assert "slow@1 is running: %tune stop slow@1 first" in run("%tune rename slow fast", fails=True)
    run("%tune stop slow\n%tune wait slow")


def test_a_journal_in_place_of_a_database_names_the_command_that_imports_it(run, tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    optuna.create_study(storage=storage, study_name="old").add_trial(optuna.trial.create_trial(value=1.0))
    message = run(f"%%tune bowl -n 2 --storage sqlite:///journal.log\n{CELL}", fails=True)
    assert f"`%tune import {tmp_path / 'journal.log'}`" in message
    assert "imported old: 1 trials" in run("%tune import journal.log")
    assert "old: best value 1" in run("%tune best old")


def test_the_doctor_examines_and_mends(run, tmp_path):
    run(f"%%tune bowl -n 6 --seed 1 --wait -q\n{CELL}")
    assert run("%tune doctor bowl").startswith("bowl: all is well\n")
    connection = sqlite3.connect(tmp_path / "optuna_nb.db")
    connection.execute("UPDATE trial_values SET value = 0 WHERE trial_id = 3")
    connection.commit()
    connection.close()
    out = run("%tune doctor bowl")
    assert "bowl: 1 problem\n" in out
    assert "trial 2 is not what was written" in out
    assert "`%tune doctor bowl --repair`" in out
    out = run("%tune doctor bowl --repair")
    assert "bowl: all is well\n" in out
    assert "took out the damaged trials 2" in out
    assert (tmp_path / "optuna_nb.db.before-repair").exists()
    assert "6/6" in run(f"%%tune bowl -n 6 --seed 1 --wait -q -o study\n{CELL}")
    assert [t.number for t in run.shell.user_ns["study"].study.trials] == list(range(6))


def test_best_says_when_no_trial_keeps_its_constraints(run):
    run("%%tune never -n 3 --wait -q\ntrial.set_constraint('c', 1.0)\ntrial.suggest_float('x', 0, 1)")
    assert "no trial keeps its constraints yet (3 finished)" in run("%tune best never")


def test_tab_offers_the_new_words(run):
    run("good = [{'x': 1}]\none = {'x': 1}\nother = 3")

    def offered(text):
        return list(candidates(run.shell, text, 0, text)[1])

    assert {"good", "one"} <= set(offered("%tune enqueue bowl "))
    assert "other" not in offered("%tune enqueue bowl ")
    assert offered("%%tune bowl --durability ") == ["trial", "pooled", "end"]
    assert offered("%%tune bowl --synchronous ") == ["auto", "normal", "full"]
    assert "--repair" in offered("%tune doctor bowl --")
    assert {"--pareto", "--top"} <= set(offered("%tune export bowl f.csv --"))
    assert "--fix" in offered("%%tune bowl --")


def test_a_front_is_for_two_or_three_directions(run):
    run(f"%%tune bowl -n 2 --wait -q\n{CELL}")
    said = run("%tune plot pareto bowl", fails=True)
    assert "%tune plot pareto is for two or three directions, and bowl@1 has 1" in said


def test_a_plot_has_no_colour_of_the_page_and_no_width_of_its_own(run):
    run(f"%%tune bowl -n 3 --wait -q\n{CELL}")
    run("figure = %tune plot slice bowl")
    layout = run.shell.user_ns["figure"].layout
    assert (layout.width, layout.paper_bgcolor, layout.plot_bgcolor) == (None, *["rgba(0, 0, 0, 0)"] * 2)
    many = "sum(trial.suggest_float(f'x{k}', 0, 1) for k in range(9))"
    run(f"%%tune many -n 3 --wait -q\n{many}")
    run("figure = %tune plot slice many")
    assert run.shell.user_ns["figure"].layout.width > 1800  # nine of them would be too narrow on a page
    assert "there are contour, curves, edf, history, hypervolume" in run("%tune plot zzz bowl", fails=True)
    assert "plots: contour, curves, edf, history, hypervolume" in run("%tune plot", fails=True)


def test_a_plot_of_a_study_without_a_completed_trial_is_refused_in_one_line(run):
    run(f"%%tune bowl -n 1 --wait -q\nimport optuna\nraise optuna.TrialPruned\n{CELL}")
    said = run("%tune plot history bowl", fails=True)
    assert "%tune plot history shows completed trials, and bowl@1 has none yet" in said


def test_the_front_names_its_values(run):
    cell = "x = trial.suggest_float('x', 0, 1)\nx, 1 - x"
    run(f"%%tune two -n 2 --wait -q --direction maximize --direction minimize --metric gain,cost\n{cell}")
    assert re.search(r"\n  gain [\d.]+, cost [\d.]+ \(trial \d\): x=", run("%tune best two"))


def test_studies_with_and_without_a_total_are_listed_with_whole_numbers(run):
    run(f"%%tune bowl -n 1 --wait -q\n{CELL}")
    run("%tune list")
    assert str(run.result["target"].dtype) == "Int64"
    assert run.result["created_at"].dt.microsecond.tolist() == [0]


def test_trials_are_shown_without_what_the_sampler_notes(run):
    run(f"%%tune bowl -n 12 --wait -q -o study\n{CELL}")
    run("shown = %tune trials bowl")
    noted, shown = run.shell.user_ns["study"].trials_dataframe(), run.shell.user_ns["shown"]
    assert any(name.startswith("system_attrs_") for name in noted.columns)
    assert [name for name in noted.columns if not name.startswith("system_attrs_")] == list(shown.columns)


@pytest.mark.parametrize("line", ["resume bowl --more 5", "rename bowl bowls --yes"])
def test_a_flag_of_another_verb_is_not_taken_for_a_misspelt_one(run, line):
    assert "did you mean" not in run(f"%tune {line}", fails=True)
