"""The notebook's side: magics, options, completion, and the cell that becomes an objective."""

DEFAULT_STORAGE = "sqlite:///optuna_nb.db"  # in the working folder
