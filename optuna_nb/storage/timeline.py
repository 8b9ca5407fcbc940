"""The events of a study's runs, few enough to be drawn however many there are.

Every event is counted, but only some of a kind are kept: one, then each second,
fourth, eighth of them as they become many. A run that has ended is read once,
and of one in progress only what is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.records import EventView, RunEvents
from optuna_nb.storage.column_types import from_json, original_text
from optuna_nb.storage.rows import text_to_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from optuna_nb.storage.dialect import Connection

MOST_RUNS = 30
MOST_EVENTS = 400  # of all runs together
MOST_KINDS = 16  # of one run; what comes after them is counted as one
OTHER = "other"
_MOST_OF_A_KIND = 512
_LONGEST_KIND = 200
_LONGEST_PAYLOAD = 2000  # characters; what is longer is not read


class _Kept:
    """Evenly spread ids out of any number."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: list[int] = []
        self._each = 1

    def add(self, event_id: int) -> None:
        if self.count % self._each == 0:
            self.ids.append(event_id)
            if len(self.ids) > _MOST_OF_A_KIND:
                self.ids = self.ids[::2]
                self._each *= 2
        self.count += 1


class _Run:
    """What is known of one run."""

    def __init__(self) -> None:
        self.last_id = 0
        self.ended = False
        self.kinds: dict[str, _Kept] = {}

    def read(self, connection: Connection, run_id: str) -> None:
        """Take in what is new; the index alone tells what is not."""
        rows = connection.execute(
            "SELECT id, substr(kind, 1, ?) FROM run_events WHERE tuning_run_id = ? AND +id > ? ORDER BY time",
            (_LONGEST_KIND, run_id, self.last_id),
        )
        for event_id, kind in rows:
            if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
                kind = OTHER  # noqa: PLW2901 - it is one of many
            self.kinds.setdefault(kind, _Kept()).add(event_id)
            self.last_id = max(self.last_id, event_id)


class Timeline:
    """The events of one study, as far as they have been read. For one thread at a time."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._runs: dict[str, _Run] = {}

    def read(self, connection: Connection, names: Sequence[str]) -> dict[int, RunEvents]:
        """Read the events of the newest runs of some studies.

        Args:
            connection: The file of the studies.
            names: Of the studies, as in ``details.run_views``.

        Returns:
            Events by the index of their run, at most ``MOST_EVENTS`` in all.
        """
        marks = ", ".join("?" * len(names))
        every = connection.execute(
            f"SELECT id, status FROM tuning_runs WHERE study_name IN ({marks}) ORDER BY created_at",  # noqa: S608
            tuple(names),
        ).fetchall()
        newest = list(enumerate(every, start=1))[-MOST_RUNS:]
        self._runs = {run_id: self._runs.get(run_id) or _Run() for _, (run_id, _) in newest}
        for _, (run_id, status) in newest:
            run = self._runs[run_id]
            if not run.ended:
                run.read(connection, run_id)
                run.ended = status != "running"
        chosen = _shares([kept.ids for run in self._runs.values() for kept in run.kinds.values()])
        events = _events(connection, chosen)
        return {
            index: RunEvents(
                {original_text(kind): kept.count for kind, kept in self._runs[run_id].kinds.items()},
                tuple(events.get(run_id, ())),
            )
            for index, (run_id, _) in newest
        }


def _shares(groups: Iterable[list[int]]) -> list[int]:
    """Choose ids: all of the small groups, and of the large ones alike many."""
    chosen: list[int] = []
    waiting = sorted(groups, key=len)
    for position, ids in enumerate(waiting):
        share = (MOST_EVENTS - len(chosen)) // (len(waiting) - position)
        if share > 0:
            each = -(-len(ids) // share)
            chosen += ids[::each]
    return chosen


def _events(connection: Connection, ids: Sequence[int]) -> Mapping[str, list[EventView]]:
    if not ids:
        return {}
    rows = connection.execute(
        "SELECT tuning_run_id, substr(kind, 1, ?), time, substr(worker, 1, ?),"  # noqa: S608
        " CASE WHEN length(CAST(payload AS text)) <= ? THEN payload END"
        f" FROM run_events WHERE id IN ({', '.join('?' * len(ids))}) ORDER BY time, id",
        (_LONGEST_KIND, _LONGEST_KIND, _LONGEST_PAYLOAD, *ids),
    )
    found: dict[str, list[EventView]] = {}
    for run_id, kind, time, worker, payload in rows:
        when = text_to_time(time)
        assert when is not None  # noqa: S101 - the column is NOT NULL
        note = from_json(payload) if payload else {}
        view = EventView(
            original_text(kind),
            when,
            original_text(worker or ""),
            note if isinstance(note, dict) else {},
        )
        found.setdefault(run_id, []).append(view)
    return found
