"""Which cells have run on this machine: only they start from a file without being read first.

A file of studies may come from somebody else, and its cells with it. As Jupyter keeps
signatures of the notebooks that it trusts, the digests of cells that ran here are kept in
the folder of IPython, apart from any file of studies. Where that folder may not be written,
nothing is trusted, and each start from a file is asked about.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_FILE = "optuna_nb_trusted_cells.txt"  # one SHA-256 a line


def trust(shell: InteractiveShell, code: str) -> None:
    """Remember that this user runs a cell; writes to the folder of IPython."""
    if is_trusted(shell, code):
        return
    with contextlib.suppress(OSError), _file(shell).open("a", encoding="ascii") as file:
        file.write(f"{_digest(code)}\n")


def is_trusted(shell: InteractiveShell, code: str) -> bool:
    """Tell whether this user has run a cell here, or trusts it; reads only."""
    try:
        return _digest(code) in _file(shell).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return False


def _file(shell: InteractiveShell) -> Path:
    return Path(shell.ipython_dir) / _FILE


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
