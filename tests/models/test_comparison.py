"""A comparison of several models is looked at, waited for and steered while it runs."""

import threading
import time
from dataclasses import replace

import pytest

from harness.gate import Gate
from harness.waiting import until
from optuna_nb.errors import LockedStudyError, ObjectiveError, StudyNotFoundError
from optuna_nb.models.comparison import Comparison
from optuna_nb.records import Objective, Opening, TuneOptions
from optuna_nb.tuning import api, background


@pytest.fixture(autouse=True)
def _nothing_runs_on():
    yield
    background.shut_down_all(30)


@pytest.fixture
def compare(tmp_path):
    """Compare objectives by name."""

    def start(total, opening=(), **objectives):
        storage = f"sqlite:///{tmp_path / 'c.db'}"
        entries = {
            name: (
                Objective(evaluate, name, {"cell": name}, name, opening=opening),
                TuneOptions(name=name, storage=storage, seed=1),
            )
            for name, evaluate in objectives.items()
        }
        return Comparison(entries, total, api.start).start()

    return start


def test_a_stop_is_heard_by_the_study_that_is_starting(compare, monkeypatch):
    starting, stopped, start = threading.Event(), threading.Event(), api.start

    def start_slowly(*arguments):
        starting.set()
        assert stopped.wait(20)
        return start(*arguments)

    monkeypatch.setattr(api, "start", start_slowly)
    comparison = compare(40, slow=lambda trial: time.sleep(0.05) or worse(trial), other=worse)
    assert starting.wait(20)
    comparison.stop()
    stopped.set()
    table = comparison.wait(20).table
    assert table["model"].tolist() == ["slow"]
    assert table["trials"].item() < 10


def test_openings_that_take_more_than_all_trials_leave_none_to_share(compare):
    openings = tuple(Opening({"x": 2 + k / 10}, {}) for k in range(3))
    comparison = compare(1, openings, other=worse, worse=worse, third=worse)
    table = comparison.wait(20).table
    assert table["trials"].tolist() == [3, 3, 3]
    assert {handle.snapshot().target for handle in comparison.handles.values()} == {3}


def worse(trial):
    return trial.suggest_float("x", 2, 3)


def test_a_comparison_says_how_far_it_is_while_a_first_trial_runs(compare):
    gate = Gate()
    comparison = compare(8, worse=worse, gated=gate)
    assert gate.reached.wait(20)
    until(lambda: "gated" in comparison.handles, 10)
    table = comparison.table
    assert table["model"].tolist() == ["worse", "gated"]
    assert table["trials"].tolist() == [2, 0]
    assert table["value"].isna().tolist() == [False, True]
    assert comparison.winner.name == "worse@1"
    gate.opened.set()
    assert comparison.wait().table["model"].tolist() == ["gated", "worse"]


def test_a_comparison_without_a_complete_trial_has_no_winner_yet(compare):
    gate = Gate()
    comparison = compare(8, gated=gate, worse=worse)
    assert gate.reached.wait(20)
    with pytest.raises(StudyNotFoundError, match="no model has a complete trial yet"):
        _ = comparison.winner
    gate.opened.set()
    assert comparison.wait().winner.name == "gated@1"


def test_waiting_for_a_comparison_says_that_it_still_runs(compare):
    gate = Gate()
    comparison = compare(8, gated=gate, worse=worse)
    with pytest.raises(TimeoutError, match="gated, worse> still runs after 0"):
        comparison.wait(0.1)
    gate.opened.set()
    comparison.wait()


@pytest.mark.parametrize("at", [1, 2])  # the last trial of its first share, too
def test_a_model_that_is_stopped_gets_no_further_share(compare, at):
    gate = Gate(at)
    comparison = compare(12, gated=gate, worse=worse)
    assert gate.reached.wait(20)
    until(lambda: "gated" in comparison.handles, 10)
    comparison.handles["gated"].stop()
    gate.opened.set()
    table = comparison.wait().table
    assert table["model"].tolist() == ["gated", "worse"]
    assert table["trials"].tolist() == [at + 1, 9]


def test_a_model_that_fails_is_left_out_with_its_reason_and_the_others_go_on(compare):
    def failing(trial):
        raise ValueError("Input X contains NaN.")

    comparison = compare(10, failing=failing, worse=worse, other=worse)
    table = comparison.wait(20).table
    assert table["model"].tolist()[-1] == "failing"
    assert "Input X contains NaN" in table["failure"].tolist()[-1]
    assert table["failure"].isna().tolist() == [True, True, False]
    assert table["trials"].sum() >= 9
    assert comparison.winner.name in ("worse@1", "other@1")
    assert "Input X contains NaN" in comparison._repr_html_()


def test_a_comparison_of_which_all_fail_says_so(compare):
    def failing(trial):
        raise ValueError("no rows")

    with pytest.raises(ObjectiveError, match="no rows"):
        compare(4, one=failing, two=failing).wait(20)


def test_a_model_whose_study_cannot_begin_has_a_row_with_the_reason(compare):
    entries = dict(compare(4, worse=worse, other=worse).wait(20).entries)
    objective, options = entries["worse"]
    entries["worse"] = (objective, replace(options, directions=("maximize",), user_directions=True))

    comparison = Comparison(entries, 8, api.start).start().wait(20)
    table = comparison.table
    assert table["model"].tolist() == ["other", "worse"]
    assert "worse@1 is to minimize, not maximize" in table["failure"].tolist()[-1]
    assert comparison.winner.name == "other@1"


def test_where_no_study_can_begin_the_table_says_why_and_no_winner_is_named(compare):
    def starter(objective, options):
        raise LockedStudyError("another kernel has it", code="NB402")

    entries = compare(4, one=worse).entries
    comparison = Comparison(entries, 4, starter).start()
    with pytest.raises(LockedStudyError):
        comparison.wait(20)
    assert comparison.table["failure"].tolist() == ["another kernel has it [NB402]"]
    assert "another kernel has it" in comparison._repr_html_()
    with pytest.raises(LockedStudyError):
        _ = comparison.winner
