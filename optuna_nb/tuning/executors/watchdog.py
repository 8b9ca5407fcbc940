"""Loaded by each worker process that we start: it ends with its parent, or when it takes too much memory."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import psutil

PARENT = "OPTUNA_NB_PARENT"  # the variable that names it: it may be gone before a worker can look
LOOK_SECONDS = 0.25
_SHARE = 0.95  # of the memory limit; beyond, the system might choose what to kill, and choose badly


def dask_setup(worker: Any) -> None:
    """Begin to watch; Dask calls it by this name."""
    limit = worker.memory_manager.memory_limit
    parent = int(os.environ[PARENT])
    watch = threading.Thread(target=_watch, args=(parent, limit), name="optuna_nb watchdog", daemon=True)
    watch.start()


def _watch(parent: int, limit: int | None) -> None:
    process = psutil.Process()
    while os.getppid() == parent and (limit is None or process.memory_info().rss < _SHARE * limit):
        time.sleep(LOOK_SECONDS)
    os._exit(1)
