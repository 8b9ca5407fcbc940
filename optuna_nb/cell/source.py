"""From the text of a ``%%tune`` cell to an objective that a thread can call.

The body goes through the notebook's own input transformers (so ``!cmd``, line
magics and ``await`` work), is checked, and is compiled once under the name that
the kernel gives to the cell: tracebacks show the cell's own lines, counted from
the ``%%tune`` line. Whatever cannot be an objective is refused here, before the
first trial.
"""

from __future__ import annotations
import __future__

import ast
import difflib
import re
from typing import TYPE_CHECKING

from optuna_nb.cell.dependencies import examine_twice
from optuna_nb.cell.model_type import find_model_type
from optuna_nb.cell.namespace import Snapshot
from optuna_nb.cell.portable import VALUE, CellObjective
from optuna_nb.errors import InvalidCellError
from optuna_nb.records import Objective

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from IPython.core.interactiveshell import InteractiveShell

_FUTURE_FLAGS = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_OF_IPYTHON = re.compile(r"_i{1,3}|_ih|_i\d+|_\d+")  # what was typed, and what cells showed
_REFUSED_MAGICS = {
    "debug": "asks for input, which a trial in the background cannot",
    "pdb": "asks for input, which a trial in the background cannot",
    "reset": "would empty the notebook behind your back",
}


def read_cell(shell: InteractiveShell, line: str, body: str) -> Objective:
    """Make the objective of a cell.

    Args:
        shell: the running IPython; its namespace is copied, and not written.
        line: the rest of the magic line, as the user wrote it.
        body: the lines below it.

    Returns:
        The objective. Its ``evaluate`` may be called from any thread, also from
        several at once; each call runs in a namespace of its own.

    Raises:
        InvalidCellError: the body cannot be an objective.
    """
    if not body.strip():
        msg = "the cell is empty: write what one trial does below the %%tune line, its score on the last line"
        raise InvalidCellError(msg, code="NB201")
    raw, first_line = _raw_cell(shell, line, body)
    tree = _parse(shell, body, first_line)
    _check(tree, raw.splitlines())
    python = ast.unparse(tree)
    model = find_model_type(tree, shell.user_ns)
    code = _compile(shell, tree, raw)
    snapshot = Snapshot(shell.user_ns, code)
    names = {name: it for name, it in snapshot.names.items() if _is_users(shell, name, it)}
    examined, again = examine_twice(shell, python, names, (shell.user_ns, snapshot.names), is_cell=True)
    return Objective(
        evaluate=CellObjective(snapshot, code, shell),
        code=body,
        fingerprint=examined.parts,
        model=model,
        unseen=examined.unseen,
        edited=examined.edited,
        refingerprint=again,
    )


def _raw_cell(shell: InteractiveShell, line: str, body: str) -> tuple[str, int]:
    """Find the cell as the user sees it, and the number of the body's first line in it.

    The history has it whole, with what may stand above the ``%%tune`` line. The
    kernel names the code after that text, which is how a debugger finds it.
    """
    history = shell.history_manager.input_hist_raw if shell.history_manager else []
    whole = history[-1].rstrip() if history else ""
    above = whole.removesuffix(body.rstrip()).splitlines()
    if len(whole) == len(body.rstrip()) or not above or not above[-1].lstrip().startswith("%%tune"):
        whole, above = f"%%tune {line}\n{body}".rstrip(), [line]
    return whole, len(above) + 1


def _parse(shell: InteractiveShell, body: str, first_line: int) -> ast.Module:
    """Parse the body, with the line numbers of the cell."""
    python = body
    try:
        python = str(shell.transform_cell(body))  # type: ignore[no-untyped-call]
        tree: ast.Module = ast.parse(python)
    except SyntaxError as error:
        where = _line_map(python, body, first_line).get(error.lineno or 1, first_line)
        source = (error.text or "").strip()
        msg = f"{type(error).__name__} in line {where}: {error.msg}" + (f": `{source}`" if source else "")
        raise InvalidCellError(msg, code="NB202") from None
    _renumber(tree, _line_map(python, body, first_line))
    return tree


def _line_map(python: str, body: str, first_line: int) -> dict[int, int]:
    """Map line numbers of the transformed text to those of the cell.

    IPython drops leading blank lines and joins continued magics, so equal lines
    are aligned, and a changed one counts on from the line before it.
    """
    new, old = python.splitlines(), body.splitlines()
    numbers: dict[int, int] = {}
    if len(new) != len(old):
        stripped = [it.strip() for it in old], [it.strip() for it in new]
        for start_old, start_new, size in difflib.SequenceMatcher(
            None, *stripped, autojunk=False
        ).get_matching_blocks():
            numbers.update({start_new + k: start_old + k for k in range(size)})
    mapped: dict[int, int] = {}
    previous = -1
    for k in range(len(new)):
        previous = numbers.get(k, previous + 1)
        mapped[k + 1] = previous + first_line
    return mapped


def _renumber(tree: ast.Module, lines: dict[int, int]) -> None:
    last = max(lines.values(), default=1)
    for node in ast.walk(tree):
        for attribute in ("lineno", "end_lineno"):
            if (number := getattr(node, attribute, None)) is not None:
                setattr(node, attribute, lines.get(number, last))


def _check(tree: ast.Module, lines: list[str]) -> None:
    """Refuse what Python would accept, or would refuse less clearly."""
    for node in _own_nodes(tree):
        if isinstance(node, ast.Return):
            msg = (
                f"`return` in line {node.lineno}: a cell has none;"
                " write the score alone on the last line, without `return`"
            )
            raise InvalidCellError(msg, code="NB203")
        if isinstance(node, ast.Call) and lines[node.lineno - 1].lstrip().startswith("%%"):
            magic = lines[node.lineno - 1].strip()
            msg = f"a cell magic inside a %%tune cell does not work: take `{magic}` (line {node.lineno}) out"
            raise InvalidCellError(msg, code="NB204")
        if (name := _line_magic(node)) in _REFUSED_MAGICS:
            msg = f"%{name} {_REFUSED_MAGICS[name]}: take it out (line {getattr(node, 'lineno', '?')})"
            raise InvalidCellError(msg, code="NB204")
    if not tree.body:
        msg = "the cell holds only comments: end it with the score on a line of its own"
        raise InvalidCellError(msg, code="NB201")
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        return
    targets = last.targets if isinstance(last, ast.Assign) else [getattr(last, "target", None)]
    if isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and isinstance(targets[0], ast.Name):
        name = targets[0].id
        msg = (
            f"the last line assigns `{name}` and gives no score: add `{name}` on a line of its own at the end"
        )
    else:
        msg = f"the cell ends with a statement (line {last.lineno}): add the score on a line of its own below"
    raise InvalidCellError(msg, code="NB205")


def _line_magic(node: ast.AST) -> str:
    """Name the line magic that a node runs, as the input transformers write it."""
    match node:
        case ast.Call(ast.Attribute(_, "run_line_magic"), [ast.Constant(str(name)), *_]):
            return name
    return ""


def _own_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the nodes that run in the cell's own scope."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _own_nodes(child)


def _compile(shell: InteractiveShell, tree: ast.Module, raw: str) -> CodeType:
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):  # _check has refused it
        raise TypeError
    target = ast.copy_location(ast.Name(VALUE, ast.Store()), last)
    tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    tree = shell.transform_ast(tree)  # type: ignore[no-untyped-call]
    name = shell.compile.cache(raw, shell.execution_count, raw_code=raw)
    flags = (shell.compile.flags & _FUTURE_FLAGS) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        code: CodeType = compile(ast.fix_missing_locations(tree), name, "exec", flags, dont_inherit=True)
    except SyntaxError as error:  # what only the compiler finds, as a `yield` outside a function
        msg = f"{type(error).__name__} in line {error.lineno}: {error.msg}"
        raise InvalidCellError(msg, code="NB202") from None
    return code


def _is_users(shell: InteractiveShell, name: str, value: object) -> bool:
    """Whether a name is the user's, rather than one of IPython's own (as ``%who`` tells them apart)."""
    hidden = shell.user_ns_hidden
    return _OF_IPYTHON.fullmatch(name) is None and not (name in hidden and hidden[name] is value)
