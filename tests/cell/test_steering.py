"""Going on with a study in a kernel that never ran its cell, and the verbs that show."""

import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest

from harness.kernel import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

CELL = """%%tune churn --trials 10 --seed 1 --sampler random
x = trial.suggest_float("x", 0, A); y = trial.suggest_int("y", 1, 9)
f(x) + y"""
SETUP = "%load_ext optuna_nb\nA = 1\ndef f(x): return x"
MORE = "import optuna_nb\nhandle = optuna_nb.load('churn').more(5)"


@pytest.fixture
def kernel(tmp_path):
    with Kernel(tmp_path) as kernel:
        kernel.run(SETUP)
        kernel.run(CELL)
        kernel.run("%tune wait churn")
        yield kernel


def test_a_new_kernel_goes_on_from_the_stored_cell_once_it_has_the_names(kernel):
    kernel.kill()
    kernel.start()
    kernel.run("%load_ext optuna_nb")
    assert "churn@1 needs A, f: run the cells that make them" in kernel.run(MORE, check=False).error
    kernel.run("A = 1")
    assert "churn@1 needs f:" in kernel.run(MORE, check=False).error
    kernel.run("A = 2\ndef f(x): return x")
    assert "data A changed since churn@1" in kernel.run(MORE, check=False).error
    kernel.run("A = 1")
    kernel.run(MORE)
    kernel.run("%tune wait churn")
    assert kernel.value("handle.name, handle.snapshot().done") == "('churn@1', 15)"


def test_a_study_that_was_deleted_and_begun_again_is_shown_as_it_is_now(kernel):
    kernel.run("%tune delete churn --yes")
    for cell in (CELL.replace("--trials 10", "--trials 3 --wait"), "%tune show churn"):
        page = [it["text/html"] for it in kernel.run(cell).displays if "text/html" in it][-1]
        assert "3 of 3 done" in page


def test_a_plot_is_one_plotly_figure(kernel):
    for kind in ("slice churn", "churn history", "importance churn", "contour churn"):
        kernel.run(f"figure = get_ipython().run_line_magic('tune', 'plot {kind}')")
        assert kernel.value("type(figure).__name__") == "'Figure'"
    wrong = kernel.run("%tune plot slcie churn", check=False)
    assert "did you mean slice?" in wrong.error + wrong.stderr
    wrong = kernel.run("%tune plot pareto churn", check=False)
    assert "is for two or three directions, and churn@1 has 1" in wrong.error + wrong.stderr


def test_the_report_is_a_page_of_its_own(kernel, tmp_path):
    assert "wrote report.html" in kernel.run("%tune export churn report.html").stdout
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "churn@1" in page
    assert "f(x) + y" in page
    assert "<script" not in page


def test_a_function_can_be_called_at_the_end(kernel):
    kernel.run("ended = []\ndone = lambda handle: ended.append(handle.snapshot().done)")
    kernel.run(CELL.replace("--trials 10", "--trials 14 --notify done"))
    kernel.run("%tune wait churn")
    time.sleep(0.3)
    assert kernel.value("ended") == "[14]"
    wrong = kernel.run(CELL.replace("--trials 10", "--notify nobody"), check=False)
    assert "there is no variable nobody" in wrong.error + wrong.stderr


def test_the_dashboard_reads_the_file_and_ends_with_the_kernel(kernel):
    address = kernel.run("%tune dashboard churn").stdout.split()[0]
    assert address.startswith("http://127.0.0.1:")
    root = address.partition("/dashboard")[0]
    with urllib.request.urlopen(f"{root}/api/studies", timeout=10) as answer:  # noqa: S310
        assert b"churn@1" in answer.read()
    assert kernel.run("%tune dashboard").stdout.startswith(f"{root}/dashboard ")
    delete = urllib.request.Request(f"{root}/api/studies/1", method="DELETE")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(delete, timeout=10)  # noqa: S310 - the file is read-only there
    assert kernel.value("len(__import__('optuna_nb').load('churn').study.trials)") == "10"
    [server] = [
        p for p in psutil.Process(kernel.pid).children() if "dashboard_server" in " ".join(p.cmdline())
    ]
    kernel.kill()
    server.wait(5)


def test_the_dashboard_process_leaves_when_its_pipe_is_closed(tmp_path):
    code = "import optuna_nb.cell.dashboard_server as server; server._leave_with_the_kernel()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.stdin.close()
        assert process.wait(20) == 0
