"""Whether a loaded module of the user's is what its file says: an import reads no file twice."""

from __future__ import annotations

import ast
import functools
import sys
import time
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from optuna_nb.tuning.meaning import is_same_code
from optuna_nb.tuning.user_files import file_of_module

if TYPE_CHECKING:
    from collections.abc import Mapping

_GONE = object()
_BEGAN = time.time()  # about when this process did


def is_edited(module_name: str) -> bool:
    """Tell whether the file of a loaded module has other functions or settings by now.

    Args:
        module_name: One that is not loaded, or is a library's, is not edited.
    """
    module = sys.modules.get(module_name)
    path = None if module is None else file_of_module(module_name)
    if module is None or path is None:
        return False
    try:
        stat = path.stat()
        codes, settings = _said(str(path), (stat.st_mtime_ns, stat.st_size))
    except (OSError, SyntaxError, ValueError, RecursionError):  # gone meanwhile, or no Python of today
        return False
    if stat.st_mtime <= _BEGAN:  # what is set otherwise is the notebook's doing, and so is what is wrapped
        return False
    live = vars(module)
    if any(repr(live.get(name, _GONE)) != repr(value) for name, value in settings.items()):
        return True
    return _any_differs(codes, live, str(path))


@functools.lru_cache(maxsize=1024)
def _said(path: str, stamp: tuple[int, int]) -> tuple[list[CodeType], dict[str, Any]]:  # noqa: ARG001 - a key
    """Return the functions and classes of a file, and the names that it sets to a literal once."""
    tree = ast.parse(Path(path).read_bytes())
    code = compile(tree, path, "exec", dont_inherit=True)
    changed = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    names = [it for it in ast.walk(tree) if isinstance(it, ast.Name)]
    assigned = [it.id for it in names if not isinstance(it.ctx, ast.Load)]
    settings: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Constant(value)):
                if name not in changed and assigned.count(name) == 1:
                    settings[name] = value
    return [it for it in code.co_consts if isinstance(it, CodeType)], settings


def _any_differs(codes: list[CodeType], live: Mapping[str, Any], path: str) -> bool:
    """Tell whether a name runs other code; where it is defined twice, than each of its definitions."""
    differs: dict[str, bool] = {}
    for code in codes:
        differs[code.co_name] = differs.get(code.co_name, True) and _differs(code, live, path)
    return any(differs.values())


def _differs(code: CodeType, live: Mapping[str, Any], path: str) -> bool:
    """Tell whether other code runs under the name of a function or class; wrapped ones are passed over."""
    found = live.get(code.co_name)
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if isinstance(found, FunctionType):
        own = found.__code__
        return own.co_name == code.co_name and own.co_filename == path and not is_same_code(own, code)
    if isinstance(found, type):
        return _any_differs([it for it in code.co_consts if isinstance(it, CodeType)], vars(found), path)
    return False
