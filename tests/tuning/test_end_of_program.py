"""What a script hears when it ends before its study does."""

from __future__ import annotations

import subprocess
import sys

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
