"""PostgreSQL for tests: a server of one's own that may be ended, and what stands in a study there.

What is read goes through nothing but psycopg, as in :mod:`harness.stored`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from harness import stored
from harness.stored import Stored

if TYPE_CHECKING:
    from types import TracebackType

_TABLES = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
)


def ask(url: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Ask the server itself, over a connection of its own."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return connection.execute(sql.encode(), parameters or None).fetchall()


def count(url: str, study: str) -> int:
    """Count the trials of a study; 0 while there is none."""
    import psycopg

    try:
        found = ask(
            url, "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = %s", study
        )
    except psycopg.errors.UndefinedTable:
        return 0
    return int(found[0][0])


def wait_for_trials(url: str, study: str, least: int, timeout: float = 60) -> int:
    """Wait until there are so many trials; return how many there are."""
    deadline = time.monotonic() + timeout
    while (found := count(url, study)) < least:
        assert time.monotonic() < deadline, f"{found} of {least} trials of {study} after {timeout} s"
        time.sleep(0.05)
    return found


def read(url: str, study: str) -> Stored:
    """Read a study as of one moment, in the form of ``stored.read``."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def rows(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
            return connection.execute(sql.encode(), parameters or None).fetchall()

        found = rows("SELECT study_id FROM studies WHERE study_name = %s", study)
        study_id = found[0][0] if found else -1
        heads = rows(
            "SELECT trial_id, number, state FROM trials WHERE study_id = %s ORDER BY number", study_id
        )
        parts = {
            table: stored.grouped(table, rows(f"SELECT trial_id, {stored.CHILDREN[table]} FROM {table}"))
            for table in _TABLES
        }
        ids = {trial_id for trial_id, _, _ in heads}
        every = {i for (i,) in rows("SELECT trial_id FROM trials")}
        commits = {i for (i,) in rows("SELECT trial_id FROM trial_commits")}
        user, system = (
            dict(
                rows(
                    f"SELECT key, CAST(value_json AS json) FROM study_{kind}_attributes WHERE study_id = %s",
                    study_id,
                )
            )
            for kind in ("user", "system")
        )
        return Stored(
            [number for _, number, _ in heads],
            [[state, *(sorted(parts[t].get(i, [])) for t in _TABLES)] for i, _, state in heads],
            stored.attributes_of(user, system, {i: number for i, number, _ in heads}),
            "ok",
            sum(len(of.keys() - every) for of in parts.values()) + len(commits - every),
            len(ids & commits),
        )


class Server:
    """A server in a temporary folder. PostgreSQL refuses to run as root, so root runs it as ``postgres``."""

    def __init__(self) -> None:
        """Make its files; see ``start``."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        command = str(found[-1]) if found else shutil.which("pg_ctl")
        if command is None:
            pytest.skip("a server of one's own needs PostgreSQL's pg_ctl and initdb")
        self._bin = Path(command).parent
        self._folder = Path(tempfile.mkdtemp(prefix="optuna-nb-server-"))
        self._as = []
        if os.geteuid() == 0:
            self._folder.chmod(0o711)
            shutil.chown(self._folder, "postgres")
            self._as = ["runuser", "-u", "postgres", "--"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", f"{self._folder}/data")

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run(
            "pg_ctl", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log", "-w", "-o", options, "start"
        )

    def stop(self, how: str = "fast") -> None:
        """End it: ``fast`` ends the sessions, ``immediate`` is a crash."""
        self._run("pg_ctl", "-D", f"{self._folder}/data", "-m", how, "-w", "stop")

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / command), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be kept open by the server
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            check=False,
        )
        assert done.returncode == 0, f"{command} {arguments} failed; see {self._folder}/log"

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, and delete its files."""
        subprocess.run(
            [*self._as, str(self._bin / "pg_ctl"), "-D", f"{self._folder}/data", "-m", "immediate", "stop"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        shutil.rmtree(self._folder, ignore_errors=True)
