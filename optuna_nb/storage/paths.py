"""The file that a storage URL names."""

from __future__ import annotations

import os
from pathlib import Path

from optuna_nb.errors import StorageError


def sqlite_path(url: str) -> Path:
    """Return the file that a storage URL names.

    Args:
        url: ``sqlite:///tuning.db``, or a bare path. The path is taken as it
            stands: ``?``, ``%20`` and ``{}`` in it are ordinary characters.

    Raises:
        StorageError: If the URL is of a database that is not supported.
    """
    if url.startswith("sqlite:///"):
        text = url.removeprefix("sqlite:///")
    elif "://" in url:
        scheme = url.split("://", 1)[0]
        msg = f"storage {scheme}:// is not supported: use sqlite:///FILE.db"
        if scheme.startswith("postgres"):
            msg = f"{scheme}:// is no file, which this needs: `%tune push NAME FILE.db` makes one of a study"
        raise StorageError(msg, code="NB501")
    else:
        text = url
    if not text or text == ":memory:":
        msg = "an in-memory database would lose the study: use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501")
    if "\0" in text:
        msg = "a file name cannot hold a NUL character: use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501")
    try:
        path = Path(text).expanduser().absolute()
        os.fsencode(path)
        path.exists()
    except (OSError, RuntimeError, UnicodeEncodeError) as error:  # too long, no such user, half a character
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"{text[:60]!a} cannot be a file ({reason}): use sqlite:///FILE.db"
        raise StorageError(msg, code="NB501") from error
    return path


def make_private(path: Path) -> None:
    """Let only the owner of a new file read it."""
    os.chmod(path, 0o600)  # noqa: PTH101 - by descriptor or path alike
