"""Automatic tuning of known models: what ``%autotune`` is made of.

``autotune.py`` is where to begin: a problem is read, its rows are split into folds, a
learner binds them to a library, and ``evaluation.py`` is the objective of it all.
"""

import importlib.util as _util

from optuna_nb.errors import InvalidOptionError as _InvalidOptionError

if _util.find_spec("sklearn") is None:
    raise _InvalidOptionError('autotune needs scikit-learn: pip install "optuna-nb[lab]"', code="NB118")
