"""What a script hears when it ends before its study does."""

from __future__ import annotations

import subprocess
import sys

import optuna_nb

PROGRAM = """
import time, optuna_nb
def objective(trial):
    time.sleep(0.02)
    return trial.suggest_float("x", 0, 1)
handle = optuna_nb.tune(objective, name="s", trials={trials}, storage="sqlite:///s.db")
while handle.snapshot().done < 3:
    time.sleep(0.01)
{end}
"""


def run(folder, trials, end=""):
    program = PROGRAM.format(trials=trials, end=end)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stderr


def test_a_script_that_ends_in_mid_study_says_so_and_how_to_go_on(tmp_path):
    said = run(tmp_path, 10_000)
    assert said.count("\n") == 1
    assert "the program ended while s@1 was running; finished trials are stored" in said
    assert ".wait()" in said


def test_a_script_that_waits_hears_nothing_at_its_end(tmp_path):
    assert run(tmp_path, 5, "handle.wait()") == ""


MANY = """
import time, optuna_nb
from optuna_nb.tuning import background
def make():
    def objective(trial):
        if trial.number == 2:
            time.sleep(60)
        return trial.suggest_float("x", 0, 1)
    return objective
handles = [
    optuna_nb.tune(make(), name=f"s{i}", trials=9, storage=f"sqlite:///{i}.db", durability="end")
    for i in range(6)
]
while not all(handle._background().objective and handle.is_running for handle in handles):
    time.sleep(0.01)
time.sleep(1)
began = time.monotonic()
background.shut_down_all()
print(time.monotonic() - began)
"""


def test_many_studies_in_mid_trial_end_together_and_keep_what_they_finished(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MANY], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    assert float(done.stdout) < 2.3  # what a kernel restart leaves
    for number in range(6):
        snapshot = optuna_nb.load(f"s{number}", f"sqlite:///{tmp_path}/{number}.db").snapshot()
        assert (snapshot.done, snapshot.state.value) == (2, "interrupted")
