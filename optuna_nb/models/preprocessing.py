"""What stands before a model that cannot take text or gaps: fitted inside each fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from pandas.api.types import is_numeric_dtype
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from optuna_nb.models.categories import Categories
from optuna_nb.models.learner import CATEGORIES_IMPORT, Recipe

if TYPE_CHECKING:
    from optuna_nb.models.problem import Problem

_TREES = ("random_forest", "extra_trees", "decision_tree")
_CATEGORIES = {
    "xgboost": "category",
    "hist_gradient_boosting": "category",
    "catboost": "text",
}


def find_recipe(model: str, problem: Problem) -> Recipe:
    """Return the preprocessing that a known model needs for a problem; often none."""
    if model in _CATEGORIES:
        if not problem.categorical:
            return Recipe()
        form = _CATEGORIES[model]
        return Recipe((Categories(form),), (f"Categories({form!r})",), (CATEGORIES_IMPORT,))  # type: ignore[arg-type]
    recipe = (
        _scaled(problem) if model not in _TREES else _numbered(problem) if problem.categorical else Recipe()
    )
    if all(_is_uniform(problem.X[name]) for name in problem.categorical):
        return recipe
    return Recipe(  # the encoders of scikit-learn take one type a column
        (Categories("text"), *recipe.steps),
        ("Categories('text')", *recipe.steps_code),
        (CATEGORIES_IMPORT, *recipe.imports),
    )


def _is_uniform(column: pd.Series) -> bool:
    """Tell whether all values are of one type, but for gaps as numpy has them."""
    values = list(pd.unique(column.astype(object)))
    if any(it is pd.NA for it in values):
        return False
    return len({type(it) for it in values if not (it is None or it != it)}) <= 1  # noqa: PLR0124 - NaN


def _numbered(problem: Problem) -> Recipe:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    rest, rest_code = "passthrough", '"passthrough"'
    more: tuple[str, ...] = ()
    if any(isinstance(it, ExtensionDtype) and is_numeric_dtype(it) for it in problem.X.dtypes):
        rest = FunctionTransformer(
            pd.DataFrame.astype, kw_args={"dtype": "float64"}
        )  # Int64 has gaps of its own
        rest_code = 'FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "float64"})'
        more = ("import pandas as pd", "from sklearn.preprocessing import FunctionTransformer")
    step = make_column_transformer((encoder, make_column_selector(dtype_exclude="number")), remainder=rest)
    code = (
        'make_column_transformer((OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), '
        f'make_column_selector(dtype_exclude="number")), remainder={rest_code})'
    )
    imports = (
        "import numpy as np",
        "from sklearn.compose import make_column_selector, make_column_transformer",
        "from sklearn.preprocessing import OrdinalEncoder",
        *more,
    )
    return Recipe((step,), (code,), imports)


def _scaled(problem: Problem) -> Recipe:
    missing = bool(
        pd.isna(problem.X).to_numpy().any() if hasattr(problem.X, "iloc") else np.isnan(problem.X).any()
    )
    if not problem.categorical:
        if not missing:
            return Recipe(
                (StandardScaler(),),
                ("StandardScaler()",),
                ("from sklearn.preprocessing import StandardScaler",),
            )
        return Recipe(
            (SimpleImputer(strategy="median"), StandardScaler()),
            ('SimpleImputer(strategy="median")', "StandardScaler()"),
            (
                "from sklearn.impute import SimpleImputer",
                "from sklearn.preprocessing import StandardScaler",
            ),
        )
    step = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    code = (
        'make_column_transformer((make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), '
        'make_column_selector(dtype_include="number")), '
        '(OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False), '
        'make_column_selector(dtype_exclude="number")))'
    )
    imports = (
        "from sklearn.compose import make_column_selector, make_column_transformer",
        "from sklearn.impute import SimpleImputer",
        "from sklearn.pipeline import make_pipeline",
        "from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler",
    )
    return Recipe((step,), (code,), imports)
