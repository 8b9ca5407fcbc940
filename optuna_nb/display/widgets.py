"""The model behind the live panel: what the kernel and the page tell each other.

The only file that imports anywidget. ``live.js`` puts this model's HTML in place
of the static page in the cell's output; no widget is displayed there, so none
can be missing when the notebook is opened again. Any thread may paint.
"""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from optuna_nb.display import parts, style, wording
from optuna_nb.display.subshell import answer_where_asked
from optuna_nb.display.tabs import catalogue
from optuna_nb.records import StudyState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna_nb.records import StudySnapshot

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

_RESTING = {StudyState.STOPPED, StudyState.INTERRUPTED, StudyState.FAILED}
_HINTS = {
    "pause": "Finish the trials in flight, then wait",
    "resume": "Go on with the next trial",
    "stop": "Finish the trials in flight, then end; running the cell again goes on",
    "stop_now": "Drop the trials in flight and end; a call into C code ends first",
    "more": "Raise the total number of trials",
}


def more_step(target: int | None) -> int:
    """Choose how many trials the "+N" button adds: about a tenth of the total."""
    for limit, step in ((250, 10), (2500, 100)):
        if (target or 0) <= limit:
            return step
    return 1000


class _LiveModel(anywidget.AnyWidget):
    """The traits that the page sees. All HTML in them is escaped already."""

    _esm = (Path(__file__).parent / "live.js").read_text(encoding="utf-8")
    panel = traitlets.Unicode().tag(sync=True)
    state = traitlets.Unicode().tag(sync=True)
    head = traitlets.Unicode().tag(sync=True)
    controls: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    tabs: traitlets.List[Any] = traitlets.List().tag(sync=True)
    tab = traitlets.Unicode(catalogue.FIRST).tag(sync=True)
    body = traitlets.Unicode().tag(sync=True)
    clock = traitlets.Dict().tag(sync=True)
    notify = traitlets.Bool(default_value=False).tag(sync=True)
    notice = traitlets.Dict().tag(sync=True)


class LiveView:
    """One panel's model, and how a snapshot is painted into it."""

    def __init__(self, receive: Callable[[Mapping[str, Any]], None], *, read_only: str = "") -> None:
        """Make the model.

        Args:
            receive: Called with each message of a page, from whichever thread of
                the kernel handles it.
            read_only: Why nothing may be asked of the study; empty if it may.
        """
        self._read_only = read_only
        self._trouble = ""
        self._gone = False
        self._refusal = ""
        self._snapshot: StudySnapshot | None = None
        self._lock = threading.RLock()
        self.panel_id = uuid.uuid4().hex
        tabs = [[key, label] for key, (label, _) in catalogue.TABS.items()]
        self.model = _LiveModel(panel=self.panel_id, tabs=tabs)
        answer_where_asked(self.model.comm)
        self.model.on_msg(lambda _model, content, _buffers: receive(content))

    def mime_view(self) -> dict[str, Any]:
        """Return what displays the model itself, for front ends that need it."""
        return {"version_major": 2, "version_minor": 0, "model_id": self.model.model_id}

    def paint(self, snapshot: StudySnapshot) -> None:
        """Repaint all but the open tab."""
        with self._lock:
            if self._snapshot is not None and self._snapshot.state is not snapshot.state:
                self._refusal = ""
            self._snapshot = snapshot
            self._paint()

    def body(self, tab: str, html: str) -> None:
        """Show a tab."""
        with self._lock, self.model.hold_sync():
            self.model.tab, self.model.body = tab, html

    def complain(self, text: str, *, gone: bool = False) -> None:
        """Say why the study cannot be read; empty when it can again."""
        with self._lock:
            self._trouble, self._gone = text, gone
            self._paint()

    def refuse(self, text: str) -> None:
        """Say why a click had no effect; it stays until the next click or state."""
        with self._lock:
            self._refusal = text
            self._paint()

    def send_csv(self, text: str, name: str) -> None:
        """Give the page a file to save."""
        self.model.send({"csv": text, "name": name})

    def notice(self, title: str, text: str) -> None:
        """Let the page notify, if the person has allowed it."""
        self.model.notice = {"title": title, "text": text, "tag": self.panel_id}

    def close(self) -> None:
        """Take the model out of kernel and pages; the static page is seen again."""
        layout = self.model.layout
        self.model.close()
        if layout is not None:
            layout.close()

    def _paint(self) -> None:
        snapshot = self._snapshot
        if snapshot is None:
            return
        sheets = style.sheet() + style.live_sheet()
        head = sheets + parts.header(snapshot, gone=self._gone) + parts.progress(snapshot)
        said = "".join(parts.note(text, wrong=True) for text in (self._trouble, self._refusal))
        wrong = snapshot.state is StudyState.FAILED
        said += parts.note(snapshot.note, wrong=wrong) + parts.note(self._read_only)
        running = snapshot.state is StudyState.RUNNING and not self._gone
        with self.model.hold_sync():
            self.model.state = "interrupted" if self._gone else snapshot.state.value
            self.model.head = head
            self.model.said = said
            self.model.controls = self.controls(snapshot)
            self.model.clock = {"elapsed": snapshot.elapsed, "eta": snapshot.eta, "running": running}

    def controls(self, snapshot: StudySnapshot) -> list[tuple[str, str, str, bool]]:
        """Return the buttons: verb, label, hint, and whether it is off."""
        state = snapshot.state
        active = state in {StudyState.RUNNING, StudyState.PAUSED}
        left = snapshot.target is None or snapshot.done < snapshot.target
        first = "pause" if state in {StudyState.RUNNING, StudyState.STOPPING} else "resume"
        possible = {
            "pause": state is StudyState.RUNNING,
            "resume": state is StudyState.PAUSED or (state in _RESTING and left),
            "stop": active,
            "stop_now": active or state is StudyState.STOPPING,
            "more": state is not StudyState.STOPPING,
        }
        labels = {
            "pause": "Pause",
            "resume": "Resume",
            "stop": "Stop",
            "stop_now": "Stop now",
            "more": f"+{more_step(snapshot.target)} trials",
        }
        why = self._read_only or f"Not now: the study {wording.state(state)}"
        offs = {verb: bool(self._read_only) or not can for verb, can in possible.items()}
        return [
            (verb, labels[verb], why if offs[verb] else _HINTS[verb], offs[verb])
            for verb in (first, "stop", "stop_now", "more")
        ]
