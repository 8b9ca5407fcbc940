"""Loaded by each worker process that we start: where cores are few, the kernel comes first.

With a worker on each core, a kernel that wakes up waits for the end of a worker's time
slice (3 ms on Linux). A lower priority lets it go first and costs the workers nothing
that the kernel does not use. Linux shares cores among sessions before it looks at
priorities, so a worker, which has a session of its own, lowers that of its session, too.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

NICE = 5  # steps behind the kernel; with less, a kernel that wakes up still waits for a slice
_SESSION = Path("/proc/self/autogroup")  # man 7 sched, "The autogroup feature"


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - so Dask calls it
    """Step back behind the kernel; Dask calls it by this name."""
    me = psutil.Process()
    with suppress(psutil.Error, OSError):  # who may not be slower than it is, is not slower
        if psutil.POSIX:
            me.nice(min(19, me.nice() + NICE))
        else:
            me.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    with suppress(OSError):  # another system, or a container that does not let us
        _SESSION.write_text(str(NICE))
