"""What a model has said of rows, in the shape of a fitted estimator: a scorer asks no model, but this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

METHODS = ("predict", "predict_proba", "decision_function")  # of a classifier, which a scorer may ask


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier says of some rows; None where nobody asks, or it cannot tell.

    Attributes:
        chosen: Class numbers, ``(n_rows,)``.
        probable: Probabilities of all classes, ``(n_rows, n_classes)``.
        decided: Decision values in the shape of scikit-learn, ``(n_rows,)`` or ``(n_rows, k)``.
    """

    chosen: NDArray[Any] | None = None
    probable: NDArray[Any] | None = None
    decided: NDArray[Any] | None = None

    def __getitem__(self, rows: Any) -> Answers:
        return Answers(
            *(None if it is None else it[rows] for it in (self.chosen, self.probable, self.decided))
        )


def ask(model: Any, X: Any, classes: int, asked: Collection[str]) -> Answers:
    """Ask a classifier of class numbers what a scorer wants to know.

    Args:
        model: Fitted; it may know less classes than there are.
        X: The rows.
        classes: How many classes there are.
        asked: Names of its methods.
    """
    chosen = np.ravel(model.predict(X)) if "predict" in asked else None
    probable = decided = None
    if "predict_proba" in asked:
        known = model.predict_proba(X)
        probable = np.zeros((len(known), classes))
        probable[:, model.classes_] = known
    if "decision_function" in asked:
        decided = _of_all_classes(model, np.asarray(model.decision_function(X)), classes)
    return Answers(chosen, probable, decided)


def _of_all_classes(model: Any, decided: NDArray[Any], classes: int) -> NDArray[Any] | None:
    """Put the classes that the training rows lacked below all others."""
    if len(model.classes_) == classes:
        return decided
    if decided.ndim == 1:
        decided = np.column_stack([-decided, decided])
    elif getattr(model, "decision_function_shape", None) == "ovo":  # a column for each pair of classes
        return None
    found = np.full((len(decided), classes), decided.min() - 1)
    found[:, model.classes_] = decided
    return found


class Predicted(BaseEstimator):  # type: ignore[misc]
    """Predictions that were made before, in the shape of a fitted estimator."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Predicted:  # noqa: ARG002 - scikit-learn's signature
        """Return itself: what was predicted stays."""
        return self


class PredictedClasses(ClassifierMixin, Predicted):  # type: ignore[misc]
    """What was said of classes in the order of ``classes``: :class:`Answers`, or probabilities alone."""

    def __init__(self, values: Any, classes: Any) -> None:
        super().__init__(values)
        self.classes = classes
        self.classes_ = classes
        self.said_ = values if isinstance(values, Answers) else Answers(probable=values)

    def predict(self, X: Any) -> Any:  # noqa: ARG002 - known already
        """Return the class that was chosen, or the most probable one, of each row."""
        chosen, probable = self.said_.chosen, self.said_.probable
        return self.classes_[np.argmax(probable, axis=1) if chosen is None else chosen]  # type: ignore[arg-type]

    @available_if(lambda self: self.said_.probable is not None)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:  # noqa: ARG002 - known already
        """Return the probabilities."""
        return self.said_.probable

    @available_if(lambda self: self.said_.decided is not None)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:  # noqa: ARG002 - known already
        """Return the decision values."""
        return self.said_.decided


class PredictedNumbers(RegressorMixin, Predicted):  # type: ignore[misc]
    """Predicted numbers, ``(n_rows,)``."""

    def predict(self, X: Any) -> Any:  # noqa: ARG002 - known already
        """Return the numbers."""
        return self.values
