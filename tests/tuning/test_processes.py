"""Worker processes of this machine: they are replaced when they die, and end with their parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.waiting import until
from optuna_nb.tuning.executors import courtesy
from optuna_nb.tuning.executors.processes import Processes

PARENT = """
import sys, time
from distributed import LocalCluster
from optuna_nb.tuning.executors import courtesy
from optuna_nb.tuning.executors.processes import Processes

flags = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": None}
cluster = LocalCluster(n_workers=0, processes=False, **flags)
processes = Processes(cluster.scheduler_address, 2, {}, 2**31)
while len(cluster.scheduler.workers) < int(sys.argv[1]):
    time.sleep(0.05)
print(*[process.pid for process, _ in processes._running.values()], flush=True)
time.sleep(100)
"""


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("begun", [2, 0])
def test_workers_end_when_their_parent_is_killed_even_if_they_have_not_begun(begun):
    command = [sys.executable, "-c", PARENT, str(begun)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        os.kill(parent.pid, signal.SIGKILL)
        until(lambda: all(map(gone, pids)), 20)


@pytest.mark.slow
def test_workers_let_the_kernel_go_first():
    command = [sys.executable, "-c", PARENT, "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        for word in parent.stdout.readline().split():
            until(lambda pid=int(word): psutil.Process(pid).nice() == courtesy.NICE)
            session = Path(f"/proc/{word}/autogroup")
            if session.exists():
                until(lambda file=session: file.read_text().split()[-1] == str(courtesy.NICE))
        assert psutil.Process(parent.pid).nice() == psutil.Process().nice()
        parent.kill()


def test_workers_that_cannot_begin_are_given_up_with_their_last_words(monkeypatch):
    from optuna_nb.errors import ClusterError
    from optuna_nb.tuning.executors import processes

    monkeypatch.setattr(processes, "_COMMAND", ("-c", "import sys; sys.exit('no such worker')"))
    started = Processes("tcp://127.0.0.1:9", 1, {}, 2**30)

    def renew_again_and_again():
        for _ in range(400):
            started.renew()
            time.sleep(0.05)

    try:
        with pytest.raises(ClusterError, match="end as soon as they begin: no such worker"):
            renew_again_and_again()
    finally:
        started.end()
