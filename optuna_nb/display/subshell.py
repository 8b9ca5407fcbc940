"""Lets a click be heard while another cell runs.

JupyterLab sends the messages of widgets to a subshell, a second thread of the
kernel that is free while a cell keeps the main one busy. ipykernel 7.4 overrides
that address: a reply goes to whichever shell the widget last *sent* from, so
that a cell that waits for its own widget gets the answer. A panel sends from the
main shell (it was made there) and waits for nothing, so its clicks would queue
behind the running cell. Here a comm is told to keep the address that the front
end chose.

Kernels from 7.0 to 7.3 keep that address anyway, and have no such method.
Before 7.0 there are no subshells, and a click waits for the end of the cell.
"""

from __future__ import annotations

from typing import Any

_ROUTE = "_reply_subshell_for"


def answer_where_asked(comm: Any) -> bool:
    """Let the front end choose the shell in which a comm's messages are handled.

    Args:
        comm: A widget's comm; any object, or None where there is no kernel.

    Returns:
        Whether the comm had another opinion, which is now overridden.
    """
    if not hasattr(comm, _ROUTE):
        return False
    setattr(comm, _ROUTE, _as_addressed)
    return True


def _as_addressed(_data: object, addressed: str | None) -> str | None:
    """Stand in for ``BaseComm._reply_subshell_for``: data of the message, its own subshell id."""
    return addressed
