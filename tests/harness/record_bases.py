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
    with new_database() as url:
        yield url


@contextlib.contextmanager
def new_database(template: str = "template0", server: str | None = None) -> Iterator[str]:
    """Give the URL of a database of its own on the server, and drop it after.

    Args:
        template: URL of a database that it begins as, to which nobody is connected; or none.
        server: URL of another server than the one of all tests.
    """
    at = sqlalchemy.make_url(server or server_url())
    if "://" in template:
        template = str(sqlalchemy.make_url(template).database)
    name = f"optuna_nb_{uuid.uuid4().hex}"
    admin = sqlalchemy.create_engine(at, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield at.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()
