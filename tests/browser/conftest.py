"""One JupyterLab and one Chromium for all browser tests; a notebook and a page for each."""

import os
from pathlib import Path

import pytest

from harness.lab import LIGHT, LabPage, LabServer, chromium, write_notebook

VIEW = {"width": 1280, "height": 1000}


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Return a running JupyterLab."""
    with LabServer(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def browser():
    """Return a running Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture
def folder(lab, tmp_path):
    """Return a folder that the server serves and that no other test uses."""
    path = lab.folder / tmp_path.name
    path.mkdir()
    return path


@pytest.fixture
def open_notebook(lab, browser, folder):
    """Return a function that opens cells in a new page, and check the pages at the end.

    Whatever a test looks at, no request may leave this machine and nothing may
    be logged as an error.
    """
    pages = []

    def open_(cells, theme=LIGHT, name="notebook.ipynb"):
        path = folder / name
        if cells is not None:
            write_notebook(path, cells)
        page = LabPage(browser.new_page(viewport=VIEW), lab)
        pages.append(page)
        page.open(path, theme)
        return page

    yield open_
    for page in pages:
        page.page.close()
    assert {host for page in pages for host in page.hosts} == {"127.0.0.1"}
    assert [error for page in pages for error in page.errors] == []


@pytest.fixture
def pictures(tmp_path):
    """Return the folder for screenshots: the one named by OPTUNA_NB_SCREENSHOTS, or the test's own."""
    return Path(os.environ.get("OPTUNA_NB_SCREENSHOTS", tmp_path))
