"""A process that is killed in mid-trial, and the study that goes on."""

import subprocess
import sys

import pytest

import optuna_nb

SCRIPT = """
import os, signal, sys, time
from sklearn.datasets import load_iris
import optuna_nb
X, y = load_iris(return_X_y=True)
study = optuna_nb.autotune("xgboost", X, y, name="iris", trials=9, folds=3, storage=sys.argv[1])
until = int(sys.argv[2])
while study.is_running:
    if study.snapshot().done >= until:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
"""


@pytest.mark.slow
@pytest.mark.parametrize("until", [1, 3, 6])
def test_a_killed_study_ends_as_one_that_was_left_alone(tmp_path, until):
    found = []
    for name, kill_at in (("whole", 99), ("killed", until), ("killed", 99)):
        storage = f"sqlite:///{tmp_path}/{name}.db"
        command = [sys.executable, "-c", SCRIPT, storage, str(kill_at)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        trials = optuna_nb.load("iris", storage).study.trials
        found.append([(t.number, t.state.name, t.value, t.params, t.user_attrs) for t in trials])

    whole, killed, resumed = found
    assert until <= sum(state in ("COMPLETE", "PRUNED") for _, state, _, _, _ in killed) < 9
    assert resumed == whole
