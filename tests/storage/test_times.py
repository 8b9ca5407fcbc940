"""Times are stored as UTC, whatever the clock on the wall does."""
# ruff: noqa: DTZ001 - Optuna's trials carry local time

import time
from datetime import datetime

import pytest

from optuna_nb.storage.rows import local_time, time_to_text


@pytest.fixture
def zone(monkeypatch):
    def move_to(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move_to
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process cannot be set here")
def test_times_are_utc_when_clocks_change_and_when_the_computer_travels(zone):
    zone("Europe/Berlin")
    summer, winter = (datetime(2026, 10, 25, 2, 30, 7, 8, fold=fold) for fold in (0, 1))
    for _ in range(2):  # whatever was asked before
        assert time_to_text(summer) == "2026-10-25 00:30:07.000008"
        assert time_to_text(winter) == "2026-10-25 01:30:07.000008"
        assert time_to_text(datetime(2026, 3, 29, 1, 59, 59)) == "2026-03-29 00:59:59.000000"
        assert time_to_text(datetime(2026, 3, 29, 3, 0)) == "2026-03-29 01:00:00.000000"
        assert [local_time(f"2026-10-25 0{hour}:30:07.000008") for hour in (0, 1)] == [summer, winter]
        assert [local_time(f"2026-10-25 0{hour}:30:07.000008").fold for hour in (0, 1)] == [0, 1]
    assert local_time("2026-03-29 00:59:59.999999") == datetime(2026, 3, 29, 1, 59, 59, 999999)
    assert local_time("2026-03-29 01:00:00.000000") == datetime(2026, 3, 29, 3, 0)
    zone("Asia/Kathmandu")
    assert local_time("2026-03-29 01:00:00.000000") == datetime(2026, 3, 29, 6, 45)
    assert time_to_text(datetime(2026, 3, 29, 3, 0)) == "2026-03-28 21:15:00.000000"
    zone("Asia/Taipei")
    assert local_time("2026-01-29 10:00:00.000000") == datetime(2026, 1, 29, 18, 0)
    zone("America/Regina")  # CST, too
    assert local_time("2026-01-29 10:00:00.000000") == datetime(2026, 1, 29, 4, 0)
    assert time_to_text(datetime(2026, 1, 29, 4, 0)) == "2026-01-29 10:00:00.000000"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process cannot be set here")
def test_the_ends_of_time_can_be_read(zone):
    zone("Europe/Berlin")
    assert local_time("0001-01-01 12:00:00").date() == datetime(1, 1, 1).date()
    zone("Australia/Lord_Howe")
    assert local_time("9999-12-31 12:00:00").year == 9999
    assert local_time("2026-03-29T01:00:00+00:00") == local_time("2026-03-29 01:00:00.000000")
