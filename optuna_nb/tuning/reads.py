"""The names that code reads from outside of itself.

A name that a cell assigns before it reads it is its own, whatever the notebook calls
by that name. So statements are followed in order: after an ``if``, only what
both branches assign is the cell's own; a loop is taken to run once at least. What a
function reads counts from the moment that the function is used. Where this cannot be
known, a name counts as read from outside: a hash too many does less harm than a
change that nobody notices.

Functions that exist already are read from their bytecode, as only that says what a
name means there: a global, a local or a variable of an enclosing function.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import symtable
import sys
from importlib.util import resolve_name
from types import CodeType
from typing import TYPE_CHECKING, Any

from optuna_nb.tuning.names_in_text import names_in_text
from optuna_nb.tuning.user_files import file_of_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    # name -> the attributes of it that are read at once: "np" -> {"log", "random.rand"}; "" is it itself
    Reads = dict[str, set[str]]

_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_NO_INSTRUCTIONS = frozenset({"CACHE", "PRECALL", "EXTENDED_ARG"})
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_SETS_GLOBAL = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "DELETE_NAME"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def reads_of_code(code: CodeType) -> Reads:
    """Find the global names that compiled code reads, in functions inside of it too."""
    reads: Reads = {}
    for inner in _nested(code):
        _collect(inner, reads)
    return reads


def outside_reads(tree: ast.Module) -> Reads:
    """Find the names that a cell reads before it assigns them.

    Raises:
        SyntaxError: the tree cannot be compiled.
    """
    cell = _Cell()
    cell.block(tree.body)
    for name in list(cell.later):
        cell.bound.discard(name)
        cell.use_later(name)
    return cell.reads


def names_in(code: CodeType) -> Iterator[str]:
    """List all names and attributes that compiled code uses, in functions inside of it too."""
    for inner in _nested(code):
        yield from inner.co_names
        yield from names_in_text(inner)


def names_set_by(code: CodeType) -> set[str]:
    """Name the globals that compiled code sets or deletes, in functions inside of it too."""
    instructions = (it for inner in _nested(code) for it in dis.get_instructions(inner))
    return {str(it.argval) for it in instructions if it.opname in _SETS_GLOBAL}


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def imports_of_code(code: CodeType, package: str) -> Iterator[str]:
    """Name what the import statements of compiled code may load, in functions inside of it too.

    Args:
        code: Of a function.
        package: That its module is in; empty for a cell.
    """
    for inner in _nested(code):
        said: list[Any] = [0, None]
        for instruction in dis.get_instructions(inner):
            if instruction.opname == "IMPORT_NAME":  # after the level and the list of names
                level, names = said[-2:]
                with contextlib.suppress(ImportError):
                    base = resolve_name("." * level + str(instruction.argval), package)
                    yield base
                    yield from (f"{base}.{name}" for name in names or ())
            if instruction.opname not in _NO_INSTRUCTIONS:
                said.append(instruction.argval)


def _collect(code: CodeType, reads: Reads) -> None:
    for found in names_in_text(code):
        reads.setdefault(found, set()).add("")
    name: str | None = None
    attributes: list[str] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname in _NO_INSTRUCTIONS:
            continue
        if name is not None and instruction.opname in _ATTRIBUTE:
            attributes.append(str(instruction.argval))
            continue
        if name is not None:
            reads.setdefault(name, set()).add(".".join(attributes))
        name = str(instruction.argval) if instruction.opname in _GLOBAL else None
        attributes = []


class _Cell:
    """Walks through the statements of a cell in the order in which they run."""

    def __init__(self) -> None:
        self.reads: Reads = {}
        self.bound: set[str] = set()  # assigned for certain
        self.later: dict[str, Reads] = {}  # function or class -> what it reads when it is used

    def use_later(self, name: str) -> None:
        """Count what a function of the cell reads, now that it is used."""
        for inner, attributes in self.later.pop(name, {}).items():
            self._read(inner, attributes)

    def _read(self, name: str, attributes: set[str]) -> None:
        if name in self.bound:
            self.use_later(name)
        else:
            self.reads.setdefault(name, set()).update(attributes)

    def _evaluate(self, *nodes: ast.AST | None) -> None:
        """Count what expressions or simple statements read; what they define runs at once."""
        for node in filter(None, nodes):
            named = list(_named(node))
            self._bind(*(it.target for it in named if not _is_read_first(it, node)))
            for name, attributes in reads_of_code(_compile(node)).items():
                self._read(name, attributes)
            self._bind(*(it.target for it in named))

    def _bind(self, *targets: ast.AST) -> None:
        for target in targets:
            for node in ast.walk(target):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    self.bound.add(node.id)
                    self.later.pop(node.id, None)

    def block(self, statements: Iterable[ast.stmt]) -> None:
        """Follow statements one after the other."""
        for statement in statements:
            self._statement(statement)

    def _branches(self, *branches: Iterable[ast.stmt]) -> None:
        """Follow alternatives from one start; what all of them assign is assigned."""
        start, ends = set(self.bound), []
        for branch in branches:
            self.bound = set(start)
            self.block(branch)
            ends.append(self.bound)
        self.bound = set.intersection(*ends)

    def _statement(self, node: ast.stmt) -> None:  # noqa: C901 - one branch per kind of statement
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._define(node)
            case ast.If():
                self._evaluate(node.test)
                self._branches(node.body, node.orelse)
            case ast.For() | ast.AsyncFor():
                self._evaluate(node.iter)
                self._bind(node.target)
                self.block([*node.body, *node.orelse])
            case ast.While():
                self._evaluate(node.test)
                self.block([*node.body, *node.orelse])
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    self._evaluate(item.context_expr)
                    self._bind(*filter(None, [item.optional_vars]))
                self.block(node.body)
            case ast.Match():
                self._evaluate(node.subject)
                self._branches((), *(_case(case) for case in node.cases))
            case ast.Import() | ast.ImportFrom():
                self.bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
                self.bound |= _names_of_star(node)
            case ast.Delete():
                self._evaluate(node)
                self.bound -= {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.Global() | ast.Nonlocal() | ast.Pass() | ast.Break() | ast.Continue() | ast.Return():
                self._evaluate(getattr(node, "value", None))
            case _:
                self._evaluate(node)
                self._bind(*getattr(node, "targets", []), *filter(None, [getattr(node, "target", None)]))

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        start = set(self.bound)
        ways: list[list[ast.stmt]] = [[*node.body, *node.orelse]]
        for handler in node.handlers:
            self._evaluate(handler.type)
            ways.append([_assignment(handler.name), *handler.body] if handler.name else handler.body)
        self._branches(*ways)
        after, self.bound = self.bound, start  # the last block runs wherever the first one stopped
        self.block(node.finalbody)
        self.bound |= after

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        code = _compile(node)
        now: Reads = {}
        later: Reads = {}
        _collect(code, now)
        for inner in _nested(code):
            if inner is not code:
                runs_now = isinstance(node, ast.ClassDef) and inner in code.co_consts
                _collect(inner, now if runs_now else later)
        for name, attributes in now.items():
            self._read(name, attributes)
        self.bound.add(node.name)
        self.later[node.name] = later
        if node.decorator_list:  # nobody knows what a decorator does with it
            self.use_later(node.name)


def _compile(node: ast.AST) -> CodeType:
    """Compile one statement or expression as if it stood alone at the top of a cell."""
    statement = node if isinstance(node, ast.stmt) else ast.Expr(value=node, lineno=1, col_offset=0)  # type: ignore[arg-type]
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        statement = ast.copy_location(ast.Expr(value=statement.annotation), statement)
    module = ast.fix_missing_locations(ast.Module(body=[statement], type_ignores=[]))
    code: Any = compile(module, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    assert isinstance(code, CodeType)  # noqa: S101 - compile says Any
    return code


def _named(node: ast.AST) -> Iterator[ast.NamedExpr]:
    """Find what an expression assigns by ``:=``; a lambda assigns only to itself."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.NamedExpr):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _named(child)


def _is_read_first(named: ast.NamedExpr, node: ast.AST) -> bool:
    """Tell whether a name is read in its own ``:=``, or stands before that in the expression."""
    name, place = named.target.id, (named.lineno, named.col_offset)
    inside = {id(it) for it in ast.walk(named.value)}
    reads = (
        it
        for it in ast.walk(node)
        if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Load) and it.id == name
    )
    return any(id(it) in inside or (it.lineno, it.col_offset) < place for it in reads)


def _names_of_star(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return what ``from math import *`` brings: the file of a user's module says it, else what is loaded."""
    if not isinstance(node, ast.ImportFrom) or all(alias.name != "*" for alias in node.names):
        return set()
    names: set[str] = set()
    if (path := file_of_module(node.module or "")) is not None:
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            table = symtable.symtable(path.read_text(encoding="utf-8"), str(path), "exec")
            names = {it.get_name() for it in table.get_symbols() if it.is_assigned() or it.is_imported()}
    elif (module := sys.modules.get(node.module or "")) is not None:
        names = set(getattr(module, "__all__", None) or vars(module))
    return {name for name in names if not name.startswith("_")}


def _assignment(name: str) -> ast.stmt:
    return ast.Assign(
        targets=[ast.Name(id=name, ctx=ast.Store())], value=ast.Constant(value=None), lineno=1, col_offset=0
    )


def _case(case: ast.match_case) -> list[ast.stmt]:
    """Write what a case of ``match`` binds as assignments, then its guard and its body."""
    nodes = list(ast.walk(case.pattern))
    names = [node.name for node in nodes if isinstance(node, ast.MatchAs | ast.MatchStar) and node.name]
    names += [node.rest for node in nodes if isinstance(node, ast.MatchMapping) and node.rest]
    reads: list[ast.expr] = [node.cls for node in nodes if isinstance(node, ast.MatchClass)]
    reads += [node.value for node in nodes if isinstance(node, ast.MatchValue)]
    guard = [case.guard] if case.guard else []
    lines = [ast.Expr(value=read, lineno=1, col_offset=0) for read in reads]
    checks = [ast.Expr(value=check, lineno=1, col_offset=0) for check in guard]
    return [*lines, *map(_assignment, names), *checks, *case.body]
