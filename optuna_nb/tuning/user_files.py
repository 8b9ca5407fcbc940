"""Which modules are the user's own: those of the project, and no library's. Nothing is imported to tell.

The project is the folder in which the kernel works at its first tuning, or the repository
that this is in. It stays so: ``%cd`` does not change what an objective depends on.
"""

from __future__ import annotations

import ast
import functools
import os
import sys
import sysconfig
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = str(Path(__file__).resolve().parents[1])
_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")  # of the top of a project


@functools.cache
def project() -> str:
    """Return the folder of the user's modules, as of the first time that it is asked for."""
    try:
        here = Path(os.path.realpath(Path.cwd()))
    except OSError:  # the working folder is gone
        return ""
    marked = (it for it in (here, *here.parents) if any((it / mark).exists() for mark in _MARKS))
    top = next(marked, here)
    no_project = (Path(os.path.expanduser("~")), Path(top.anchor))  # noqa: PTH111 - Path.home() may raise
    return str(here if top in no_project else top)


def is_user_file(path: str | None) -> bool:
    """Tell whether a file or a folder is of the project, and no library's."""
    if not path or str(path).startswith("<") or not project():
        return False
    try:
        return _is_in(str(path), project())
    except (OSError, ValueError):  # this is no path
        return False


def is_user_module(module: Any) -> bool:
    """Tell whether a module is the user's; a folder without ``__init__.py`` is one, too."""
    path = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return is_user_file(path)


@functools.lru_cache(maxsize=1024)
def _is_in(path: str, top: str) -> bool:
    full = os.path.realpath(path)
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _PACKAGE)
    if any(full.startswith(os.path.realpath(library) + os.sep) for library in libraries):
        return False
    is_inside = full.startswith(top.rstrip(os.sep) + os.sep)
    return is_inside and not {"site-packages", "dist-packages"} & set(Path(full).parts)


def file_of_module(name: str) -> Path | None:
    """Find the file of a module of the user's; None for a library, and for what is no module."""
    top, *inner = name.split(".")
    try:
        spec = getattr(sys.modules.get(top), "__spec__", None) or PathFinder.find_spec(top)
        if spec is None:
            return None
        found = [spec.origin] if not inner else []
        for place in spec.submodule_search_locations or ():
            base = os.path.join(place, *inner)  # noqa: PTH118 - an ending follows
            found += [f"{base}.py", os.path.join(base, "__init__.py")] if inner else []  # noqa: PTH118
        users = (it for it in found if it and it.endswith(".py") and is_user_file(it) and Path(it).is_file())
        return next(map(Path, users), None)
    except (ImportError, OSError, ValueError, AttributeError, TypeError):  # a name or a path that cannot be
        return None


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Name what the import statements of code may load.

    Args:
        tree: Of a cell or a module.
        package: That the module is in; empty for a cell.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # which may be modules in it
