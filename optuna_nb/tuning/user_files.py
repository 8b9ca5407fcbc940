"""Which modules are the user's own: those of the project, and no library's.

The project is the working folder, or the repository that it is in. A folder that
was once the working folder stays one of the user's: ``%cd`` does not change what
an objective depends on.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = str(Path(__file__).resolve().parents[1])
_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")  # of the top of a project
_projects: dict[str, None] = {}  # in which this process has worked


def note_folder() -> None:
    """Take the working folder for one of the user's, now and later."""
    with contextlib.suppress(OSError):  # it may be gone
        _projects[_project(str(Path.cwd()))] = None


def is_user_file(path: str | None) -> bool:
    """Tell whether a file is of the project, and no library's."""
    note_folder()
    if not path or str(path).startswith("<"):
        return False
    try:
        return any(_is_in(str(path), project) for project in tuple(_projects))
    except (OSError, ValueError):  # this is no path
        return False


@functools.lru_cache(maxsize=64)
def _project(folder: str) -> str:
    """Return the repository that a folder is in, or the folder itself."""
    here = Path(os.path.realpath(folder))
    marked = (it for it in (here, *here.parents) if any((it / mark).exists() for mark in _MARKS))
    top = next(marked, here)
    return str(here if top in (Path.home(), Path(top.anchor)) else top)


@functools.lru_cache(maxsize=1024)
def _is_in(path: str, project: str) -> bool:
    full = os.path.realpath(path)
    libraries = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _PACKAGE)
    if any(full.startswith(os.path.realpath(library) + os.sep) for library in libraries):
        return False
    is_inside = full.startswith(project.rstrip(os.sep) + os.sep)
    return is_inside and not {"site-packages", "dist-packages"} & set(Path(full).parts)


def local_imports(tree: ast.AST) -> Iterator[tuple[str, ast.Module]]:
    """Find the modules of the user's that code imports, and those that these import in turn.

    Yields:
        The name of each one, once, and its syntax tree.
    """
    waiting = list(_imported(tree, ""))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if (path := _file_of_module(name)) is not None:
            inner = ast.parse(path.read_bytes())
            yield name, inner
            waiting += _imported(inner, name if path.name == "__init__.py" else name.rpartition(".")[0])


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Name what the import statements in a module of a package may load."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            relative = "." * node.level + (node.module or "")
            try:
                base = importlib.util.resolve_name(relative, package)
            except ImportError:
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)  # which may be modules in it


def _file_of_module(name: str) -> Path | None:
    """Find the file of a module of the user's; None for a library. Imports parent packages."""
    if not is_user_file(_file_of_package(name.partition(".")[0])):
        return None  # nothing of a library is imported to look into it
    found = _file_of_package(name)
    return Path(found) if found and is_user_file(found) and found.endswith(".py") else None


def _file_of_package(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    places = (spec.origin, *(spec.submodule_search_locations or ())) if spec else ()
    return next(filter(None, places), None)  # a folder without __init__.py is a package, too
