"""Which names a study can have, whether a line, a function or a file gives them."""

from __future__ import annotations

import re

from optuna_nb.errors import InvalidOptionError

# The verbs of %tune: `%tune best` must not mean a study.
RESERVED = (
    *("list", "show", "wait", "pause", "resume", "stop", "best", "trials", "runs", "delete"),
    *("compare", "plot", "export", "refine", "enqueue", "rename", "dashboard", "import", "doctor"),
    *("push", "pull", "explain", "trust"),
)
_LONGEST_NAME = 500  # Optuna's column takes 512, and a version comes behind


def check_name(name: str) -> None:
    """Refuse a name that a study cannot have.

    Raises:
        InvalidOptionError: one line that names the fix.
    """
    if not name.strip():
        msg = "the study has no name: write one behind the magic, as `%%tune churn --trials 100`"
    elif name in RESERVED:
        msg = f"{name!r} is a verb of %tune and cannot name a study: take another name, as `{name}_study`"
    elif len(name) > _LONGEST_NAME or not name.isprintable():
        msg = (
            f"the name of a study has at most {_LONGEST_NAME} letters and no line breaks: take a shorter one"
        )
    elif re.search(r"@\d*$", name):
        base = name.rpartition("@")[0] or "churn"
        msg = (
            f"{name!r} names one version, and versions are counted for you; write {base!r},"
            " and --continue to stay in the old one"
        )
    elif re.search(r"\{\w+\}", name):
        msg = f"{name!r} names a variable that the notebook does not have: set it first, or write a name"
    elif name.endswith(";"):
        msg = f"a magic takes no ; at its end, which would be part of the name: write {name.rstrip('; ')!r}"
    else:
        return
    raise InvalidOptionError(msg, code="NB115")


def check_kept(name: str) -> None:
    """Refuse the name of a study from elsewhere that no study here can have.

    Raises:
        InvalidOptionError: one line that names the way out.
    """
    try:
        check_name(name)
    except InvalidOptionError as error:
        shown = f"{name[:60]!r}{'...' if len(name) > 60 else ''}"  # noqa: PLR2004 - enough to know it by
        msg = (
            f"no study here can be called {shown}: choose another name with --name,"
            " beside --study where there are several"
        )
        raise InvalidOptionError(msg, code="NB115") from error
