"""How `make docs` builds the pages; nothing of it needs a network."""

import shutil
import sys
from pathlib import Path

import optuna_nb

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))

project = "optuna_nb"
author = "The optuna_nb authors"
copyright = "2026, The optuna_nb authors"  # noqa: A001 - Sphinx reads this name
version = release = optuna_nb.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "help_texts",
]
exclude_patterns = ["_build", "_ext", "**/.ipynb_checkpoints"]
nitpicky = False

# Notebooks are shown as they were saved. They live beside docs/, and Sphinx reads only below it.
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "text/html", 0)]  # the static bundle, as a widget needs a kernel
nb_ipywidgets_js = {}  # would be fetched from another host
myst_heading_anchors = 3
# mystnb.unknown_mime_type: a saved widget also holds types that only a kernel can show.
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
maximum_signature_line_length = 88
strip_signature_backslash = True  # `continue_` would be a link in a list of parameters
napoleon_google_docstring = True
napoleon_numpy_docstring = False
default_role = "code"  # docstrings of magics use single backticks, as a notebook shows them

copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
pygments_style = "tango"
pygments_dark_style = "github-dark"
html_title = "optuna_nb"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def _copy_notebooks() -> None:
    shutil.rmtree(HERE / "notebooks", ignore_errors=True)
    (HERE / "notebooks").mkdir()
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        shutil.copy2(path, HERE / "notebooks" / path.name)


_copy_notebooks()
