"""The promise of the project: a kernel that is killed loses nothing and changes nothing."""

import pytest

from harness.studies import finished_trials, integrity, trajectory, wait_for_trials

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

TRIALS = 20
NOTEBOOK = [
    "%load_ext optuna_nb",
    "import time\ncentre = 1.25",
    f"""%%tune crash --trials {TRIALS} --maximize --seed 7 --sampler SAMPLER
x = trial.suggest_float("x", -5, 5)
time.sleep(0.15)
rate = trial.suggest_float("rate", 1e-4, 1, log=True)
depth = trial.suggest_int("depth", 2, 10)
kind = trial.suggest_categorical("kind", ["gini", "entropy"])
time.sleep(0.15)
-((x - centre) ** 2) - rate * depth + (kind == "gini")
""",
]


def run_all(kernel, sampler):
    for cell in NOTEBOOK:
        kernel.run(cell.replace("SAMPLER", sampler))


@pytest.mark.parametrize(
    ("sampler", "kill_after"),
    [("tpe", [2, 13]), ("random", [7]), ("cmaes", [9])],
    ids=["tpe killed twice", "random", "cmaes"],
)
def test_a_study_killed_in_mid_trial_ends_bit_for_bit_as_if_it_was_not(start_kernel, sampler, kill_after):
    whole = start_kernel("whole")
    run_all(whole, sampler)
    killed = start_kernel("killed")
    file = killed.folder / "optuna_nb.db"
    for count in kill_after:
        run_all(killed, sampler)
        wait_for_trials(file, "crash@1", count)
        killed.kill()  # a trial sleeps for 0.3 s, so one is in flight
        assert finished_trials(file, "crash@1") < TRIALS
        killed.start()
    run_all(killed, sampler)
    killed.run("%tune wait crash")
    whole.run("%tune wait crash")
    whole.shutdown()
    killed.shutdown()

    found = trajectory(file, "crash@1")
    assert [number for number, _, _ in found] == list(range(TRIALS))
    assert found == trajectory(whole.folder / "optuna_nb.db", "crash@1")
    assert integrity(file) == "ok"


def test_plain_optuna_finds_no_unfinished_trial_right_after_the_crash(kernel):
    file = kernel.folder / "optuna_nb.db"
    for cell in NOTEBOOK[1:]:
        kernel.run(cell.replace("SAMPLER", "tpe"))
    count = wait_for_trials(file, "crash@1", 3)
    kernel.kill()

    assert len(trajectory(file, "crash@1")) in {count, count + 1}  # fails on a trial left RUNNING


def test_running_a_finished_notebook_again_adds_no_trial(kernel):
    cell = '%%tune done --trials 5 --wait\ntrial.suggest_float("x", 0, 1)'
    kernel.run(cell)
    kernel.kill()
    kernel.start()
    kernel.run("%load_ext optuna_nb")
    kernel.run(cell)
    kernel.shutdown()

    assert len(trajectory(kernel.folder / "optuna_nb.db", "done@1")) == 5
