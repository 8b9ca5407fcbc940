"""Read data that a library keeps in memory of its own, where Python sees only a handle.

XGBoost's ``DMatrix`` and CatBoost's ``Pool`` give what they hold through methods, and so do
XGBoost's ``Booster`` and the trees of scikit-learn. No library is imported for it: whoever
made such an object has imported it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = frozenset({"xgboost", "catboost"})
_METHODS = {  # the one that gives the data -> the others that say what counts
    "get_data": ("get_label", "get_weight", "get_base_margin", "get_group"),
    "get_features": (
        *("get_label", "get_weight", "get_baseline", "get_group_id_hash"),
        *("get_feature_names", "get_cat_feature_indices"),
    ),
}
_MODELS = {  # class -> the method that gives all that was learned
    ("xgboost.core", "Booster"): "save_raw",
    ("sklearn.tree._tree", "Tree"): "__getstate__",
}
_ATTRIBUTES = ("feature_names", "feature_types")


def native_parts(value: Any) -> list[tuple[str, Callable[[], Any]]] | None:
    """Return how to read each part of such an object by name, or None for any other object.

    Reading may raise whatever the library raises: CatBoost does not give text or
    categories back.
    """
    kind = type(value)
    if (model := _MODELS.get((kind.__module__, kind.__qualname__))) is not None:
        return [(model, getattr(value, model))]
    if not any(base.__module__.partition(".")[0] in _PACKAGES for base in kind.__mro__):
        return None
    for first, others in _METHODS.items():
        if hasattr(kind, first) and hasattr(kind, "get_label"):
            parts = [(name, getattr(value, name)) for name in (first, *others) if hasattr(kind, name)]
            return parts + [
                (name, lambda name=name: getattr(value, name)) for name in _ATTRIBUTES if hasattr(kind, name)
            ]
    return None
