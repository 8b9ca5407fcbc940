"""The extension is no burden to those who load it and do nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report():
    command = [sys.executable, "benchmarks/import_time.py", "--samples", "5", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_and_load_ext_add_less_than_100_ms_to_a_bare_ipython(report):
    # CPU time: other tests may keep this machine's cores busy, and nothing here waits.
    assert report["added_cpu_ms"] < 100, report


def test_import_and_load_ext_import_nothing_heavy(report):
    assert report["heavy"] == []
