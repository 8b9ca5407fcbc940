"""One Chromium and one server of each front end for all browser tests; a notebook and a page for each."""

import functools
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.lab import LAB, LIGHT, LabPage, LabServer, chromium, write_notebook

VIEW = {"width": 1280, "height": 1000}


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Return a function that starts a front end, once."""
    with ExitStack() as running:

        @functools.cache
        def start(application):
            return running.enter_context(LabServer(tmp_path_factory.mktemp("lab"), application))

        yield start


@pytest.fixture
def lab(request, serve):
    """Return the running front end that the test asks for: JupyterLab, if it asks for none."""
    return serve(getattr(request, "param", LAB))


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
    known = lab.application.known_errors
    assert [error for page in pages for error in page.errors if error not in known] == []


@pytest.fixture
def pictures(tmp_path):
    """Return the folder for screenshots: the one named by OPTUNA_NB_SCREENSHOTS, or the test's own."""
    return Path(os.environ.get("OPTUNA_NB_SCREENSHOTS", tmp_path))
