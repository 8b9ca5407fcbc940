"""A team on one PostgreSQL server: each kernel runs its own study and sees those of the others."""

import time

import pytest

from harness import servers
from harness.record_bases import new_database
from harness.servers import Server, wait_for_trials

pytestmark = [pytest.mark.kernel, pytest.mark.postgres]

TRIALS = 40
LIST = "listed = %tune list\nprint(listed.to_string())"
CELL = """%%tune NAME --trials TRIALS --seed SEED --sampler tpe -q
import time
x = trial.suggest_float("x", -5, 5)
trial.report(x, 1)
time.sleep(0.2)
kind = trial.suggest_categorical("kind", ["gini", "entropy"])
(x - 1) ** 2 + (kind == "gini")
"""


@pytest.fixture
def url():
    """Return a database of its own."""
    with new_database() as url:
        yield url


def begin(kernel, url):
    kernel.run("%load_ext optuna_nb")
    kernel.run(f"%config OptunaNB.storage = {url!r}")


def cell(name, seed, trials=TRIALS):
    return CELL.replace("NAME", name).replace("SEED", str(seed)).replace("TRIALS", str(trials))


def refused(kernel, code):
    result = kernel.run(code, check=False)
    return result.error + result.stdout + result.stderr + result.traceback


def trials(url, name):
    return servers.read(url, name).trials


def test_a_killed_kernel_resumes_on_the_server_bit_for_bit_and_another_one_watches(start_kernel, url):
    killed, watching = start_kernel("killed"), start_kernel("watching")
    begin(killed, url)
    begin(watching, url)
    watching.run("import optuna_nb.tuning.api, pandas")  # imports may take longer than the study
    killed.run(cell("crash", 7))
    wait_for_trials(url, "crash@1", 3)
    assert "running" in watching.run(LIST).stdout
    assert "another kernel is running" in refused(watching, cell("crash", 7))
    killed.kill()
    assert "interrupted" in watching.run(LIST).stdout
    watching.run(cell("crash", 7))  # the same code: it goes on here
    watching.run("%tune wait crash")
    watching.run(cell("whole", 7))
    watching.run("%tune wait whole")
    assert watching.run("%tune best crash").stdout.splitlines()[0].startswith("crash@1")
    watching.shutdown()
    assert trials(url, "crash@1") == trials(url, "whole@1")
    assert servers.read(url, "crash@1").numbers == list(range(TRIALS))


def test_verbs_of_another_kernel_steer_a_study_and_what_a_server_cannot_do_is_said(start_kernel, url):
    owner, other = start_kernel("owner"), start_kernel("other")
    begin(owner, url)
    begin(other, url)
    owner.run(cell("steered", 1, trials=500))
    wait_for_trials(url, "steered@1", 1)
    other.run("params = {'x': 0.125}\n%tune enqueue steered params")
    deadline = time.monotonic() + 20
    while 0.125 not in [row[1][1] for row in params(url)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    other.run("%tune pause steered")
    while "paused" not in other.run(LIST).stdout:
        assert time.monotonic() < deadline
    other.run("%tune resume steered")
    count = servers.count(url, "steered@1")
    wait_for_trials(url, "steered@1", count + 2)
    assert "is running" in refused(other, "%tune delete steered --yes")
    other.run("%tune stop steered")
    owner.run("%tune wait steered")
    assert "all is well" in other.run("%tune doctor steered").stdout
    assert "no file" in refused(other, "%tune doctor steered --repair")
    assert "<div" in str(other.run("%tune show steered").displays)
    assert "deleted steered@1" in other.run("%tune delete steered --yes").stdout
    assert servers.count(url, "steered@1") == 0


def params(url):
    found = servers.ask(
        url, "SELECT number, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
    )
    return [(number, (name, value)) for number, name, value in found]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_kernels_with_a_study_each_lose_nothing_through_a_restart_of_the_server(start_kernel):
    with Server() as server:
        kernels = [start_kernel(f"kernel {i}") for i in range(8)]
        for i, kernel in enumerate(kernels):
            begin(kernel, server.url)
            kernel.run(cell(f"study{i}", seed=i, trials=40))
        for i in range(8):
            wait_for_trials(server.url, f"study{i}@1", 2)
        seen = kernels[0].run(LIST).stdout
        assert all(f"study{i}@1" in seen for i in range(8))
        server.stop()
        server.start()
        for i, kernel in enumerate(kernels):
            kernel.run(f"%tune wait study{i}", timeout=150)
        for i, kernel in enumerate(kernels):
            found = servers.read(server.url, f"study{i}@1")
            assert found.numbers == list(range(40))
            assert found.orphans == 0
            kernel.shutdown()
        ids = servers.ask(server.url, "SELECT count(*), count(DISTINCT trial_id) FROM trials")
        runs = servers.ask(server.url, "SELECT count(*) FROM tuning_runs WHERE status = 'completed'")
    assert ids == [(320, 320)]
    assert runs == [(8,)]
