"""Fixtures that every folder of tests may use."""

import importlib.util
import os
import re

import pytest

# Decided before numpy or XGBoost is imported: two cores are shared by many tests, and a thread
# pool per library would make every time limit a lottery.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_sessionfinish(session):
    """Fail a run in which a test skipped, where the environment promises that none has to."""
    if "OPTUNA_NB_NO_SKIPS" not in os.environ:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return  # one of several processes: the one that reports for all knows
    skipped = reporter.stats.get("skipped", [])
    if skipped:
        for report in skipped:
            reporter.write_line(f"SKIPPED {report.nodeid}: {report.longrepr[-1]}", red=True)
        session.exitstatus = 1


def pytest_collection_modifyitems(items):
    """Count what needs torch among the slow tests, and skip it where torch is missing, as it is large."""
    there = importlib.util.find_spec("torch") is not None
    skip = pytest.mark.skip(
        reason="the Gaussian process sampler needs torch: pip install -c constraints.txt -e '.[samplers]'"
    )
    for item in items:
        parameters = getattr(item, "callspec", None)
        if parameters is not None and re.search(r"\bgp\b", parameters.id):
            item.add_marker(pytest.mark.slow)
            if not there:
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _folder_of_ipython(tmp_path_factory):
    """Keep history and trusted cells of the tests, and of their kernels, apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield


@pytest.fixture(scope="module")
def cluster():
    """A Dask cluster of two worker processes, which is none of ours."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=60
    ) as it:
        yield it
