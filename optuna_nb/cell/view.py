"""What a handle looks like in a notebook: its panel, and the line of a blocking wait."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from optuna_nb.display import textbar
from optuna_nb.display.panel import Panel
from optuna_nb.records import Verbs, base_name
from optuna_nb.storage.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.display import DisplayHandle

    from optuna_nb.models.comparison import Comparison
    from optuna_nb.records import StudySnapshot
    from optuna_nb.tuning.handle import StudyHandle

_LOOK_SECONDS = 0.3
_logger = logging.getLogger("optuna_nb")


class WaitInterruptedError(KeyboardInterrupt):
    """The user interrupted a wait. The cell ends as interrupted, the tuning goes on.

    It stays a ``KeyboardInterrupt``, so that *Run All* stops here as it does for
    any interrupt, and is shown as one line.
    """

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


_panels: dict[tuple[str, str], Panel] = {}  # one a study, however often it is shown


def show(handle: StudyHandle, *, notify: bool = False) -> None:
    """Show the panel of a study in the output of the current cell."""
    panel = panel_of(handle)
    panel.notify = panel.notify or notify
    try:
        panel.show()
    except BaseException:
        forget(handle)
        raise


def panel_of(handle: StudyHandle) -> Panel:
    """Join a handle's verbs and a reader of its file in a panel, the same one for the same study."""
    key = (handle.storage, handle.study_name)
    if key not in _panels:
        verbs = Verbs(
            pause=handle.pause,
            resume=handle.resume,
            stop=handle.stop,
            stop_now=handle.stop_now,
            more=handle.more,
        )
        _panels[key] = Panel(
            lambda: Reader(handle.storage, handle.address()), verbs, when_it_ends=handle.when_it_ends
        )
    return _panels[key]


def call_at_the_end(handle: StudyHandle, function: Callable[[StudyHandle], object]) -> None:
    """Call a function of the user once the run has ended, from the thread of the run."""

    def call() -> None:
        try:
            function(handle)
        except Exception:  # whatever the user's code raises must not end the run's thread
            _logger.exception("--notify: %s failed", getattr(function, "__name__", "the function"))

    handle.when_it_ends(call)


def forget(handle: StudyHandle) -> None:
    """Close the panel of a study; the next ``show`` makes a new one."""
    panel = _panels.pop((handle.storage, handle.study_name), None)
    if panel is not None:
        panel.close()


def say_again() -> None:
    """Put into the cell that ends now what panels have said since the last: see ``Panel.say_again``."""
    for panel in list(_panels.values()):
        panel.say_again()


def close_all() -> None:
    """Close every panel of this kernel; what they showed last stays in the cells."""
    while _panels:
        _panels.popitem()[1].close()


def wait(handle: StudyHandle) -> None:
    """Block until the tuning has ended, with a line of progress.

    Raises:
        WaitInterruptedError: the user interrupted; the tuning goes on.
        ObjectiveError: the tuning failed.
    """
    with _progress(f"`%tune stop {base_name(handle.name)}` ends it") as (line, update):
        handle.wait(progress=update)
    snapshot = handle.snapshot()
    line.last("\n".join(filter(None, (textbar.line(snapshot), snapshot.note))))
    if (panel := _panels.get((handle.storage, handle.study_name))) is not None:
        panel.settle()  # the kernel may be gone right after this cell


def wait_for_all(comparison: Comparison) -> None:
    """Block until several models have been compared, with a line of progress of the one that is tuned.

    Raises:
        WaitInterruptedError: the user interrupted; the tuning goes on.
        ObjectiveError: all models failed.
    """
    with _progress("`%tune stop NAME` ends a study") as (_, update):
        while comparison.is_running:
            with contextlib.suppress(TimeoutError):
                comparison.wait(_LOOK_SECONDS)
            if (handle := comparison.current) is not None:
                update(handle.snapshot())
    comparison.wait()  # it may have failed before the first look


@contextlib.contextmanager
def _progress(
    stops: str,
) -> Iterator[tuple[_NotebookLine | _TerminalLine, Callable[[StudySnapshot], None]]]:
    """Give a line of progress, and what updates it; an interrupt ends the wait alone."""
    line: _NotebookLine | _TerminalLine = _NotebookLine() if in_kernel() else _TerminalLine()
    show_line = textbar.line if in_kernel() else textbar.bar
    try:
        yield line, lambda snapshot: line.update(show_line(snapshot))
    except KeyboardInterrupt:
        msg = f"Interrupted the wait: tuning goes on in the background; {stops}."
        raise WaitInterruptedError(msg) from None
    finally:
        line.end()


class _TerminalLine:
    """A line that writes over itself; where there is no terminal, only its last state."""

    def __init__(self) -> None:
        self._width = 0

    def update(self, text: str) -> None:
        if sys.stdout.isatty():
            print(f"\r{text:<{self._width}}", end="", flush=True)  # noqa: T201
            self._width = len(text)

    def end(self) -> None:
        if self._width:
            print(f"\r{'':<{self._width}}\r", end="", flush=True)  # noqa: T201

    def last(self, text: str) -> None:
        print(text)  # noqa: T201


class _NotebookLine:
    """A text output that is replaced in place, and kept with the notebook."""

    def __init__(self) -> None:
        self._output: DisplayHandle | None = None
        self._text = ""

    def update(self, text: str) -> None:
        if text == self._text:
            return
        self._text = text
        # Raw text: a name of the user must not become Markdown or HTML.
        bundle = {"text/plain": text}
        if self._output is None:
            from IPython.display import DisplayHandle

            self._output = DisplayHandle()  # type: ignore[no-untyped-call]
            self._output.display(bundle, raw=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(bundle, raw=True)  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Leave the output as it is."""

    last = update


def in_kernel() -> bool:
    """Tell whether outputs can be replaced, as those of a notebook."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
