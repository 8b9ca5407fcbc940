"""The README's test command installs no server's driver: no test may need it before it runs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = (
    "import sys, pytest; sys.modules['psycopg'] = None; sys.exit(pytest.main(['--collect-only', '-qq']))"
)


def test_all_tests_are_collected_where_psycopg_is_not_installed():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
