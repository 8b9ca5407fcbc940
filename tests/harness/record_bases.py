"""A database for records, new for each test: an SQLite file, or a PostgreSQL database of its own."""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING

import pytest
import sqlalchemy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = "OPTUNA_NB_TEST_POSTGRES"


def server_url() -> str:
    """Return the URL of the server; without one the test is skipped."""
    url = os.environ.get(SERVER, "")
    if not url:
        pytest.skip(f"no PostgreSQL server: name one in {SERVER}, as postgresql+psycopg://USER@HOST/DATABASE")
    return url


@contextlib.contextmanager
def new_url(kind: str, folder: Path) -> Iterator[str]:
    """Give the URL of a database that does not hold anything yet, and drop it after."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'records.db'}"
        return
    server = sqlalchemy.make_url(server_url())
    name = f"optuna_nb_{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()
