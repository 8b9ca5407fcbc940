"""A real JupyterLab or Jupyter Notebook on the loopback address, seen through a real Chromium.

``LabServer`` is the server process in a folder of its own; ``LabPage`` is one
browser page with one notebook open, and it keeps a record of every host that
was asked for anything and of every error that reached the browser's console.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import nbformat

from harness.kernel import isolated_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIGHT = "JupyterLab Light"
DARK = "JupyterLab Dark"


@dataclass(frozen=True)
class Application:
    """A front end.

    Attributes:
        module: What starts it.
        flags: Its own ones.
        page: Where it shows a notebook.
        known_errors: What its console says of a notebook that has nothing to do with us.
    """

    module: str
    flags: tuple[str, ...]
    page: str
    known_errors: tuple[str, ...] = ()


LAB = Application(
    "jupyterlab",
    (
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ),
    "lab/workspaces/{workspace}/tree/{path}",
)
NOTEBOOK = Application(
    "notebook", (), "notebooks/{path}", ("Cannot read properties of undefined (reading 'schema')",)
)


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of code cells for this interpreter's kernel."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


class LabServer:
    """A process that serves one folder to a front end."""

    def __init__(self, folder: Path, application: Application = LAB) -> None:
        """Remember the folder; entering the context starts the process."""
        self.folder = folder
        self.application = application
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        environment = isolated_environment(self.folder)
        settings = self.folder / ".home" / "lab-settings"
        _write_setting(settings, "apputils-extension/notification", {"fetchNews": "false"})
        _write_setting(settings, "notebook-extension/tracker", {"windowingMode": "none"})
        environment["JUPYTERLAB_SETTINGS_DIR"] = str(settings)
        environment["JUPYTERLAB_WORKSPACES_DIR"] = str(self.folder / ".home" / "lab-workspaces")
        command = [
            *(sys.executable, "-m", self.application.module),
            *("--no-browser", "--allow-root", "--expose-app-in-browser"),
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.folder}",
            f"--IdentityProvider.token={self.token}",
            *self.application.flags,
        ]
        with (self.folder / ".lab.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_answers()
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)  # the server ends its kernels first
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """Return what the server and its kernels wrote."""
        return (self.folder / ".lab.log").read_text(encoding="utf-8", errors="replace")

    def _wait_until_it_answers(self, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while True:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            try:
                with urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=5):  # noqa: S310
                    return
            except (urllib.error.URLError, TimeoutError):
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.1)


def _write_setting(folder: Path, name: str, value: dict[str, Any]) -> None:
    path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


_browsers: list[Browser] = []  # the running one, as Playwright starts once in a thread


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium without a window, or share the one that runs."""
    from playwright.sync_api import sync_playwright

    if _browsers:
        yield _browsers[0]
        return
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path is not None, "browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        _browsers.append(browser)
        try:
            yield browser
        finally:
            _browsers.clear()
            browser.close()


class LabPage:
    """One notebook, open in one browser page."""

    def __init__(self, page: Page, server: LabServer) -> None:
        """Start to record requests and console errors; ``open`` loads the notebook."""
        self.page = page
        self.server = server
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        page.on("request", self._on_request)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _on_request(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host is not None:  # data: and blob: stay in the page
            self.hosts.add(host)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def open(self, notebook: Path, theme: str = LIGHT) -> None:
        """Load a notebook and wait until its kernel is idle."""
        path = quote(str(notebook.relative_to(self.server.folder)))
        place = self.server.application.page.format(workspace=secrets.token_hex(4), path=path)
        self.page.goto(f"{self.server.url}/{place}?token={self.server.token}")
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        self.command("apputils:change-theme", {"theme": theme})
        self.page.locator(f'body[data-jp-theme-name="{theme}"]').wait_for(state="attached", timeout=20_000)
        self._wait_for_kernel()

    def reload(self) -> None:
        """Load the page again, as the browser's button does, and wait until the kernel is found."""
        self.page.reload()
        self.page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        self.page.wait_for_function(
            """() => {
                const widget = window.jupyterapp.shell.currentWidget;
                const kernel = widget?.sessionContext?.session?.kernel;
                return kernel?.status === 'idle' && kernel?.connectionStatus === 'connected';
            }""",
            timeout=60_000,
        )

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Start a JupyterLab command, as a menu entry would, without waiting for its end."""
        self.page.evaluate(
            "([name, args]) => { window.jupyterapp.commands.execute(name, args); }", [name, arguments or {}]
        )

    def run_all(self, timeout: float = 60) -> None:
        """Run every cell and wait until the last one is done."""
        self.start_all()
        last = self.page.locator(".jp-Notebook .jp-CodeCell").count() - 1
        self.wait_for_cell(last, timeout)

    def start_all(self) -> None:
        """Run every cell without waiting."""
        self.command("notebook:run-all-cells")

    def run_cell(self, index: int) -> None:
        """Run one cell without waiting."""
        self.cell(index).locator(".jp-InputPrompt").click()
        self.command("notebook:run-cell")

    def wait_for_cell(self, index: int, timeout: float = 60) -> None:
        """Wait until a cell shows an execution number, hence is done."""
        prompt = self.cell(index).locator(".jp-InputArea-prompt")
        deadline = time.monotonic() + timeout
        while not prompt.inner_text().strip("[]:").isdigit():
            assert time.monotonic() < deadline, f"cell {index} is at {prompt.inner_text()} after {timeout} s"
            self.page.wait_for_timeout(50)

    def cell(self, index: int) -> Locator:
        """Return a code cell by its position."""
        return self.page.locator(".jp-Notebook .jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        """Return the output area of a code cell."""
        return self.cell(index).locator(".jp-Cell-outputWrapper")

    def wait_for_text(self, index: int, text: str, timeout: float = 30) -> None:
        """Wait until the output of a cell contains some text."""
        self.output(index).filter(has_text=text).wait_for(timeout=timeout * 1000)

    def save(self) -> None:
        """Save the notebook and wait until it is on disk."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def screenshot(self, path: Path) -> Path:
        """Write a picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path
