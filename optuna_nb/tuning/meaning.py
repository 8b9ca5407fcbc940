"""A hash of what code means.

Code is hashed by its syntax tree, so comments, whitespace and docstrings do not count,
nor does the version of Python. A function counts by its source only as long as that is
what runs: a file may have been edited since it was imported.
"""

from __future__ import annotations
import __future__

import ast
import contextlib
import functools
import hashlib
import inspect
import linecache
import textwrap
import tokenize
from types import CodeType
from typing import TYPE_CHECKING, Any

from optuna_nb.tuning.plain_data import combine

if TYPE_CHECKING:
    from collections.abc import Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FUTURES = (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_FUTURE = functools.reduce(int.__or__, _FUTURES)


def digest_of_tree(tree: ast.AST) -> bytes:
    """Hash what code means, by its syntax tree: the same for every version of Python that has the syntax."""
    return combine(*_words(tree))


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            is_constant = isinstance(node, ast.Constant) and name == "value"
            if name in {"ctx", "kind", "type_comment"} or (value in (None, []) and not is_constant):
                continue
            yield name
            yield from _words(_without_docstring(node, value) if name == "body" else value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _words(item)
        yield "]"
    else:
        yield type(node).__name__
        yield repr(sorted(map(repr, node)) if isinstance(node, frozenset) else node)


def _without_docstring(node: ast.AST, body: Any) -> Any:
    if not (isinstance(node, _DEFINITIONS) and isinstance(body[0], ast.Expr)):
        return body
    first = body[0].value
    return body[1:] if isinstance(first, ast.Constant) and isinstance(first.value, str) else body


def digest_of_source(code: CodeType) -> bytes | None:
    """Hash a function by its source; None where that is not at hand, or is not what runs."""
    try:
        found = next((node for node in _definitions(code) if _defines(node, code)), None)
    except (OSError, TypeError, ValueError, SyntaxError, tokenize.TokenError, IndexError):
        return None
    return None if found is None else digest_of_tree(found)


def _definitions(code: CodeType) -> Iterator[_Function]:
    """Find where a function may be defined: where it was, or elsewhere in its file, once edited."""
    with contextlib.suppress(ValueError, SyntaxError, tokenize.TokenError, IndexError):
        lines = _lines_of(code)
        (here,) = ast.parse(textwrap.dedent("".join(inspect.getblock(lines[code.co_firstlineno - 1 :])))).body
        if isinstance(here, ast.FunctionDef | ast.AsyncFunctionDef):
            yield here
    if not (code.co_freevars or code.co_name.startswith("<")):  # none of these can be compiled alone
        yield from _functions_in("".join(_lines_of(code))).get(code.co_name, ())


def _lines_of(code: CodeType) -> list[str]:
    """Return the lines of a function's file; ``inspect`` would go through all modules to find them.

    Raises:
        OSError: If they are not at hand.
    """
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    if not lines:
        msg = f"{code.co_filename} is not at hand"
        raise OSError(msg)
    return lines


@functools.lru_cache(maxsize=32)
def _functions_in(text: str) -> dict[str, list[_Function]]:
    found: dict[str, list[_Function]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def _defines(node: _Function, code: CodeType) -> bool:
    compiled = compile_beside(code, ast.Module(body=[_undecorated(node)], type_ignores=[]))
    return any(isinstance(it, CodeType) and is_same_code(it, code) for it in compiled.co_consts)


def compile_beside(code: CodeType, source: str | ast.Module) -> CodeType:
    """Compile a module as that of a function was: with its future features, and with ``await`` as in cells.

    Raises:
        SyntaxError: If it is no Python.
        ValueError: If it holds null bytes.
    """
    flags = (code.co_flags & _FUTURE) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled: CodeType = compile(source, code.co_filename, "exec", flags=flags, dont_inherit=True)
    return compiled


def digest_of_bytecode(code: CodeType) -> str:
    """Hash what a code object does; the same in every process of one version of Python."""
    digest = hashlib.sha256(code.co_code)
    for constant in (code.co_names, *code.co_consts):
        if isinstance(constant, CodeType):
            word = digest_of_bytecode(constant)
        else:  # a set has no order that repr could tell
            word = repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)
        digest.update(f"{len(word)} {word}".encode())
    return digest.hexdigest()


def _undecorated(node: _Function) -> ast.stmt:
    fields = {name: value for name, value in ast.iter_fields(node) if name != "decorator_list"}
    return ast.copy_location(type(node)(**fields, decorator_list=[]), node)


def is_same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, docstrings apart; a file may be edited after its import."""
    if (one.co_code, one.co_names, one.co_name) != (other.co_code, other.co_names, other.co_name):
        return False
    pair = _constants(one), _constants(other)
    if len(pair[0]) != len(pair[1]):
        return False
    for mine, theirs in zip(*pair, strict=True):
        if isinstance(mine, CodeType) and isinstance(theirs, CodeType):
            same = is_same_code(mine, theirs)
        else:  # 1 == 1.0, but not as a constant; a set has no order that repr could tell
            same = mine == theirs if isinstance(mine, frozenset) else repr(mine) == repr(theirs)
        if not same:
            return False
    return True


def _constants(code: CodeType) -> tuple[Any, ...]:
    """Return the constants of a code object, but for the docstring, which is the first one of a function."""
    is_function = code.co_flags & inspect.CO_NEWLOCALS and not code.co_name.startswith("<")
    has_docstring = is_function and code.co_consts and isinstance(code.co_consts[0], str | None)
    return code.co_consts[1:] if has_docstring else code.co_consts
