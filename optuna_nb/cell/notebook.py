"""Which notebook this is: the experiment that records belong to where none is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def notebook_path(
    namespace: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Find the path of the notebook, or the folder where nobody says it.

    Args:
        namespace: of the notebook; VS Code leaves the path there.
        environment: of the kernel; Jupyter leaves it there. None for this process's.
    """
    told = (namespace or {}).get("__vsc_ipynb_file__")
    if isinstance(told, str) and told:
        return told
    session = (os.environ if environment is None else environment).get("JPY_SESSION_NAME", "")
    return session if session.endswith(".ipynb") else str(Path.cwd())
