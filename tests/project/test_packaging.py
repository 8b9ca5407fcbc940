"""What is built for others to install: complete, described, and usable in an empty environment."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, which `scripts/check_wheel.sh` also installs and uses."""
    folder = tmp_path_factory.mktemp("dist")
    command = ["bash", "scripts/check_wheel.sh", sys.executable, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2, done.stdout
    return folder


def test_the_classifiers_name_the_pythons_that_are_supported_and_jupyter():
    classifiers = PROJECT["classifiers"]

    assert PROJECT["requires-python"] == ">=3.11"
    assert "Programming Language :: Python :: 3.11" in classifiers
    assert "Programming Language :: Python :: 3.10" not in classifiers
    assert {"Framework :: Jupyter", "Framework :: IPython", "Typing :: Typed"} <= set(classifiers)
    assert len(classifiers) == len(set(classifiers))


@pytest.mark.slow
@pytest.mark.timeout(900)  # it makes an environment and installs pandas, plotly and Optuna into it
def test_the_wheel_holds_the_package_alone_and_works_in_an_empty_environment(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (it for it in names if it.endswith("METADATA"))
        about = message_from_bytes(archive.read(metadata))
    sources = (path for path in (ROOT / "optuna_nb").rglob("*") if path.is_file())
    package = {str(it.relative_to(ROOT)) for it in sources if "__pycache__" not in it.parts}

    assert {it for it in names if ".dist-info/" not in it} == package
    assert set(about.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert about["License-Expression"] == "MIT"
    assert about.get_all("License-File") == ["LICENSE"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_sdist_holds_what_is_needed_to_test_and_to_document_it_and_nothing_that_was_made(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "Makefile"}
    wanted |= {"docs/conf.py", "docs/errors.md", "docs/reference/cell.md", "docs/images/panel-light.png"}
    wanted |= {"notebooks/01_quickstart.ipynb", "tests/project/test_packaging.py", "scripts/pin.py"}
    assert wanted <= names
    made = (".db", ".pyc", ".whl", ".db-wal")
    assert [it for it in names if it.endswith(made) or it.startswith(("docs/_build", "docs/notebooks"))] == []
