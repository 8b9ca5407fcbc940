"""How many cores a process may use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from optuna_nb.tuning.executors import cores

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
        ({"cpu.max": "damaged"}, None),
    ],
)
def test_the_limit_of_a_container_is_read(tmp_path: Path, files: dict[str, str], share: float | None) -> None:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert cores._container_share(tmp_path) == share


def test_a_container_that_may_use_half_a_core_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_container_share", lambda: 0.5)
    assert cores.usable_cores() == 1


def test_a_container_never_has_more_cores_than_its_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_container_share", lambda: 1000.0)
    assert cores.usable_cores() == len(os.sched_getaffinity(0))
