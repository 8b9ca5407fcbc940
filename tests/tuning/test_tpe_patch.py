"""The patch for Optuna fits the installed Optuna, and changes no number."""

import importlib.util
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from optuna.samplers._tpe import _truncnorm

PATCH = Path(__file__).parents[2] / "patches" / "optuna-tpe-log-ndtr.patch"
MADE_FOR = "5.0.0"


@pytest.fixture
def patched(tmp_path):
    if version("optuna") != MADE_FOR:
        pytest.skip(f"the patch was made for Optuna {MADE_FOR}")
    file = tmp_path / "optuna" / "samplers" / "_tpe" / "_truncnorm.py"
    file.parent.mkdir(parents=True)
    file.write_bytes(Path(_truncnorm.__file__).read_bytes())
    subprocess.run(["git", "apply", "--whitespace=error", PATCH], cwd=tmp_path, check=True)
    spec = importlib.util.spec_from_file_location("patched_truncnorm", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module, "_log_ndtr_single")
    return module


def test_patched_optuna_computes_the_same_bits(patched):
    random = np.random.default_rng(1)
    ends = np.sort(random.normal(scale=random.choice([0.1, 1, 10, 60], size=(500, 1)), size=(500, 2)), axis=1)
    a, b = ends.T
    x = random.uniform(-300, 50, size=(50, 100))
    for name, arguments in {
        "_log_ndtr": (x,),
        "_log_gauss_mass": (a, b),
        "ppf": (random.uniform(size=500), a, b),
        "logpdf": (random.normal(size=(24, 500)), a, b, a + 1, b - a),
    }.items():
        ours, theirs = getattr(patched, name)(*arguments), getattr(_truncnorm, name)(*arguments)
        np.testing.assert_array_equal(ours, theirs, strict=True)
