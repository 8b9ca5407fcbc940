"""What all tests of studies share."""

import pytest

from optuna_nb.tuning import background


@pytest.fixture(autouse=True)
def _nothing_runs_on():
    """End the studies of a test: that of one that failed would keep the next ones waiting."""
    yield
    background.shut_down_all(30)
