"""Kernels for the tests of this folder, ended whatever happens."""

from contextlib import ExitStack

import pytest

from harness.kernel import Kernel


@pytest.fixture
def start_kernel(tmp_path):
    """Return a function that starts a kernel in a named folder below the test's own."""
    with ExitStack() as kernels:

        def start(name="work"):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            return kernels.enter_context(Kernel(folder))

        yield start


@pytest.fixture
def kernel(start_kernel):
    """Return one kernel with the extension loaded."""
    kernel = start_kernel()
    kernel.run("%load_ext optuna_nb")
    return kernel
