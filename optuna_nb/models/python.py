"""Estimators as Python that makes them, for whoever wants to build the best model without us."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from collections.abc import Sequence

_WHOLE = 10**6  # characters: scikit-learn shortens what is longer than 700


def written(steps: Sequence[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the user's own steps.

    Returns:
        The code of each, and the imports that it needs. A step that holds what has no
        text, as a function, is a name, ``step_1``, with a line that says what it stands for.
    """
    codes, imports = [], set()
    for k, step in enumerate(steps, 1):
        code = step.__repr__(N_CHAR_MAX=_WHOLE) if isinstance(step, BaseEstimator) else repr(step)
        if _is_python(code):
            imports |= imports_of(step)
        else:
            code = f"step_{k}"
            imports.add(
                f"# step_{k} is the {type(step).__name__} of your own pipeline: it holds what has no text"
            )
        codes.append(code)
    return tuple(codes), tuple(sorted(imports))


def imports_of(estimator: Any) -> set[str]:
    """Return the imports that the code of an estimator needs, with those of the estimators in it."""
    parts = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    kinds = {type(it) for it in (estimator, *parts) if it is estimator or isinstance(it, BaseEstimator)}
    return {f"from {kind.__module__.split('._')[0]} import {kind.__name__}" for kind in kinds}


def _is_python(code: str) -> bool:
    try:
        ast.parse(code, mode="eval")
    except SyntaxError:
        return False
    return True
