"""Names that code takes out of a text: what a magic runs, what a command or a query puts in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType

_MAGICS = frozenset({"run_line_magic", "run_cell_magic"})
_RUN_CODE = frozenset({"time", "timeit", "prun", "memit", "mprun", "lprun"})  # magics, by their names
_COMMANDS = frozenset({"system", "getoutput"})  # ``!cmd``
_QUERIES = frozenset({"query", "eval"})  # of pandas

_NAME = re.compile(r"[^\W\d]\w*")
_EXPANDED = re.compile(r"\{([^{}]*)\}|\$(\w+)")  # ``{x + 1}`` and ``$x``
_QUERIED = re.compile(r"@(\w+)")


def names_in_text(code: CodeType) -> set[str]:
    """Find names in the texts of one code object, functions inside of it left out.

    A name too many does no harm where the notebook has none of it.

    Args:
        code: compiled Python; a line of IPython is a call of ``get_ipython()`` there.
    """
    called = _MAGICS | _COMMANDS | _QUERIES
    if called.isdisjoint(code.co_names):
        return set()
    texts = [it for it in code.co_consts if isinstance(it, str)]
    used = set(code.co_names)
    found: set[str] = set()
    for text in texts:
        if used & _MAGICS and not _RUN_CODE.isdisjoint(texts):
            found.update(_NAME.findall(text))
        if used & (_MAGICS | _COMMANDS):
            found.update(*(_NAME.findall(braced or plain) for braced, plain in _EXPANDED.findall(text)))
        if used & _QUERIES:
            found.update(_QUERIED.findall(text))
    return found - {*code.co_varnames, *code.co_cellvars, *code.co_freevars} - _RUN_CODE
