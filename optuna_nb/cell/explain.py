"""What the code behind a message means: the error index, which is installed with the package."""

from __future__ import annotations

import functools
import re
from importlib.resources import files

from optuna_nb.errors import InvalidOptionError

_SECTION = re.compile(r"^### (NB\d{3})\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


class Explanation(str):
    """Markdown that a notebook shows as such, and that reads well as plain text."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return it as it is."""
        return str(self)

    def _repr_markdown_(self) -> str:
        return str(self)


def explain(code: str) -> Explanation:
    """Return what the error index says of a code.

    Args:
        code: As it stands behind a message: ``"NB101"``, also as ``"[nb101]"``.

    Returns:
        The section of the index.

    Raises:
        InvalidOptionError: If there is no such code.
    """
    wanted = code.strip("[] ").upper()
    found = sections().get(wanted)
    if found is None:
        msg = f"there is no code {wanted:.20}: take the one in brackets behind a message, as NB101"
        raise InvalidOptionError(msg, code="NB119")
    return Explanation(f"{wanted}: {found}")


@functools.cache
def sections() -> dict[str, str]:
    """Return the text of each section of the index, by its code."""
    text = files("optuna_nb").joinpath("error_index.md").read_text(encoding="utf-8")
    return {code: body.strip() for code, body in _SECTION.findall(text)}
