"""While a study runs in the background, threads of Python hand over sooner; afterwards all is as it was."""

import sys
import time

import pytest

import optuna_nb
from harness.waiting import until
from optuna_nb.tuning import turns


@pytest.fixture(autouse=True)
def _default_turns():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before)


def test_a_running_study_shortens_the_turns_and_its_end_puts_them_back(tmp_path):
    seen = []

    def objective(trial):
        seen.append(sys.getswitchinterval())
        return trial.suggest_float("x", 0, 1)

    study = optuna_nb.tune(objective, name="turns", trials=2, storage=f"sqlite:///{tmp_path}/t.db")
    study.wait()
    study._background()._thread.join(10)
    assert seen == pytest.approx([turns.COMPUTING_SECONDS] * 2)
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_turns_are_shorter_still_in_every_moment_while_trials_run_in_other_processes(tmp_path):
    study = optuna_nb.tune(
        slow, name="turns", trials=3, storage=f"sqlite:///{tmp_path}/t.db", executor="dask"
    )
    until(lambda: study.snapshot().done >= 1)
    seen = []
    while study.snapshot().done < 3:
        seen.append(sys.getswitchinterval())
        time.sleep(0.01)
    study.wait()
    study._background()._thread.join(10)
    assert len(seen) >= 3
    assert seen == pytest.approx([turns.HANDLING_SECONDS] * len(seen))
    assert sys.getswitchinterval() == pytest.approx(0.005)


def slow(trial):
    time.sleep(0.2)
    return trial.suggest_float("x", 0, 1)


def test_an_error_in_a_study_puts_the_turns_back():
    with pytest.raises(ValueError, match="odd"), turns.short(0.001):
        raise ValueError("odd")
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_the_shortest_turn_of_several_studies_counts_and_the_last_one_puts_them_back():
    with turns.short(0.001):
        with turns.short(0.0002):
            assert sys.getswitchinterval() == pytest.approx(0.0002)
            with turns.short(0.001):
                assert sys.getswitchinterval() == pytest.approx(0.0002)
        assert sys.getswitchinterval() == pytest.approx(0.001)
    assert sys.getswitchinterval() == pytest.approx(0.005)


@pytest.mark.parametrize("own", [0.0002, 0.02])
def test_turns_that_a_user_sets_meanwhile_stay(own):
    with turns.short(0.001):
        sys.setswitchinterval(own)
        with turns.short(0.0001):
            assert sys.getswitchinterval() == pytest.approx(own)
    assert sys.getswitchinterval() == pytest.approx(own)
    with turns.short(0.0001):
        assert sys.getswitchinterval() == pytest.approx(0.0001)
    assert sys.getswitchinterval() == pytest.approx(own)


def test_turns_that_are_shorter_already_are_left_alone():
    sys.setswitchinterval(0.0003)
    with turns.short(0.001):
        assert sys.getswitchinterval() == pytest.approx(0.0003)
    assert sys.getswitchinterval() == pytest.approx(0.0003)
