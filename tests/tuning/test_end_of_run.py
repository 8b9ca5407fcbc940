"""What goes wrong before the first trial or after the last one is said in one line; the record is closed."""

from dataclasses import replace

import pytest

from optuna_nb.errors import LockedStudyError, ObjectiveError
from optuna_nb.records import Objective, StudyState, TuneOptions
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import api, resume


def draw(trial):
    return trial.suggest_float("x", 0, 1)


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=3, seed=1)


def failing(error):
    def finish(study):
        raise error

    return Objective(draw, "code", {"cell": "1"}, finish=finish)


@pytest.mark.parametrize("error", [MemoryError(), ValueError("no rows\nno fit")])
def test_an_error_after_the_last_trial_ends_the_run_as_failed_and_is_named(options, error):
    handle = api.start(failing(error), options)
    words = f"all trials are stored, but what follows them failed: {type(error).__name__}: "
    with pytest.raises(ObjectiveError, match=words) as caught:
        handle.wait()
    assert "\n" not in str(caught.value).split("[NB")[0].strip()
    assert caught.value.__cause__ is error
    seen = handle.snapshot()
    assert (seen.state, seen.done) == (StudyState.FAILED, 3)
    assert words.strip() in seen.note
    assert list(handle.runs["status"]) == ["failed"]


def test_the_next_run_does_what_failed_after_the_last_trial(options):
    with pytest.raises(ObjectiveError):
        api.start(failing(MemoryError()), options).wait()
    ended = []
    whole = replace(failing(None), finish=lambda study: ended.append(len(study.trials)))
    handle = api.start(whole, options).wait()
    assert ended == [3]
    assert handle.snapshot().state is StudyState.COMPLETED
    assert sorted(handle.runs["status"]) == ["completed", "failed"]


def test_workers_that_cannot_start_end_the_run_as_failed(options, monkeypatch):
    from optuna_nb.tuning.executors.thread import ThreadExecutor

    def open_(self, desk):
        raise OSError("no port is free")

    monkeypatch.setattr(ThreadExecutor, "open", open_)
    handle = api.start(Objective(draw, "code", {"cell": "1"}), options)
    with pytest.raises(ObjectiveError, match="no port is free"):
        handle.wait()
    assert handle.snapshot().state is StudyState.FAILED
    assert list(handle.runs["status"]) == ["failed"]


def test_a_study_that_another_kernel_begins_at_the_same_moment_is_found(options, monkeypatch):
    objective, number_of = Objective(draw, "code", {"cell": "1"}), resume._next_number
    others = []

    def too_late(storage, name):
        number = number_of(storage, name)
        if not others:
            others.append(StudyStorage(options.storage))
            resume._begin(others[0], objective, options, None)
        return number

    monkeypatch.setattr(resume, "_next_number", too_late)
    with pytest.raises(LockedStudyError, match="already running"):
        api.start(objective, options)
    others[0].close()
    assert api.start(objective, options).wait().name == "s@1"
