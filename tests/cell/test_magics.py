"""The magics with the real tuning behind them: start, wait, look, steer, delete."""

import re
import time

from optuna_nb.cell.view import WaitInterruptedError

CELL = "x = trial.suggest_float('x', -1, 1)\nx ** 2"


def test_a_cell_is_tuned_and_its_handle_is_bound(run):
    out = run(f"%%tune bowl -n 12 --seed 1 --wait -q -o study\n{CELL}")
    assert run.result is None
    assert "bowl@1 completed 12/12" in out
    study = run.shell.user_ns["study"]
    assert study.name == "bowl@1"
    assert len(study.trials_dataframe()) == 12


def test_running_the_cell_again_adds_nothing_and_more_adds(run):
    run(f"%%tune bowl -n 5 --seed 1 --wait -q\n{CELL}")
    assert "5/5" in run(f"%%tune bowl -n 5 --seed 1 --wait -q\n# again\n{CELL}")
    assert "8/8" in run(f"%%tune bowl --more 3 --wait -q\n{CELL}")


def test_every_run_prints_its_note(run):
    run(f"%%tune bowl -n 3 --wait -q\n{CELL}")
    out = run(f"%%tune bowl -n 6 --wait -q\n{CELL}")
    assert "3 of 6 done" in out
    out = run(f"%%tune bowl -n 3 --wait -q\n{CELL} + 1")
    assert "bowl@2" in out
    assert "cell" in out


def test_without_quiet_the_panel_is_shown(run):
    assert "bowl@1" in run(f"%%tune bowl -n 2\n{CELL}")
    run("%tune wait bowl")
    assert "bowl@1 completed 2/2" in run("%tune show bowl")


def test_the_verbs_look_at_a_study(run):
    run(f"%%tune bowl -n 4 --seed 1 --metric depth --wait -q\n{CELL}")
    out = run("%tune best bowl")
    assert out.startswith("bowl@1: best depth ")
    assert "  x  " in out
    run("%tune list")
    assert list(run.result["name"]) == ["bowl@1"]
    run("%tune trials bowl@1")
    assert len(run.result) == 4
    run("%tune runs bowl")
    assert len(run.result) == 1


def test_the_best_of_two_directions_is_the_pareto_front(run):
    run(
        "%%tune two -n 6 --seed 1 --direction minimize --direction maximize --wait -q\n"
        "x = trial.suggest_float('x', 0, 1)\n(x, x)"
    )
    out = run("%tune best two")
    assert "trials that no other beats, minimize and maximize" in out
    assert len(out.strip().splitlines()) == 7


def test_the_best_of_a_long_pareto_front_says_how_many_more_there_are(run):
    run(
        "%%tune two -n 13 --seed 1 --direction minimize --direction maximize --wait -q\n"
        "x = trial.suggest_float('x', 0, 1)\n(x, x)"
    )
    lines = run("%tune best two").strip().splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 3 more: %tune export two@1 front.csv --pareto"


def test_a_study_pauses_resumes_and_stops(run):
    run(f"%%tune slow -n 1000 -q -o study\nimport time\ntime.sleep(0.01)\n{CELL}")
    study = run.shell.user_ns["study"]
    assert "`%tune resume slow` goes on" in run("%tune pause slow")
    time.sleep(0.3)
    done = study.snapshot().done
    time.sleep(0.3)
    assert study.snapshot().done == done
    run("%tune resume slow")
    end = time.monotonic() + 10
    while study.snapshot().done == done and time.monotonic() < end:
        time.sleep(0.02)
    assert study.snapshot().done > done
    assert "stops after the trials in flight" in run("%tune stop slow")
    assert "slow@1 stopped" in run("%tune wait slow")


def test_an_interrupted_wait_says_so_in_one_line_and_stops_nothing(run, monkeypatch):
    run(f"%%tune slow -n 1000 -q -o study\nimport time\ntime.sleep(0.01)\n{CELL}")
    study = run.shell.user_ns["study"]

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(study), "wait", interrupted)
        result = run.shell.run_cell("%tune wait slow")
    assert isinstance(result.error_in_exec, WaitInterruptedError)
    assert result.error_in_exec._render_traceback_() == [
        "Interrupted the wait: tuning goes on in the background; `%tune stop slow` ends it."
    ]
    assert study.is_running
    run("%tune stop slow")
    run("%tune wait slow")


def test_an_error_in_the_first_trial_is_one_line_with_the_cells_own_line(run):
    err = run("%%tune broken -n 3 --wait -q\nx = 1\nx / 0", fails=True)
    assert err.startswith("UsageError: ")
    assert "ZeroDivisionError" in err
    assert "line 3: x / 0" in err
    assert len(err.strip().splitlines()) == 1


def test_what_a_trial_prints_and_displays_does_not_reach_the_cell(run):
    out = run(f"%%tune loud -n 3 --wait -q\nprint('noise')\ndisplay('noise')\n!echo noise\n{CELL}")
    assert "noise" not in out


def test_a_study_is_deleted_after_a_yes(run):
    run(f"%%tune bowl -n 2 --wait -q\n{CELL}")
    assert "add --yes, `%tune delete bowl --yes` [" in run("%tune delete bowl", fails=True)
    run("%tune push bowl 'sqlite:///their own.db'")
    elsewhere = "%tune delete bowl --storage 'sqlite:///their own.db'"
    assert f"add --yes, `{elsewhere} --yes` [" in run(elsewhere, fails=True)
    assert run(f"{elsewhere} --yes") == "deleted bowl@1\n"
    assert run("%tune delete bowl --yes") == "deleted bowl@1\n"
    assert "UsageError" in run("%tune best bowl", fails=True)


def test_unloading_stops_what_is_being_tuned(run):
    run(f"%%tune slow -n 1000 -q -o study\nimport time\ntime.sleep(0.01)\n{CELL}")
    run.shell.extension_manager.unload_extension("optuna_nb")
    assert not run.shell.user_ns["study"].is_running


def test_a_handle_shows_its_panel(run):
    run(f"%%tune bowl -n 2 --wait -q -o study\n{CELL}")
    assert "bowl@1 completed 2/2" in run("study")


def test_a_change_of_folder_does_not_move_the_database(run, tmp_path, monkeypatch):
    run("%%tune moved --trials 2 --wait -q\ntrial.suggest_float('x', 0, 1)")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = run("%%tune moved --trials 2 --wait -q\ntrial.suggest_float('x', 0, 1)")
    assert "is finished" in again
    assert not list((tmp_path / "elsewhere").iterdir())


def test_an_error_in_a_function_of_another_cell_names_the_line_of_both(run):
    run("def score(table, depth):\n    return table[depth]")
    message = run("%%tune bowl -n 2 --wait -q\nn = trial.suggest_int('n', 3, 9)\nscore({}, n)", fails=True)
    assert re.search(
        r"KeyError: \d \(line 3: score\({}, n\); in score, line 2: return table\[depth\]\)", message
    )
    message = run("%%tune dish -n 2 --wait -q\nn = trial.suggest_int('n', 3, 9)\n{}[n]", fails=True)
    assert re.search(r"KeyError: \d \(line 3: {}\[n\]\)", message)
