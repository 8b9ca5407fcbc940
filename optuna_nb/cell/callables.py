"""From a Python function to an objective: its code, and what it depends on."""

from __future__ import annotations

import ast
import functools
import linecache
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.dependencies import examine_twice
from optuna_nb.cell.model_type import find_model_type
from optuna_nb.cell.namespace import Snapshot
from optuna_nb.cell.portable import FunctionObjective
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import Objective
from optuna_nb.tuning.fingerprint import examine, fingerprint
from optuna_nb.tuning.meaning import compile_beside, digest_of_bytecode, is_same_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CellType

    from IPython.core.interactiveshell import InteractiveShell
    from optuna.trial import Trial


def read_callable(objective: Callable[[Trial], Any], shell: InteractiveShell | None) -> Objective:
    """Make an objective of a function, a method, a ``partial`` or a callable object.

    A function of the notebook is frozen with the names of this moment, as a cell is.

    Args:
        objective: what is called with a trial.
        shell: the running IPython, if there is one.

    Raises:
        InvalidOptionError: it cannot be called.
    """
    if not callable(objective):
        kind = type(objective).__name__
        msg = f"objective is of type {kind}: give a function that takes a trial and returns the score"
        raise InvalidOptionError(msg, code="NB206")
    function, bound = _unwrap(objective)
    if function is None:  # a builtin, or a class
        return Objective(
            objective, repr(objective), fingerprint(ast.unparse(ast.Constant(repr(objective))), {})
        )
    source = _source(function)
    bound |= _defaults(function)
    if source is None:  # typed into a prompt, made by a program or edited since: its code identifies it
        source = ast.unparse(ast.Constant(f"{function.__qualname__} {digest_of_bytecode(function.__code__)}"))
        bound["bound_code"] = function
    captured = {
        name: cell.cell_contents
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        if _is_set(cell)
    }
    # Bound arguments and defaults are data that the function reads: named in the code, they count.
    reads = "".join(f"\n{name}" for name in bound)
    names = {**function.__globals__, **captured, **bound}
    evaluate: Callable[[Trial], Any] = objective
    if shell is not None and objective is function and function.__globals__ is shell.user_ns:
        evaluate = FunctionObjective(Snapshot(shell.user_ns, function.__code__), function, shell)

    model = find_model_type(ast.parse(source), names)
    if shell is None:  # the script is all that changes data, and nobody can tell its changes from a trial's
        examined, again = examine(source + reads, names), None
    else:
        frozen = (function.__globals__, dict(function.__globals__))
        examined, again = examine_twice(shell, source + reads, names, frozen, is_cell=False)
    return Objective(
        evaluate,
        source,
        examined.parts,
        model,
        unseen=examined.unseen,
        edited=examined.edited,
        refingerprint=again,
    )


def _unwrap(objective: Any) -> tuple[FunctionType | None, dict[str, object]]:
    """Find the function inside, and the arguments that are already bound to it."""
    if isinstance(objective, FunctionType):
        return objective, {}
    if isinstance(objective, MethodType):
        function, bound = _unwrap(objective.__func__)
        return function, {**bound, "bound_self": objective.__self__}
    if isinstance(objective, functools.partial):
        function, bound = _unwrap(objective.func)
        given = {f"bound_{k}": value for k, value in enumerate(objective.args)}
        return function, {**bound, **given, **{f"bound_{k}": v for k, v in objective.keywords.items()}}
    method = getattr(type(objective), "__call__", None)  # noqa: B004  (of a callable object)
    if isinstance(method, FunctionType):
        return method, {"bound_self": objective}
    return None, {}


def _defaults(function: FunctionType) -> dict[str, object]:
    """Return the default values of the arguments after the trial."""
    code, values = function.__code__, function.__defaults__ or ()
    last = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    given = {**dict(zip(last, values, strict=True)), **(function.__kwdefaults__ or {})}
    return {f"default_value_of_{name}": value for name, value in given.items()}


def _source(function: FunctionType) -> str | None:
    """Give the function as Python text that parses by itself; None where there is none that is what runs.

    Not ``inspect.getsource``: for a lambda that gives whole lines, with whatever
    else stands in them, and a changed argument of ``tune`` would count as a
    changed objective.
    """
    code = function.__code__
    linecache.checkcache(code.co_filename)  # the file may have been edited, and its module loaded again
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    try:
        tree = ast.parse(text)
    except SyntaxError:  # not Python as it stands, for instance a notebook file
        tree = ast.Module([], [])
    found = [node for node in ast.walk(tree) if _first_line(node) == code.co_firstlineno]
    if len(found) > 1:  # lambdas that share a line
        found = [node for node in found if _is_code_of(node, code)] or found
    if not found or _was_edited(text, code):
        return None
    return "\n".join(map(ast.unparse, found))


def _was_edited(text: str, code: CodeType) -> bool:
    """Tell whether the text has another function where the one that runs was."""
    try:
        inside = list(_all_codes(compile_beside(code, text)))
    except (SyntaxError, ValueError):
        return False
    there = [it for it in inside if (it.co_firstlineno, it.co_name) == (code.co_firstlineno, code.co_name)]
    return not any(is_same_code(it, code) for it in there)


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all_codes(constant)


def _first_line(node: ast.AST) -> int | None:
    if isinstance(node, ast.Lambda):
        return node.lineno
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return min([node.lineno, *(it.lineno for it in node.decorator_list)])
    return None


def _is_code_of(node: ast.AST, code: CodeType) -> bool:
    if not isinstance(node, ast.Lambda):
        return False
    compiled = compile(ast.Expression(node), code.co_filename, "eval")
    mine = next(it for it in compiled.co_consts if isinstance(it, CodeType))
    return is_same_code(mine, code)


def _is_set(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
