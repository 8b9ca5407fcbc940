"""Whether a file gets a write-ahead log: where its file system can hold one, so not over a network.

The log needs memory that all processes share, which two machines do not have
(https://www.sqlite.org/wal.html). Without it SQLite writes each commit twice, into a
rollback journal and into the file, and is only safe when it waits for the disk.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_OF_A_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "ncpfs", "afs", "coda"),
        *("ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.glusterfs", "fuse.ceph", "fuse.sshfs"),
        *("fuse.davfs", "fuse.davfs2", "fuse.rclone", "fuse.gcsfuse", "fuse.s3fs", "fuse.goofys"),
        *("fuse.blobfuse", "fuse.blobfuse2", "fuse.juicefs", "fuse.drive"),
    }
)


def use_log(connection: sqlite3.Connection, path: Path, seconds: float) -> str:
    """Switch the log on where that is safe.

    Args:
        connection: To the file, in autocommit mode.
        path: Of the file.
        seconds: How long to wait for other programs.

    Returns:
        Why there is none; empty where there is one.
    """
    network = network_of(path.parent)
    with_log = _mode(connection, "DELETE" if network else "WAL", seconds) == "wal"
    # Checkpoints are taken by Database.checkpoint alone: SQLite before 3.51.3 can
    # lose a commit when one connection checkpoints while another restarts the log.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if with_log else 'FULL'}")
    if with_log:
        return ""
    return f"it is on a network file system ({network})" if network else "its file system cannot hold one"


def _mode(connection: sqlite3.Connection, wanted: str, seconds: float) -> str:
    end = time.monotonic() + seconds
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
        except sqlite3.OperationalError as error:  # SQLite does not wait for this one by itself
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            if wanted == "DELETE":  # another program has the file open with a log, on this machine
                return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            time.sleep(0.01)


@functools.lru_cache(maxsize=64)
def network_of(folder: Path) -> str:
    """Return the kind of network file system that holds a folder; empty for one of this machine."""
    real = folder.resolve()
    if str(real).startswith("\\\\"):
        return "a share"
    mounts = [it for it in psutil.disk_partitions(all=True) if real.is_relative_to(it.mountpoint)]
    if not mounts:
        return ""
    nearest = max(reversed(mounts), key=lambda it: len(it.mountpoint))  # the last one mounted is what is seen
    is_remote = nearest.fstype.lower() in _OF_A_NETWORK or "remote" in nearest.opts.split(",")
    return nearest.fstype if is_remote else ""
