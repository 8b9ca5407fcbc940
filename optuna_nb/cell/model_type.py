"""Which type of model a cell fits, as far as its text tells.

The name goes into the records of the study. ``--model`` says it where the text
does not.
"""

from __future__ import annotations

import ast
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_USUAL_NAMES = frozenset(
    {"model", "clf", "classifier", "reg", "regressor", "estimator", "est", "pipe", "pipeline"}
)


def find_model_type(tree: ast.Module, namespace: Mapping[str, object]) -> str | None:
    """Name the class of the model that the cell constructs, or None.

    What is assigned to ``model`` (or a name like it) counts first, then the last
    predictor that is constructed, then anything that can be fitted. A pipeline
    is named after its last predictor.

    Args:
        tree: the parsed cell; it is not changed.
        namespace: the names that the cell will find; nothing in it is called.
    """
    local = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(_is_usual(target) for target in node.targets):
            value = node.value
            if not isinstance(value, ast.Call):
                continue
            name = _class_name(value.func)
            root = next((it.id for it in ast.walk(value.func) if isinstance(it, ast.Name)), None)
            known = _resolve(value.func, namespace)
            if name and name != "Pipeline" and (_has(known, "fit") or (root in local and name[:1].isupper())):
                return name
    calls = sorted(_constructed(tree, namespace), key=lambda found: found[0])
    predictors = [name for _, name, cls in calls if _has(cls, "predict") and name != "Pipeline"]
    fittable = [name for _, name, _ in calls]
    best = predictors or fittable
    return best[-1] if best else None


def _constructed(
    tree: ast.Module, namespace: Mapping[str, object]
) -> Iterator[tuple[tuple[int, int], str, object]]:
    """Find the calls of classes that have ``fit``, with their places."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            cls, name = _resolve(node.func, namespace), _class_name(node.func)
            if name and _has(cls, "fit"):
                yield (node.lineno, node.col_offset), name, cls


def _resolve(function: ast.expr, namespace: Mapping[str, object]) -> object:
    if isinstance(function, ast.Name):
        return namespace.get(function.id)
    if isinstance(function, ast.Attribute):  # ``xgboost.XGBClassifier``
        owner = _resolve(function.value, namespace)  # of anything else, an attribute may be code that runs
        return getattr(owner, function.attr, None) if isinstance(owner, (ModuleType, type)) else None
    return None


def _class_name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _has(cls: object, method: str) -> bool:
    return isinstance(cls, type) and callable(getattr(cls, method, None))


def _is_usual(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.lower() in _USUAL_NAMES
