"""In a real kernel: magics of a trial, and data that a trial changes."""

import pytest

pytestmark = [pytest.mark.kernel]


def test_timeit_in_a_trial_leaves_the_variables_of_the_notebook_alone(kernel):
    kernel.run("import time\nX = 1")
    kernel.run(
        "%%tune ti -n 4 -q\n%timeit -n1 -r1 time.sleep(.1)\nfiles = !echo $X\n"
        "%time mine = int(files[0])\nX + mine + trial.suggest_float('x', 0, 1)"
    )
    kernel.run("X = 2")
    kernel.run("%tune wait ti")

    assert kernel.value("X") == "2"
    names = "('trial', 'log_metrics', 'trial_event', 'mine', 'files', '_exit_code')"
    assert kernel.value(f"[it for it in {names} if it in globals()]") == "[]"
    kernel.run("import optuna_nb\nbest = optuna_nb.load('ti').best_value")
    assert kernel.value("2 <= best <= 3") == "True"


@pytest.mark.parametrize(
    ("made", "body"),
    [
        ("m = Ridge()", "m.set_params(alpha=trial.suggest_float('x', 0, 1)); m.fit(X, y); m.score(X, y)"),
        ("m = []", "m.append(1)\ntrial.suggest_float('x', 0, 1) + len(X)"),
        ("m = {}", "m[trial.number] = 1\ntrial.suggest_float('x', 0, 1) + len(X)"),
    ],
)
def test_a_cell_that_changes_what_it_reads_goes_on_with_its_own_study(kernel, made, body):
    kernel.run("import time\nfrom sklearn.linear_model import Ridge")
    kernel.run(f"X, y = [[1.], [2.], [4.]], [1., 2., 3.]\n{made}")
    cell = f"%%tune same -n COUNT -q\ntime.sleep(.1)\n{body}"
    kernel.run(cell.replace("COUNT", "20"))
    again = kernel.run(cell.replace("COUNT", "4"))
    kernel.run("%tune wait same")
    resumed = kernel.run(cell.replace("COUNT", "6"))
    kernel.run("%tune wait same")
    kernel.run("X.append([5.]); y.append(6.)")
    changed = kernel.run(cell.replace("COUNT", "2"))

    assert "same@1 is running already" in again.stdout
    assert "resumed same@1" in resumed.stdout
    assert "the trials change m themselves, so its content is not fingerprinted" in resumed.stdout
    assert "data X changed" in changed.stdout
    assert "same@2 begins" in changed.stdout
