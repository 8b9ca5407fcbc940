"""How many cores there are, and how many a trial gets where several run at once."""

from __future__ import annotations

import functools
import math
import os
import threading
from pathlib import Path
from typing import Any

_LOOKS = 2  # a library that the first trial loads is there for the second look


def usable_cores() -> int:
    """Count the cores that this process may use: a container's share of its host's, rounded up."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0))
    share = _container_share()
    return cores if share is None else max(1, min(cores, math.ceil(share)))


@functools.cache
def _container_share(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the cores' worth of time that the control group allows; None for no limit.

    Source: docs.kernel.org, "Control Group v2", ``cpu.max``; "CFS Bandwidth Control" for version 1.
    """
    try:
        try:
            quota, period = (root / "cpu.max").read_text().split()
        except FileNotFoundError:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text()
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # none, or "max"
        return None
    return share if share > 0 else None


def share(jobs: int) -> int:
    """Return how many cores each of so many trials gets."""
    return max(1, usable_cores() // jobs)


def cores_of_a_worker() -> int:
    """Count the cores of one trial in a worker process: what ``OMP_NUM_THREADS`` grants, else one.

    Workers of ours begin with their share; those of Dask's own nanny with 1, unless their owner says more.
    """
    granted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, min(int(granted), usable_cores())) if granted.isdecimal() else 1


def in_words(jobs: int) -> str:
    """Say what each of several trials gets; nothing of one alone, which has the whole machine."""
    if jobs == 1:
        return ""
    return f"{jobs} trials at a time, each with {share(jobs)} of {usable_cores()} cores"


class ThreadLimit:
    """Keeps the numeric libraries of several job threads from using every core each.

    threadpoolctl sets OpenMP's limit for the thread that asks, and that of BLAS for the
    process. It comes with scikit-learn; without it nothing is limited. CatBoost has
    threads of its own that it does not reach: give the model ``thread_count``.

    Args:
        threads: that each job thread may use; None limits nothing.
    """

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._local = threading.local()
        self._first: Any = None
        self._lock = threading.Lock()

    def apply(self) -> None:
        """Limit the calling thread; only before its first trials, as looking takes milliseconds."""
        if self._threads is None or (looks := getattr(self._local, "looks", 0)) >= _LOOKS:
            return
        self._local.looks = looks + 1
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            self._threads = None
            return
        with self._lock:  # the first to ask notes what there was, before another has changed it
            limits = threadpool_limits(self._threads)
            self._first = self._first or limits

    def lift(self) -> None:
        """Give the libraries of the process what they had."""
        with self._lock:
            first, self._first = self._first, None
        if first is not None:
            first.restore_original_limits()
