"""The file of a study is deleted while it runs: that is said, and nothing is lost where it comes back."""

from __future__ import annotations

import logging
import threading

import pytest

from harness.gate import Gate
from optuna_nb.errors import FileGoneError
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.tuning import api, background
from optuna_nb.tuning.waiting import raise_failure


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=6, seed=1)


def objective(gate):
    return Objective(gate, "code", {"cell": "1"})


def test_a_run_without_its_file_ends_with_one_line_that_says_what_is_lost(options, tmp_path, caplog):
    gate = Gate(at=2)
    api.start(objective(gate), options)
    assert gate.reached.wait(20)
    (tmp_path / "s.db").unlink()
    with pytest.raises(FileGoneError, match="is gone: put it back before the run of s@1 ends"):
        api.start(objective(gate), options)
    assert api.load("s", options.storage).name == "s@1"  # so that it can be stopped
    gate.opened.set()
    own = background.find(tmp_path / "s.db", "s@1")
    assert own.wait(20)
    with pytest.raises(FileGoneError) as caught:
        raise_failure(own, None)
    assert "s@1 has ended without its file, and the 4 trials finished since are lost" in str(caught.value)
    assert "\n" not in str(caught.value)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "is gone: put it back; the result is kept in memory" in warnings[0]


def test_a_wait_that_has_begun_hears_the_end_of_a_run_without_its_file(options, tmp_path):
    gate = Gate(at=2)
    handle = api.start(objective(gate), options)
    assert gate.reached.wait(20)
    threading.Timer(0.5, (tmp_path / "s.db").unlink).start()
    threading.Timer(1.0, gate.opened.set).start()
    with pytest.raises(FileGoneError, match="has ended without its file"):
        handle.wait()
    assert api.start(objective(gate), options).wait().snapshot().done == 6  # in a new file


def test_a_file_that_comes_back_gets_what_was_kept_in_memory(options, tmp_path, caplog):
    gate = Gate(at=2)
    away, back = threading.Event(), threading.Event()

    def evaluate(trial):
        if trial.number == 5:
            away.set()
            assert back.wait(20)
        return gate(trial)

    handle = api.start(Objective(evaluate, "code", {"cell": "1"}), options)
    assert gate.reached.wait(20)
    (tmp_path / "s.db").rename(tmp_path / "elsewhere.db")
    gate.opened.set()
    assert away.wait(20)
    (tmp_path / "elsewhere.db").rename(tmp_path / "s.db")
    back.set()
    assert handle.wait().snapshot().done == 6
    assert "nothing is lost" in caplog.text


def test_another_file_in_its_place_is_not_written(options, tmp_path):
    gate = Gate(at=2)
    api.start(objective(gate), options)
    assert gate.reached.wait(20)
    (tmp_path / "s.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "s.db").write_bytes(b"another")
    gate.opened.set()
    own = background.find(tmp_path / "s.db", "s@1")
    assert own.wait(20)
    with pytest.raises(FileGoneError, match="another file is at"):
        raise_failure(own, None)
    assert (tmp_path / "s.db").read_bytes() == b"another"
