"""The user's modules that code imports, and those that these import in turn, read from their files."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from optuna_nb.tuning.meaning import digest_of_tree
from optuna_nb.tuning.user_files import file_of_module, imported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def local_imports(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Follow modules of the user's to what they import. None of them is run.

    Args:
        names: Of modules; what is a library's, or cannot be read, is passed over.

    Yields:
        The name of each one, once, and a hash of what its file says.
    """
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if (path := file_of_module(name)) is None:
            continue
        try:
            stat = path.stat()
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            digest, further = _read(str(path), (stat.st_mtime_ns, stat.st_size), package)
        except (OSError, SyntaxError, ValueError, RecursionError):  # gone meanwhile, or no Python of today
            continue
        yield name, digest
        waiting += further


@functools.lru_cache(maxsize=4096)
def _read(path: str, stamp: tuple[int, int], package: str) -> tuple[bytes, list[str]]:  # noqa: ARG001 - a key
    tree = ast.parse(Path(path).read_bytes())
    return digest_of_tree(tree), list(imported(tree, package))


def set_by_literals(path: Path) -> set[str]:
    """Name what a module sets to what no call has made: its settings, rather than stamps and caches."""
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
            calls = any(isinstance(it, ast.Call) for it in ast.walk(value))
            found |= {it.id for it in targets if isinstance(it, ast.Name) and not calls}
    return found
