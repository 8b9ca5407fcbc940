"""What the tests of the storage share."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from harness.nursery import Nursery
from harness.record_bases import new_url
from optuna_nb.storage.record_database import records_database
from optuna_nb.storage.studies import StudyStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from optuna_nb.storage.record_database import RecordDatabase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "study.db"


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a study, made once, as Optuna takes its time over that."""
    path = tmp_path_factory.mktemp("made") / "new.db"
    StudyStorage(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def storage(path: Path, new_file: Path) -> Iterator[StudyStorage]:
    """A storage on a new file."""
    shutil.copy(new_file, path)
    storage = StudyStorage(f"sqlite:///{path}")
    yield storage
    storage.close()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where processes to kill come from."""
    with Nursery("harness.warmed") as nursery:
        yield nursery


@pytest.fixture(scope="session")
def nursery_with_torch() -> Iterator[Nursery]:
    """The same, with what the GP sampler needs imported."""
    with Nursery("harness.warmed", "torch") as nursery:
        yield nursery


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def records_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database for records: the same tests hold on both kinds."""
    with new_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def records(records_url: str) -> Iterator[RecordDatabase]:
    """A database for records, made by the migrations."""
    database = records_database(records_url)
    yield database
    database.close()
