"""Trials in flight, and what others ask of the owner: the side tables between commits.

These rows serve the eye alone. They are written a few times a second at most,
never on the path of a trial, and Optuna does not read them.
"""

from __future__ import annotations

import math
import time
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from optuna_nb.records import Request
from optuna_nb.storage import lease
from optuna_nb.storage.column_types import to_json
from optuna_nb.storage.writer import LANDED

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from optuna_nb.storage.dialect import Connection
    from optuna_nb.storage.ledger import Ledger
    from optuna_nb.storage.memory import StudyMemory

_UPSERT = (
    "INSERT INTO live_trials (study_id, number, params, step, value, started_at, worker)"
    " VALUES (?, ?, ?, ?, ?, ?, '') ON CONFLICT (study_id, number) DO UPDATE SET"
    " params = excluded.params, step = excluded.step, value = excluded.value"
)
WORKERS_SECONDS = 1.0
_WORKERS = "UPDATE study_status SET workers = ? WHERE study_id = ?"


class _Shown(NamedTuple):
    """What the row of a trial shows; not the trial, to whose dicts Optuna may still write."""

    number: int
    params: int
    steps: int

    @classmethod
    def of(cls, trial: FrozenTrial) -> _Shown:
        return cls(trial.number, len(trial.params), len(trial.intermediate_values))


class LiveTable:
    """Keeps the live rows of one owned study up to date."""

    def __init__(self, ledger: Ledger) -> None:
        """Start with no row written."""
        self._ledger = ledger
        self._written: dict[int, _Shown] = {}
        self._last_beat = time.monotonic()
        self._workers: str | None = None  # as written; what a former owner left is overwritten
        self._workers_written = 0.0

    def tick(self, memory: StudyMemory) -> None:
        """Write what has changed, or a heartbeat when one is due. The storage's lock is held."""
        ledger = self._ledger
        trials = {trial_id: memory.get(trial_id) for trial_id in memory.in_flight}
        fresh = {i: t for i, t in trials.items() if self._is_news(self._written.get(i), t)}
        waiting = ledger.unwritten()  # finished trials in the buffer: their commit comes late
        landed = [(ledger.study_id, t.number) for i, t in self._written.items() if i in waiting]
        due = time.monotonic() - self._last_beat > lease.BEAT_SECONDS
        workers = self._news_of_workers()
        if not fresh and not landed and not due and workers is None:
            return
        with ledger.database.lock:
            if ledger.full_sync:
                ledger.database.sync_fully(full=False)  # no eye needs these rows after a power cut
            with ledger.database.owners_transaction() as connection:
                lease.check(connection, ledger.study_id, ledger.lease.token)
                connection.executemany(_UPSERT, [_row(ledger.study_id, trial) for trial in fresh.values()])
                connection.executemany(LANDED, landed)
                if workers is not None:
                    connection.execute(_WORKERS, (workers, ledger.study_id))
        if workers is not None:
            self._workers, self._workers_written = workers, time.monotonic()
        self._last_beat = time.monotonic()
        self._written = {i: t for i, t in self._written.items() if i in trials} | {
            i: _Shown.of(trial) for i, trial in fresh.items()
        }
        ledger.live.update(self._written)

    def _news_of_workers(self) -> str | None:
        """Return what is to be written of the workers, once a second at most."""
        workers = self._ledger.workers
        if workers == self._workers or time.monotonic() - self._workers_written < WORKERS_SECONDS:
            return None
        return workers

    def _is_news(self, shown: _Shown | None, trial: FrozenTrial) -> bool:
        """Tell whether a trial has come far enough since its row was written."""
        if shown is None or shown.params != len(trial.params):
            return True
        steps, before = len(trial.intermediate_values), shown.steps
        return steps > before and (before == 0 or steps - before >= self._ledger.step_interval)


def _row(study_id: int, trial: FrozenTrial) -> tuple[object, ...]:
    step = trial.last_step
    value = None if step is None else trial.intermediate_values[step]
    started = trial.datetime_start
    text = "" if started is None else started.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    value = value if value is not None and math.isfinite(value) else None
    return (study_id, trial.number, to_json(trial.params), step, value, text)


def clear(connection: Connection, study_id: int) -> list[int]:
    """Delete the live rows of a study, and return the numbers they had."""
    rows = connection.execute("DELETE FROM live_trials WHERE study_id = ? RETURNING number", (study_id,))
    return sorted(number for (number,) in rows.fetchall())


def ask(connection: Connection, study_id: int, request: Request) -> None:
    """Leave a request for the owner of a study, in the caller's transaction."""
    connection.execute(
        "INSERT INTO requests (study_id, verb, argument) VALUES (?, ?, ?)",
        (study_id, request.verb, request.argument),
    )


def take_requests(connection: Connection, study_id: int) -> list[Request]:
    """Take what was asked of the owner, oldest first, in the caller's transaction."""
    rows = connection.execute(
        "DELETE FROM requests WHERE study_id = ? RETURNING id, verb, argument", (study_id,)
    )
    return [Request(verb, argument) for _, verb, argument in sorted(rows.fetchall())]
