"""What an objective of the notebook depends on: at its start, and looked at again later.

A second look tells which data the trials themselves change. It must not take for that
what the user changes in a cell meanwhile, so whatever the cells mention that were
started since, or a function in them reads, keeps the hash of the start. Both looks
see the names of the start: what the user rebinds later is not what the trials read.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import TYPE_CHECKING

from optuna_nb.tuning.fingerprint import examine
from optuna_nb.tuning.reads import reads_of_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from optuna_nb.tuning.fingerprint import Examination

_OUR_LINE = re.compile(r"(?m)^\s*%tune\b.*$")


def examine_twice(
    shell: InteractiveShell,
    code: str,
    names: Mapping[str, object],
    frozen: tuple[Mapping[str, object], Mapping[str, object]],
    *,
    is_cell: bool,
) -> tuple[Examination, Callable[[], Mapping[str, str]]]:
    """Fingerprint code of the notebook now, and return how to do so again.

    Args:
        shell: the running IPython.
        code: plain Python.
        names: what the code's global names mean.
        frozen: the live namespace of the functions that it calls, and its names of now.
        is_cell: whether the code is all that the present cell runs; otherwise what else
            that cell mentions may be changed by it.

    Returns:
        The fingerprint of now, and a function that gives the one of later, to be called
        from any one thread.
    """
    first = examine(code, names, frozen)
    seen = len(_cells(shell)) - (not is_cell)

    def again() -> Mapping[str, str]:
        later = examine(code, names, frozen).parts
        words = _words(_cells(shell)[max(seen, 0) :])
        if is_cell:  # otherwise they mention the function that is tuned
            words |= _read_by(words, shell.user_ns, first.parts)
        return {
            part: first.parts.get(part, digest) if words & set(re.findall(r"\w+", part)) else digest
            for part, digest in later.items()
        }

    return first, again


def _cells(shell: InteractiveShell) -> list[str]:
    """Return the text of the cells that were started so far, the present one last."""
    return list(shell.history_manager.input_hist_raw) if shell.history_manager else []


def _read_by(words: set[str], names: Mapping[str, object], parts: Mapping[str, str]) -> set[str]:
    """Collect what the functions that cells mention read in turn, but for those that the trials call, too."""
    found: set[str] = set()
    waiting = list(words)
    while waiting:
        name = waiting.pop()
        value = names.get(name)
        if isinstance(value, FunctionType) and f"def {name}" not in parts:
            new = set(reads_of_code(value.__code__)) - found
            found |= new
            waiting += new
    return found


def _words(cells: list[str]) -> set[str]:
    """Collect the words of cells; a ``%%tune`` cell changes nothing where the notebook sees it."""
    own = [_OUR_LINE.sub("", cell) for cell in cells if not cell.lstrip().startswith("%%tune")]
    return {word for cell in own for word in re.findall(r"\w+", cell)} - {"data", "def", "class", "import"}
