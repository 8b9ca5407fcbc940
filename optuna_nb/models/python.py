"""Estimators as Python that makes them, for whoever wants to build the best model without us."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WHOLE = 10**6  # characters: scikit-learn shortens what is longer than 700
_ODD = frozenset({"inf", "nan"})
_NUMBERS = "from math import inf, nan"


def written(steps: Sequence[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the user's own steps.

    Returns:
        The code of each, and the imports that it needs. A step that holds what has no
        text, as a function, is a name, ``step_1``, with a line that says what it stands for.
    """
    codes, imports = [], set()
    for k, step in enumerate(steps, 1):
        if made := code_of(step):
            code, needed = made
            imports |= needed
        else:
            code = f"step_{k}"
            imports.add(
                f"# step_{k} is the {type(step).__name__} of your own pipeline: it holds what has no text"
            )
        codes.append(code)
    return tuple(codes), tuple(sorted(imports))


def code_of(value: Any) -> tuple[str, set[str]] | None:
    """Write a value as Python, with the imports that it needs; None where something in it has no text."""
    code, imports = literal(value), imports_of(value)
    try:
        names = _names(code)
    except SyntaxError:
        return None
    if names - _ODD - {line.split()[-1] for line in imports}:
        return None
    return code, imports | ({_NUMBERS} if names & _ODD else set())


def literal(value: Any) -> str:
    """Return the Python of a value."""
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    if isinstance(plain, BaseEstimator):
        return str(plain.__repr__(N_CHAR_MAX=_WHOLE))
    if type(plain) is list:
        return f"[{', '.join(map(literal, plain))}]"
    if type(plain) is tuple:
        return f"({', '.join(map(literal, plain))}{',' if len(plain) == 1 else ''})"
    if isinstance(value, np.ufunc) and getattr(np, name := str(value.__name__), None) is value:
        return f"np.{name}"
    is_odd = isinstance(plain, float) and not math.isfinite(plain)
    return f"float('{plain}')" if is_odd else repr(plain)


def imports_of(value: Any) -> set[str]:
    """Return the imports that the code of a value needs: those of the estimators in it."""
    if isinstance(value, np.ufunc):
        return {"import numpy as np"}
    kinds = {type(it) for it in _estimators(value)}
    return {f"from {kind.__module__.split('._')[0]} import {kind.__name__}" for kind in kinds}


def _estimators(value: Any) -> Iterator[Any]:
    if hasattr(value, "get_params") and not isinstance(value, type):
        yield value
        for part in value.get_params(deep=False).values():
            yield from _estimators(part)
    elif isinstance(value, Mapping):
        yield from _estimators(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _estimators(part)


def _names(code: str) -> set[str]:
    """Return the names that code needs besides those of Python.

    Raises:
        SyntaxError: If it is no code.
    """
    found = {node.id for node in ast.walk(ast.parse(code, mode="eval")) if isinstance(node, ast.Name)}
    return found - vars(builtins).keys()
