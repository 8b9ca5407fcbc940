"""What happens during a run: events, named metrics, and where each worker is.

Rows wait in memory and are written together: when enough have come, when some
time has passed, and at the latest in the transaction that commits a trial, as
a finished trial never runs again to bring them back. What the database cannot
take just now is kept and tried again. Every step of a metric is kept unless a
step interval thins it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite

from optuna_nb.errors import StorageTroubleError
from optuna_nb.storage.column_types import now, to_json
from optuna_nb.storage.record_tables import MetricValue, RunEvent, TuningRun, WorkerStatus
from optuna_nb.storage.rows import check_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    import sqlalchemy

    from optuna_nb.storage.dialect import Connection
    from optuna_nb.storage.record_database import RecordDatabase

_MOST_ROWS_IN_MEMORY = 1_000_000  # of a database that stays away


class History:
    """The events and metrics of one tuning run. Every method may be called from any thread."""

    def __init__(
        self,
        database: RecordDatabase,
        run_id: UUID,
        *,
        step_interval: int = 1,
        buffer_size: int = 1000,
        flush_seconds: float = 1.0,
    ) -> None:
        """Start with nothing to write.

        Args:
            database: Where the records are.
            run_id: The tuning run.
            step_interval: Keep the metrics of each so many steps only.
            buffer_size: Write when so many rows wait,
            flush_seconds: or when so many seconds have passed, and ``tick`` or a new row comes.
        """
        self.run_id = run_id
        self._database = database
        self._step_interval = step_interval
        self._buffer_size = buffer_size
        self._flush_seconds = flush_seconds
        self._lock = threading.Lock()  # around the rows
        self._writing = threading.Lock()  # around the database, so that rows keep their order
        self._metrics: dict[tuple[int, str, int], dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._workers: dict[str, dict[str, Any]] = {}
        self._written = time.monotonic()

    def metrics(self, trial: int, worker: str, step: int, values: Mapping[str, float]) -> None:
        """Take in named numbers of a step; the same step again replaces them.

        Raises:
            StorageError: If the step is too large to store.
        """
        if step % self._step_interval:
            return
        check_step(step)  # here, not in the midst of a trial's commit
        with self._lock:
            for name, value in values.items():
                self._metrics[trial, name, step] = {
                    "tuning_run_id": self.run_id,
                    "trial": trial,
                    "name": name,
                    "step": step,
                    "worker": worker,
                    "value": value,
                }
        self.tick()

    def event(self, kind: str, worker: str | None = None, payload: Mapping[str, Any] | None = None) -> None:
        """Take in something that happened now.

        Raises:
            TypeError: If JSON cannot hold the payload.
        """
        to_json(payload and dict(payload))  # it raises here, not in the midst of a trial's commit
        row = {
            "tuning_run_id": self.run_id,
            "time": now(),
            "worker": worker,
            "kind": kind,
            "payload": None if payload is None else dict(payload),
        }
        with self._lock:
            self._events.append(row)
        self.tick()

    def worker_is_at(
        self,
        worker: str,
        *,
        trial: int | None,
        step: int | None = None,
        current: float | None = None,
        best: float | None = None,
    ) -> None:
        """Take in where a worker is; only the last of it is written."""
        row = {
            "tuning_run_id": self.run_id,
            "worker": worker,
            "trial": trial,
            "step": step,
            "current_value": current,
            "best_value": best,
            "time": now(),
        }
        with self._lock:
            self._workers[worker] = row

    def tick(self) -> None:
        """Write if it is time; trouble with the database waits for the next time."""
        waiting = len(self._metrics) + len(self._events)
        late = time.monotonic() - self._written >= self._flush_seconds
        if waiting >= self._buffer_size or (late and (waiting or self._workers)):
            try:
                self.flush()
            except StorageTroubleError:
                self._written = time.monotonic()

    def flush(self) -> None:
        """Write all that waits, in one transaction.

        A run that has ended takes nothing more: its study may have another owner.

        Raises:
            StorageTroubleError: If the database cannot be written; nothing is lost by it.
        """
        with self._writing:
            with self._lock:
                taken = self._metrics, self._events, self._workers
                self._metrics, self._events, self._workers = {}, [], {}
            if not any(taken):
                return
            try:
                with self._database.records() as connection:
                    self._write(connection, *taken)
            except StorageTroubleError:
                self._put_back(*taken)
                raise
            self._written = time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether rows wait, or are being written just now."""
        return bool(self._metrics or self._events or self._writing.locked())

    @contextlib.contextmanager
    def handed_over(self) -> Iterator[Callable[[Connection], None]]:
        """Let all that waits be written in a transaction of the caller, on a plain connection.

        It is entered before that transaction begins: another thread may be in the
        midst of its own. Where the transaction fails, nothing is lost.
        """
        with self._writing:
            with self._lock:
                taken = self._metrics, self._events, self._workers
                self._metrics, self._events, self._workers = {}, [], {}
            metrics, events, workers = taken

            def write(connection: Connection) -> None:
                run_id = self.run_id.hex
                (running,) = connection.execute(_IS_RUNNING, (run_id,)).fetchone()
                for statement, rows in (
                    (_EVENT, events),
                    (_METRIC, metrics.values()),
                    (_WORKER, workers.values()),
                ):
                    if rows and running:
                        connection.executemany(statement.sql, map(statement.bind, rows))

            try:
                yield write
            except BaseException:
                self._put_back(*taken)
                raise
            self._written = time.monotonic()

    def _write(
        self,
        connection: sqlalchemy.Connection,
        metrics: Mapping[tuple[int, str, int], dict[str, Any]],
        events: list[dict[str, Any]],
        workers: Mapping[str, dict[str, Any]],
    ) -> None:
        status = connection.scalar(select(TuningRun.status).where(TuningRun.id == self.run_id))
        if status != "running":
            return
        if events:
            connection.execute(insert(RunEvent), events)
        for table, rows in ((MetricValue, metrics), (WorkerStatus, workers)):
            if rows:
                connection.execute(_upsert(connection.dialect.name, table), list(rows.values()))

    def _put_back(
        self,
        metrics: dict[tuple[int, str, int], dict[str, Any]],
        events: list[dict[str, Any]],
        workers: dict[str, dict[str, Any]],
    ) -> None:
        with self._lock:
            if len(metrics) + len(self._metrics) <= _MOST_ROWS_IN_MEMORY:
                self._metrics = {**metrics, **self._metrics}
            self._events = [*events, *self._events]
            self._workers = {**workers, **self._workers}


def _upsert(dialect_name: str, table: type[MetricValue | WorkerStatus]) -> Any:
    dialect = postgresql if dialect_name == "postgresql" else sqlite
    statement: Any = dialect.insert(table)
    keys = [column.name for column in table.__table__.primary_key]
    others = {
        column.name: statement.excluded[column.name]
        for column in table.__table__.columns
        if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


class _Plain:
    """A statement as plain ``sqlite3`` takes it: SQLAlchemy's own way would cost as much as the trial's."""

    def __init__(self, statement: Any, table: type[RunEvent | MetricValue | WorkerStatus]) -> None:
        dialect = sqlite.dialect(json_serializer=to_json)
        columns = [column for column in table.__table__.columns if column.name != "id"]
        compiled = statement.compile(dialect=dialect, column_keys=[column.name for column in columns])
        processors = {c.name: c.type.dialect_impl(dialect).bind_processor(dialect) for c in columns}
        self.sql = str(compiled)
        self._columns = [(name, processors[name]) for name in compiled.positiontup]

    def bind(self, row: Mapping[str, Any]) -> list[Any]:
        """Order and convert the values of one row."""
        return [row[name] if process is None else process(row[name]) for name, process in self._columns]


_IS_RUNNING = "SELECT EXISTS (SELECT 1 FROM tuning_runs WHERE id = ? AND status = 'running')"
_EVENT = _Plain(insert(RunEvent), RunEvent)
_METRIC = _Plain(_upsert("sqlite", MetricValue), MetricValue)
_WORKER = _Plain(_upsert("sqlite", WorkerStatus), WorkerStatus)
