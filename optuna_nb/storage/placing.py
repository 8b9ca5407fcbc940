"""Giving a new file its name: it is there whole or not at all, whoever is killed or is quicker."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def put(draft: Path, path: Path) -> None:
    """Give a whole file its name.

    Raises:
        FileExistsError: If another file has it.
        OSError: If the folder cannot be written.
    """
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here, as on exFAT and on drives of the cloud
        if not path.exists():
            draft.rename(path)


def set_aside_log_without_file(path: Path) -> None:
    """Rename the write-ahead log of a file that was deleted: SQLite would play it into the new one.

    It is kept, as the file may only have been moved, and the log may hold what is not in it.
    """
    log = path.with_name(f"{path.name}-wal")
    aside = path.with_name(f"{path.name}-wal.of-a-deleted-file")
    with contextlib.suppress(FileNotFoundError):
        log.rename(aside)
        if path.exists():  # another kernel was quicker, and the log is its own
            aside.rename(log)
