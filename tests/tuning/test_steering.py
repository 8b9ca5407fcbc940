"""Verbs reach the run that is meant: one that stops or ends, in another process, of another version."""

import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import replace

import optuna
import pytest

from harness.gate import Gate
from harness.waiting import until
from optuna_nb.display.tabs import code
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.errors import (
    InvalidOptionError,
    LockedStudyError,
    ObjectiveError,
    StorageError,
    StudyNotFoundError,
)
from optuna_nb.records import Objective, StudyState, TuneOptions
from optuna_nb.storage import reader
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.server import place
from optuna_nb.storage.sources import read_studies
from optuna_nb.tuning import api, background
from optuna_nb.tuning.control import Control
from optuna_nb.tuning.keeper import Keeper
from optuna_nb.tuning.runner import Runner
from optuna_nb.tuning.waiting import until_heard

ELSEWHERE = """
import sys, time
import optuna_nb
def slow(trial):
    time.sleep(0.05)
    return trial.suggest_float("x", 0, 1)
optuna_nb.tune(slow, name="s", trials=500, storage=sys.argv[1], wait=True)
"""


def draw(low):
    return lambda trial: trial.suggest_float("x", low, low + 1)


def make(evaluate, fingerprint="1"):
    return Objective(evaluate, f"code {fingerprint}", {"cell": fingerprint}, "Draw")


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=6, seed=1)


@pytest.fixture
def stopping(options):
    """A study that was stopped in its first trial, which ends soon."""
    gate = Gate()
    handle = api.start(make(gate), options)
    assert gate.reached.wait(10)
    handle.stop()
    threading.Timer(0.3, gate.opened.set).start()
    return gate, handle


def test_a_cell_that_runs_again_while_its_study_stops_goes_on(stopping, options):
    assert api.start(make(stopping[0]), options).wait().snapshot().done == 6


def test_a_study_that_stops_is_resumed(stopping):
    assert stopping[1].resume().wait().snapshot().done == 6


def test_more_trials_are_not_lost_while_a_study_stops(stopping):
    assert stopping[1].more(3).wait().snapshot().done == 9  # six were to come


def test_changed_code_goes_on_in_the_same_version_after_the_trial_in_flight(stopping, options):
    handle = api.start(make(draw(5), "2"), replace(options, continue_old=True)).wait()
    assert handle.name == "s@1"
    assert [t.value >= 5 for t in handle.study.trials] == [False] + [True] * 5


def test_a_trial_in_flight_that_takes_too_long_is_named(options, monkeypatch):
    monkeypatch.setattr(background, "ENDING_SECONDS", 0.1)
    gate = Gate()
    handle = api.start(make(gate), options)
    assert gate.reached.wait(10)
    handle.stop()
    with pytest.raises(LockedStudyError, match="s@1 is ending, and its last trial"):
        api.start(make(gate), options)
    gate.opened.set()
    handle.wait()


def test_a_run_takes_a_new_target_until_it_says_that_it_takes_none():
    control = Control(3)
    assert control.set_target(5)
    assert not control.close_unless(lambda: True)
    assert control.set_target(6)
    assert control.close_unless(lambda: False)
    assert not control.set_target(7)
    assert control.target == 6


def test_time_in_which_no_trial_can_run_counts_once_and_from_its_beginning():
    control = Control(3)
    began = time.monotonic()
    for _ in range(3):  # a pause, and meanwhile a cluster that is gone
        control.note_standstill(lambda: True)
    time.sleep(0.1)
    assert 0.1 <= control.paused_seconds <= time.monotonic() - began
    control.note_standstill(lambda: False)
    paused = control.paused_seconds
    control.note_standstill(lambda: False)
    assert 0.1 <= control.paused_seconds == paused <= time.monotonic() - began


def test_more_trials_are_asked_for_while_the_winner_is_fitted(options):
    fitted, ending = threading.Event(), threading.Event()

    def finish(study):
        ending.set()
        assert fitted.wait(60)

    objective = replace(make(draw(0)), finish=finish)
    handle = api.start(objective, options)
    assert ending.wait(10)
    threading.Timer(0.2, fitted.set).start()
    assert api.start(objective, replace(options, trials=8)).wait().snapshot().done == 8
    assert handle.snapshot().done == 8


def test_a_cell_that_runs_again_while_the_winner_of_its_time_is_fitted_says_so(options):
    fitted, ending = threading.Event(), threading.Event()

    def finish(study):
        ending.set()
        assert fitted.wait(60)

    timed = replace(options, trials=None, timeout=0.1)
    objective = replace(make(draw(0)), finish=finish)
    handle = api.start(objective, timed)
    assert ending.wait(10)
    assert "s@1 is ending" in api.start(objective, timed).note
    fitted.set()
    before = handle.wait().snapshot().done
    assert api.start(objective, timed).wait().snapshot().done > before


def test_more_trials_are_asked_for_while_a_finished_study_is_looked_at_again(options):
    fitted, ending = threading.Event(), threading.Event()
    fitted.set()

    def finish(study):
        ending.set()
        assert fitted.wait(60)

    objective = replace(make(draw(0)), finish=finish)
    api.start(objective, options).wait()
    fitted.clear()
    ending.clear()
    handle = api.start(objective, options)
    assert ending.wait(10)
    threading.Timer(0.2, fitted.set).start()
    assert handle.more(2).wait().snapshot().done == 8


def test_a_target_that_comes_at_the_moment_at_which_a_study_is_found_finished_is_heard(options, monkeypatch):
    api.start(make(draw(0)), options).wait()
    monkeypatch.setattr(Runner, "_is_complete", lambda self: self._control.set_target(8))
    assert api.start(make(draw(0)), options).wait().snapshot().done == 8


def test_a_target_that_comes_just_after_a_last_trial_that_failed_is_heard(options, monkeypatch):
    def evaluate(trial):
        if trial.number == options.trials - 1:
            raise ValueError("odd")
        return trial.suggest_float("x", 0, 1)

    work = Runner._work_in_threads

    def work_and_ask(runner):
        work(runner)
        runner._control.set_target(8)

    monkeypatch.setattr(Runner, "_work_in_threads", work_and_ask)
    assert api.start(make(evaluate), options).wait().snapshot().done == 8


def test_a_study_without_a_limit_that_stops_takes_more_trials_after_that(options):
    gate = Gate()
    handle = api.start(make(gate), replace(options, trials=None, timeout=60))
    assert gate.reached.wait(10)
    handle.stop()
    threading.Timer(0.3, gate.opened.set).start()
    assert handle.more(3).wait().snapshot().done == 4


def test_code_that_another_process_put_in_its_place_is_not_mixed_with_ours(options):
    handle = api.start(make(draw(0)), options).wait()
    own = background.find(place(options.storage), "s@1")
    api.delete("s", options.storage)
    api.start(make(draw(5), "2"), options).wait()
    background.remember(place(options.storage), "s@1", own)  # as it is where another process did that
    with pytest.raises(InvalidOptionError, match="s@1 has other code by now"):
        handle.more(2)


def test_a_study_without_a_limit_takes_more_trials_as_it_is(options):
    gate = Gate()
    handle = api.start(make(gate), replace(options, trials=None, timeout=60))
    assert handle.more(2) is handle
    gate.opened.set()
    until(lambda: handle.snapshot().done > 2)
    handle.stop()
    handle.wait()


def test_running_a_finished_cell_again_leaves_another_version_alone(options):
    gate = Gate()
    gate.opened.set()
    api.start(make(gate), replace(options, trials=1)).wait()
    new = make(draw(5), "2")
    api.start(new, options).wait()
    gate.opened.clear()
    old = api.load("s@1", options.storage).more(2)
    assert api.start(new, options).wait().name == "s@2"
    gate.opened.set()
    assert old.wait().snapshot().done == 3


def test_a_kernel_that_ran_a_study_once_steers_the_process_that_runs_it_now(options):
    api.start(make(draw(0)), options).wait()
    handle = api.load("s", options.storage)
    program = ELSEWHERE.replace("trials=500", "trials=500, continue_=True")
    with subprocess.Popen([sys.executable, "-c", program, options.storage]) as other:
        try:
            until(lambda: handle.snapshot().state.is_active and handle.is_running, 30)
            handle.more(7)
            until(lambda: handle.snapshot().target == 507)
            with pytest.raises(TimeoutError):
                handle.wait(0.3)
            assert handle.stop()
            handle.wait(20)
            assert other.wait(20) == 0
        finally:
            other.kill()
    assert not handle.is_running


def test_waiting_for_another_process_shows_how_far_it_is(options):
    with subprocess.Popen([sys.executable, "-c", ELSEWHERE, options.storage]) as other:
        try:
            until(lambda: place(options.storage).exists() and running(options.storage), 30)
            handle, seen = api.load("s", options.storage), []
            with pytest.raises(TimeoutError):
                handle.wait(3, progress=lambda snapshot: seen.append(snapshot.done))
            assert len(seen) > 3
            assert seen == sorted(seen)
        finally:
            other.kill()


def test_another_process_is_steered_without_reading_its_trials(options, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ELSEWHERE, options.storage]) as other:
        try:
            until(lambda: place(options.storage).exists() and running(options.storage), 30)
            handle = api.load("s", options.storage)
            monkeypatch.setattr(reader, "load_views", None)  # an error, if any trial is read
            assert handle.pause()
            until(lambda: handle._state() is StudyState.PAUSED)
            assert handle.resume() is handle
            until(lambda: handle._state() is StudyState.RUNNING)
            assert handle.stop()
            assert other.wait(20) == 0
            assert not handle.is_running
        finally:
            other.kill()


def test_more_trials_wait_for_the_end_of_another_process_that_stops(options):
    program = ELSEWHERE.replace("0.05", "1.5")
    asked = []
    with subprocess.Popen([sys.executable, "-c", program, options.storage]) as other:
        try:
            until(lambda: place(options.storage).exists() and running(options.storage), 30)
            handle = api.load("s", options.storage)
            handle.restarter = lambda handle, more: asked.append((more, handle.is_running)) or handle
            handle.stop()
            handle.more(3)
            assert other.wait(20) == 0
        finally:
            other.kill()
    assert asked == [(3, False)]


def running(storage):
    with contextlib.suppress(StudyNotFoundError, StorageError):
        return api.load("s", storage).snapshot().state.is_active
    return False


def test_a_study_says_that_it_stops_or_pauses_while_its_trial_in_flight_runs(options):
    gate = Gate()
    handle = api.start(make(gate), options)
    assert gate.reached.wait(10)
    for verb, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopping")):
        getattr(handle, verb)()
        until(lambda state=state: handle.snapshot().state == state)
    gate.opened.set()
    assert handle.wait().snapshot().done == 1


def test_a_stop_that_comes_before_the_first_look_is_shown():
    shown = []
    keeper = Keeper(
        Control(3), tick=list, state=lambda: StudyState.STOPPING, show=shown.append, lost=shown.append
    )
    keeper.start()
    until(lambda: shown)
    keeper.end()
    assert shown == [StudyState.STOPPING]


def test_beats_go_on_after_an_error_of_the_database_and_end_the_run_after_any_other():
    errors = [StorageError("odd"), RuntimeError("a mistake")]
    lost = []

    def tick():
        raise errors.pop(0)

    control = Control(3)
    keeper = Keeper(control, tick=tick, state=lambda: StudyState.RUNNING, show=print, lost=lost.append)
    keeper.start()
    until(lambda: control.is_stopping)
    keeper.end()
    assert [str(error) for error in lost] == ["a mistake"]


def test_a_stop_that_was_asked_for_does_not_wait_for_a_study_that_is_deleted_meanwhile():
    asked = []

    def state():
        asked.append(True)
        raise StudyNotFoundError("gone", code="NB401")

    until_heard(state)
    assert asked == [True]


@pytest.mark.parametrize("other", ["link/s.db", "real/../real/s.db"])
def test_a_file_under_another_spelling_is_the_same_file(options, tmp_path, other):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    gate = Gate()
    objective = make(gate)
    one = replace(options, storage=f"sqlite:///{tmp_path}/real/s.db")
    two = replace(options, storage=f"sqlite:///{tmp_path}/{other}")
    handle = api.start(objective, one)
    assert gate.reached.wait(10)
    assert "s@1 is running already" in api.start(objective, two).note
    assert api.load("s", two.storage).more(2).is_running
    with pytest.raises(InvalidOptionError, match="is where s@1 is already"):
        handle.push(two.storage)
    with pytest.raises(InvalidOptionError, match="is the database of the study itself"):
        handle.export(tmp_path / other)
    gate.opened.set()
    assert handle.wait().snapshot().done == 8


def test_a_study_that_is_gone_is_not_begun_anew_by_its_handle(options):
    handle = api.start(make(draw(0)), options).wait()
    api.delete("s", options.storage)
    for verb in (lambda: handle.more(1), lambda: handle.study, lambda: handle.enqueue({"x": 0.5})):
        with pytest.raises((StudyNotFoundError, InvalidOptionError)):
            verb()


def test_the_code_of_a_deleted_study_is_not_that_of_another_one_of_its_name(options, tmp_path):
    handle = api.start(make(draw(0)), options).wait()
    there = replace(options, storage=f"sqlite:///{tmp_path / 'there.db'}")
    other = api.start(make(draw(5), "2"), there).wait()
    api.delete("s", options.storage)
    other.push(options.storage)
    with pytest.raises(InvalidOptionError, match="does not know the code of s@1"):
        api.load("s", options.storage).more(2)
    assert handle.snapshot().done == 6


def test_all_versions_are_deleted_or_none(options):
    api.start(make(draw(0)), options).wait()
    gate = Gate()
    new = api.start(make(gate, "2"), options)
    with pytest.raises(LockedStudyError, match="s@2 is running"):
        api.delete("s", options.storage)
    assert api.load("s@1", options.storage).snapshot().done == 6
    new.stop()
    gate.opened.set()
    new.wait()


@pytest.fixture
def adopted(options):
    """The handle of a study of plain Optuna that went on here, and that got a second version."""
    study = optuna.create_study(storage=options.storage, study_name="s")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    first = api.start(make(draw(0)), options).wait()
    api.start(make(draw(5), "2"), replace(options, trials=2)).wait()
    return first


def test_the_handle_of_an_adopted_study_stays_with_its_version(adopted, tmp_path):
    assert adopted.snapshot().done == 6
    adopted.enqueue({"x": 0.25})
    assert adopted.more(1).wait().study.trials[6].params == {"x": 0.25}
    assert "7 trials" in adopted.export(tmp_path / "s.csv")
    assert "7 trials" in adopted.push(f"sqlite:///{tmp_path / 'there.db'}")


@pytest.mark.usefixtures("adopted")
@pytest.mark.parametrize(("name", "text"), [("s@1", "code 1"), ("s@2", "code 2")])
def test_the_code_of_each_version_of_an_adopted_study_is_shown(options, name, text):
    with contextlib.closing(Reader(options.storage, name)) as reader:
        assert reader.snapshot().name == name
        assert text in code.render(reader.snapshot(), reader, Choices())


@pytest.mark.usefixtures("adopted")
def test_an_adopted_study_is_read_from_its_file_as_it_is(options):
    copies = read_studies(options.storage.removeprefix("sqlite:///"))
    assert [(it.name, len(it.trials)) for it in copies] == [("s", 6), ("s@2", 2)]


def test_an_option_that_is_refused_adopts_nothing(options):
    study = optuna.create_study(storage=options.storage, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    with pytest.raises(InvalidOptionError, match="x=7"):
        api.start(make(draw(0)), replace(options, fix={"x": 7}))
    assert api.start(make(draw(0), "2"), options).wait().name == "s"


def test_code_that_made_nothing_is_replaced_also_with_continue(options):
    def fails(trial):
        raise ValueError

    with pytest.raises(ObjectiveError, match="trial 0 failed"):
        api.start(make(fails), options).wait()
    fixed = make(draw(0), "2")
    api.start(fixed, replace(options, continue_old=True)).wait()
    assert api.start(fixed, options).wait().name == "s@1"


def test_a_copy_is_as_finished_as_the_study_was(options, tmp_path):
    there = f"sqlite:///{tmp_path / 'there.db'}"
    api.start(make(draw(0)), options).wait().push(there)
    assert api.load("s", there).snapshot().target == 6


def test_an_export_replaces_only_what_it_holds(options, tmp_path):
    target = tmp_path / "copy.db"
    handle = api.start(make(draw(0)), options).wait()
    handle.export(target)
    handle.more(1).wait().export(target)
    other = api.start(make(draw(0)), replace(options, storage=f"sqlite:///{tmp_path / 'other.db'}")).wait()
    with pytest.raises(InvalidOptionError, match="is not an export of s@1"):
        other.export(target)
    assert api.load("s", f"sqlite:///{target}").snapshot().done == 7


def stopped_after_three(gate, options):
    """Stop a study of 6 trials after the third, and return its handle."""
    handle = api.start(make(gate), options)
    assert gate.reached.wait(10)
    handle.stop()
    gate.opened.set()
    with contextlib.suppress(ObjectiveError):
        handle.wait()
    assert handle.snapshot().done == 3
    return handle


def test_more_trials_come_on_top_of_the_total_of_a_study_that_was_stopped(options):
    handle = stopped_after_three(Gate(2), options)
    assert handle.more(4).wait().snapshot().done == 10


def test_more_trials_come_on_top_of_what_is_done_where_that_is_more(options):
    handle = api.start(make(draw(0)), options).wait()
    api.start(make(draw(0)), replace(options, trials=2)).wait()
    assert handle.more(4).wait().snapshot().done == 10
