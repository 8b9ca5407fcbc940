"""What a person has chosen in the tabs of a panel, and the controls that show it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Protocol

from optuna_nb.display import wording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from optuna_nb.records import Curve, RunEvents, RunView, VersionView

KEYS = frozenset(
    {
        *(
            "sort",
            "filter",
            "rows",
            "slice",
            "across",
            "down",
            "log",
            "newer",
            "older",
            "objective",
        ),
    }
)
_LONGEST = 500
_MOST_COLUMNS = 200


class Source(Protocol):
    """What tabs ask of ``optuna_nb.storage.reader.Reader``."""

    name: str  # of the study, as Optuna has it

    def curves(self, numbers: Sequence[int]) -> list[Curve]:
        """Read what some trials reported."""

    def numbers_with_steps(self, newest: int = 400) -> list[int]:
        """Return which of the newest trials reported anything."""

    def log(self, number: int) -> str | None:
        """Read what a trial printed."""

    def numbers_with_log(self, limit: int = 200) -> list[int]:
        """Return the newest trials that printed something."""

    def versions(self) -> list[VersionView]:
        """Read the versions of the study."""

    def runs(self) -> list[RunView]:
        """Read its tuning runs."""

    def events(self) -> dict[int, RunEvents]:
        """Read what happened in the newest of them, by the index of the run."""


class Choices:
    """Texts by key, as the page sent them. Not for several threads at once."""

    def __init__(self, *, interactive: bool = True) -> None:
        """Begin with nothing chosen; ``interactive`` is off where nobody can choose."""
        self.interactive = interactive
        self._texts: dict[str, str] = {}
        self.hidden: set[str] = set()  # columns of the table that are not wanted
        self.shown: set[str] = set()  # columns that are wanted although there are many

    def set(self, key: object, value: object) -> None:
        """Take what the page sent; what it cannot have sent is passed over."""
        if not isinstance(key, str) or not isinstance(value, (str, bool, int)):
            return
        if key.startswith("column:") and isinstance(value, bool):
            name = key.removeprefix("column:")[:_LONGEST]
            (self.shown if value else self.hidden).add(name)
            (self.hidden if value else self.shown).discard(name)
            if len(self.hidden) + len(self.shown) > _MOST_COLUMNS:
                self.hidden.clear()
                self.shown.clear()
        elif key in KEYS:
            self._texts[key] = str(value)[:_LONGEST]

    def text(self, key: str, default: str = "") -> str:
        """Return what was chosen."""
        return self._texts.get(key, default)

    def one_of(self, key: str, options: Sequence[str], default: str) -> str:
        """Return what was chosen if it is one of the options."""
        chosen = self._texts.get(key, default)
        return chosen if chosen in options else default

    def number(self, key: str, default: int) -> int:
        """Return what was chosen as a whole number."""
        try:
            return int(self._texts.get(key, default))
        except ValueError:
            return default


def select(key: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> str:
    """Make a labelled list of options: what is sent, and what is shown."""
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(wording.clip_middle(text, 60))}</option>"
        for value, text in options
    )
    return f'<label>{escape(label)} <select data-onb-set="{key}">{items}</select></label>'


def tools(choices: Choices, *controls: str) -> str:
    """Lay out controls in a row; nothing on a page where they could do nothing."""
    row = "".join(controls)
    return f'<div class="onb-tools">{row}</div>' if row and choices.interactive else ""


def quiet(text: str) -> str:
    """Say in one line why there is nothing to show."""
    return f'<p class="onb-chart onb-quiet">{escape(text)}</p>'
