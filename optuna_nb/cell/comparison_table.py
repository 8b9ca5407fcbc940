"""The table of a comparison below its cell, kept up to date while its models are tuned."""

from __future__ import annotations

import contextlib
import html
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import OptunaNBError

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from optuna_nb.models.comparison import Comparison

_CODE = re.compile("`(.*?)`")
_LOOK_SECONDS = 1.0
_SHARE = 0.02  # of the time at most goes into looking


class ComparisonTable:
    """The output of one cell. A thread of its own replaces it until the comparison has ended."""

    def __init__(self, comparison: Comparison) -> None:
        """Show the table in the output of the current cell."""
        from IPython.display import DisplayHandle

        self._comparison = comparison
        self._lock = threading.Lock()
        self._shown: dict[str, Any] = {"text/plain": _head(comparison)}
        self._output: DisplayHandle = DisplayHandle()  # type: ignore[no-untyped-call]
        self._output.display(self._shown, raw=True)  # type: ignore[no-untyped-call]
        threading.Thread(target=self._follow, name="optuna_nb comparison table", daemon=True).start()

    def update(self) -> None:
        """Show what has changed; from any thread."""
        with self._lock, contextlib.suppress(OptunaNBError, OSError):  # a file may be locked for a moment
            bundle = _bundle(self._comparison)
            if bundle != self._shown:
                self._shown = bundle
                self._output.update(bundle, raw=True)  # type: ignore[no-untyped-call]

    def _follow(self) -> None:
        pause, goes_on = _LOOK_SECONDS, True
        while goes_on:
            with contextlib.suppress(TimeoutError, OptunaNBError):
                self._comparison.wait(pause)
            goes_on = self._comparison.is_running  # before the look, so that one comes after the end
            began = time.perf_counter()
            self.update()
            pause = max(_LOOK_SECONDS, (time.perf_counter() - began) / _SHARE)


def _bundle(comparison: Comparison) -> dict[str, Any]:
    head = _head(comparison)
    if not comparison.handles and not comparison.failures:
        return {"text/plain": head}
    table = comparison.table
    text = _CODE.sub(r"<code>\1</code>", html.escape(head))
    return {
        "text/plain": f"{head}\n{table.to_string(index=False)}",
        "text/html": f"<p>{text}</p>{table.to_html(index=False)}",
    }


def _head(comparison: Comparison) -> str:
    models = ", ".join(comparison.entries)
    if comparison.is_running:
        current = comparison.current
        now = f": now {current.name}, `%tune show {current.name}`" if current is not None else ""
        return f"Comparing {models}{now}"
    with contextlib.suppress(OptunaNBError):
        best = comparison.winner.name
        return f"Compared {models}. Best: {best}, `%tune best {best}`"
    return f"Compared {models}: no model has a complete trial"
