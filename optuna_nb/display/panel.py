"""The live panel of one study: shown in a cell, fed by a poller, static in the file.

The output of the cell is the static page of that moment, and is replaced at each
change of state and once a minute, so a notebook that is saved at any time reads well
anywhere, whether anybody sees the panel or not. In
a page with a living kernel, ``live.js`` covers it with buttons and tabs. Where
there is no notebook, a panel is one line of text.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from optuna_nb.display import report, textbar, wording
from optuna_nb.display.poller import Poller, SnapshotSource
from optuna_nb.display.tabs import catalogue, trials
from optuna_nb.display.tabs.choices import Choices, Source
from optuna_nb.errors import FileGoneError, OptunaNBError, StudyNotFoundError
from optuna_nb.records import StudyState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from IPython.display import DisplayHandle

    from optuna_nb.display.widgets import LiveView
    from optuna_nb.records import StudySnapshot, Verbs

READ_ONLY = "Read-only: this view has no controls."
INTERVAL = 0.25  # seconds between two looks at a running study
SLOW = 1.0  # at one that waits
GRACE = 10.0  # seconds for a page to say that it sees the panel
SEEN = 45.0  # a page that has not been heard for so long was closed
KEEP = 60.0  # seconds after which the outputs of a study at work are replaced, if anything is new
_SHARE = 20  # a repaint that takes t is not done again before 20 t have passed
_OUTPUTS = 8


class PanelSource(SnapshotSource, Source, Protocol):
    """What a panel needs of ``optuna_nb.storage.reader.Reader``."""


class Panel:
    """A view of one study that can be shown any number of times.

    ``show``, ``settle`` and ``close`` are for the main thread. The poller's
    thread reads and repaints; messages of a page come from a thread of their own,
    and only set what the poller then does.
    """

    def __init__(
        self,
        reader_factory: Callable[[], PanelSource],
        verbs: Verbs | None,
        *,
        when_it_ends: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Remember where to read and whom to ask; opens nothing yet.

        Args:
            reader_factory: Opens a reader, which the panel closes.
            verbs: What the buttons do, called from a thread of the kernel. None
                for a panel that only watches.
            when_it_ends: Calls back when a run of the study in this kernel has ended,
                so that a panel that nobody sees need not look.
        """
        self._open = reader_factory
        self._verbs = verbs
        self._read_only = "" if verbs is not None else READ_ONLY
        self._when_it_ends = when_it_ends
        self.notify = False  # whether pages are to notify when the study ends
        self._outputs: list[DisplayHandle] = []
        self._view: LiveView | None = None
        self._reader: PanelSource | None = None
        self._poller: Poller | None = None
        self._shown: StudySnapshot | None = None
        self._choices = Choices()
        self._lock = threading.Lock()  # guards the four below, which messages of pages set
        self._tab = catalogue.FIRST
        self._dirty = True
        self._csv = False
        self._pages: dict[str, float] = {}
        self._grace_ends = 0.0
        self._next_head = self._next_body = 0.0
        self._body_waits = self._head_waits = False
        self._kept: StudySnapshot | None = None  # what the outputs show
        self._next_keep = 0.0
        self._saying = threading.Lock()  # around the outputs
        self._said_aside = False
        self._lost = False  # the study or file that is watched; there may be another of its name

    # For the main thread

    def show(self) -> None:
        """Show the study in the output of the current cell.

        Raises:
            StorageError: The study cannot be read.
        """
        if self._poller is not None and self._poller.is_running and self._shown is not None:
            self.settle()  # it may have slept since an earlier run of the study
            if not self._lost:
                self._display(self._shown)
                self._listen()
                return
            self.close()  # what was shown so far stays as it is
            self._shown, self._lost = None, False
        reader = self._open()
        try:
            snapshot = reader.snapshot()
            if not _in_notebook():
                print(textbar.line(snapshot))  # noqa: T201 - a terminal has nothing richer
                reader.close()
                return
            self._reader = reader
            self._make_view()
            self._display(snapshot)
            self.look(snapshot)
        except BaseException:
            reader.close()
            raise
        self._poller = Poller(reader, self)
        self._poller.start()
        self._listen()

    def settle(self, timeout: float = 2.0) -> None:
        """Bring what is shown up to date, and return when that is done."""
        if self._poller is not None and self._poller.is_running:
            self._poller.settle(timeout)
        self.say_again()

    def say_again(self) -> None:
        """Replace the outputs once more, if that was done from the poller's thread since the last time.

        Where a notebook is run without a page, what a thread says between two cells
        counts for the one that has ended and is dropped. Said in a cell, it arrives.
        """
        if self._said_aside:
            self._said_aside = False
            self._replace_outputs()

    def wake(self) -> None:
        """Look at the study at once; from any thread."""
        poller = self._poller
        if poller is not None:
            poller.wake()

    def close(self) -> None:
        """Stop watching and take the live view away; the file and the study are not touched."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.stop()
        view, self._view = self._view, None
        if view is not None:
            if self._shown is not None:
                _replace(self._outputs, report.bundle(self._shown))
            view.close()
        self._outputs.clear()

    # For the poller

    def pace(self) -> float | None:
        """Say when to look again."""
        now = time.monotonic()
        if self._dirty:
            return 0.0
        if self._shown is None:
            return None
        state = self._shown.state
        if not self._is_seen(now):
            return max(self._next_keep - now, SLOW) if state.is_active else None
        if self._body_waits or self._head_waits:
            due = [
                t
                for t, waits in ((self._next_body, self._body_waits), (self._next_head, self._head_waits))
                if waits
            ]
            return max(min(due) - now, 0.02)
        if state in {StudyState.RUNNING, StudyState.STOPPING}:
            return INTERVAL
        return SLOW if state.is_active or state is StudyState.NEW else None

    def look(self, snapshot: StudySnapshot | None) -> None:
        """Repaint what has changed, and do what pages have asked for."""
        view, before = self._view, self._shown
        if view is None or self._reader is None:
            return
        if snapshot is not None:
            self._shown = snapshot
        now = self._shown
        if now is None:
            return
        with self._lock:
            dirty, self._dirty = self._dirty, False
            csv, self._csv = self._csv, False
            tab = self._tab
        changed = before is None or before.state is not now.state
        self._repaint(view, now, tab, news=snapshot is not None, dirty=dirty, at_once=dirty or changed)
        if csv:
            view.send_csv(trials.to_csv(now, self._choices), f"{_file_name(now.name)}.csv")
        if before is None:
            return
        if changed or self._is_due(now):
            self._replace_outputs()
            self._said_aside = True
        if changed and self.notify and before.state.is_active and not now.state.is_active:
            view.notice(f"{wording.clip_middle(now.name, 60)} {now.state}", textbar.line(now))

    def _is_due(self, now: StudySnapshot) -> bool:
        """Tell whether the outputs show a moment of a study at work that has become old."""
        clock = time.monotonic()
        if not now.state.is_active or clock < self._next_keep:
            return False
        self._next_keep = clock + KEEP
        return now is not self._kept

    def _repaint(
        self, view: LiveView, now: StudySnapshot, tab: str, *, news: bool, dirty: bool, at_once: bool
    ) -> None:
        """Repaint head and tab, each only if its last repaint was cheap or long enough ago."""
        clock = time.monotonic()
        if news or self._head_waits:
            self._head_waits = not (at_once or clock >= self._next_head)
            if not self._head_waits:
                view.paint(now)
                self._next_head = time.monotonic() + _SHARE * (time.monotonic() - clock)
        if news or dirty or self._body_waits:
            clock = time.monotonic()
            self._body_waits = not (at_once or clock >= self._next_body)
            if not self._body_waits:
                self._paint_body(view, tab, now, clock)

    def trouble(self, error: OptunaNBError | OSError | None) -> None:
        """Show one line of what is wrong."""
        self._lost = isinstance(error, (StudyNotFoundError, FileGoneError))
        if self._view is not None:
            text = error.in_one_line() if isinstance(error, OptunaNBError) else str(error or "")
            self._view.complain(text, gone=isinstance(error, FileGoneError))

    def broken(self, text: str) -> None:
        """Show that the panel has failed."""
        if self._view is not None:
            self._view.complain(text)

    def _paint_body(self, view: LiveView, tab: str, snapshot: StudySnapshot, begin: float) -> None:
        assert self._reader is not None  # noqa: S101 - look has asked
        view.body(tab, catalogue.TABS[tab][1](snapshot, self._reader, self._choices))
        self._next_body = time.monotonic() + _SHARE * (time.monotonic() - begin)

    def _is_seen(self, now: float) -> bool:
        with self._lock:
            self._pages = {page: until for page, until in self._pages.items() if until > now}
            return bool(self._pages) or now < self._grace_ends

    # Messages of pages, in a thread of their own

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take a message of a page: nothing here takes long."""
        kind, value = message.get("do"), message.get("value")
        if kind in {"pause", "resume", "stop", "stop_now", "more"}:
            self._act(str(kind))
        with self._lock:
            if kind == "tab" and value in catalogue.TABS:
                self._tab, self._dirty = str(value), True
            elif kind == "set":
                self._choices.set(message.get("key"), value)
                self._dirty = True
            elif kind == "csv":
                self._csv = self._dirty = True
            elif kind == "seen" and isinstance(page := message.get("page"), str):
                self._grace_ends = 0.0  # there is a page, and it says what it sees
                self._pages.pop(page, None)
                if value is True:
                    self._pages[page] = time.monotonic() + (SEEN if _answers_while_busy() else float("inf"))
        self.wake()

    def _act(self, verb: str) -> None:
        """Do what a button says."""
        verbs, snapshot, view = self._verbs, self._shown, self._view
        if verbs is None or snapshot is None or view is None:
            return
        refusal = ""
        try:
            if verb == "more":
                from optuna_nb.display.widgets import more_step

                verbs.more(more_step(snapshot.target))
            else:
                getattr(verbs, verb)()
        except OptunaNBError as error:
            refusal = error.in_one_line()
        view.refuse(refusal)
        self._listen()

    # Inside

    def _listen(self) -> None:
        if self._when_it_ends is not None:
            self._when_it_ends(self.wake)

    def _make_view(self) -> None:
        if self._view is None:
            from optuna_nb.display.widgets import LiveView

            self._view = LiveView(self.receive, read_only=self._read_only)

    def _replace_outputs(self) -> None:
        """Put the newest state into all outputs; of two threads that do, the last word is the newest."""
        with self._saying:
            view, shown = self._view, self._shown
            if view is not None and shown is not None:
                self._keep(shown)
                _replace(self._outputs, self._bundle(view, shown))

    def _keep(self, snapshot: StudySnapshot) -> None:
        self._kept, self._next_keep = snapshot, time.monotonic() + KEEP

    def _display(self, snapshot: StudySnapshot) -> None:
        """Put the page into the current cell."""
        assert self._view is not None  # noqa: S101 - show has made it
        self._grace_ends = time.monotonic() + GRACE
        self._view.model.notify = self.notify  # as this cell or an earlier one has asked for
        self._keep(snapshot)
        handle = _publish(self._bundle(self._view, snapshot))
        if handle is not None:
            self._outputs = [*self._outputs, handle][-_OUTPUTS:]

    @staticmethod
    def _bundle(view: LiveView, snapshot: StudySnapshot) -> dict[str, Any]:
        bundle: dict[str, Any] = dict(report.bundle(snapshot, panel_id=view.panel_id))
        if _needs_a_widget() and snapshot.state.is_active:
            from optuna_nb.display.widgets import WIDGET_VIEW

            bundle[WIDGET_VIEW] = view.mime_view()
        return bundle


def _in_notebook() -> bool:
    """Whether output goes to a kernel's front end rather than to a terminal or a script."""
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _needs_a_widget() -> bool:
    """Whether the front end runs a model only where its widget is displayed: VS Code and Colab."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return "google.colab" in sys.modules or "__vsc_ipynb_file__" in getattr(shell, "user_ns", {})


def _answers_while_busy() -> bool:
    """Whether messages of a page are handled while a cell runs, which subshells do."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_supports_kernel_subshells", False))


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_@." else "_" for c in name)[:80]


def _publish(data: dict[str, Any]) -> DisplayHandle | None:
    from IPython.display import display

    handle: DisplayHandle | None = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return handle


def _replace(outputs: list[DisplayHandle], data: dict[str, Any]) -> None:
    for output in outputs:
        with contextlib.suppress(RuntimeError):  # the kernel is on its way out
            output.update(data, raw=True)  # type: ignore[no-untyped-call]
