"""A study read while another connection writes it: what every view is made of.

A reader opens the database read-only and asks whether anybody has committed anything
(3 us on a file, one short answer of a server); only what was committed since the last
look is read. It never
writes, takes no lease, and works from any process.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from optuna.study import StudyDirection

from optuna_nb.errors import FileGoneError, StudyNotFoundError
from optuna_nb.records import LiveTrial, StudySnapshot, StudyState, TrialOutcome, TrialView
from optuna_nb.storage import details
from optuna_nb.storage.column_types import from_json
from optuna_nb.storage.dialect import data_version
from optuna_nb.storage.lease import Owner, same_machine, this_process
from optuna_nb.storage.loader import COMMITTED_AFTER, WHOLE_STUDY, load_directions, one_moment, understood
from optuna_nb.storage.migrations import add_workers_to_study_status, applied_steps
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.refusals import translated
from optuna_nb.storage.rows import text_to_time
from optuna_nb.storage.server import Place, place
from optuna_nb.storage.soundness import Soundness
from optuna_nb.storage.timeline import Timeline
from optuna_nb.storage.versions import name_of_one, resolve
from optuna_nb.storage.versions import state as owned_state
from optuna_nb.storage.views import load_views

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna_nb.records import Cluster, Curve, RunEvents, RunView, VersionView

OWNER_CHECK_SECONDS = 1.0
_CHECK_SECONDS = 1.0  # of one look at trials of which there are very many
_RATE_TRIALS = 20
_MOMENT = 0.1  # seconds between two trials at most, where the run does not wait
_CURVES = 300  # that are kept


class Reader:
    """The newest state of one study. For one thread at a time."""

    def __init__(self, url: str, name: str) -> None:
        """Open a study by its name; ``churn`` is its newest version, or the study of plain Optuna so called.

        Raises:
            StudyNotFoundError: If there is no such study.
            StorageError: If the database cannot be opened.
        """
        self._url = url
        self._path = place(url)
        self._connection = open_read_only(url)
        self._file = 0 if isinstance(self._path, Place) else self._path.stat().st_ino
        try:
            with translated(self._path), understood(name):
                applied = applied_steps(self._connection)
                self._ours, self._has_workers = bool(applied), add_workers_to_study_status.__name__ in applied
                version = resolve(self._connection, name)
                self._shown_name = name_of_one(self._connection, version)
                self._directions = load_directions(self._connection, version.study_id)
        except BaseException:
            self._connection.close()
            raise
        self.name = version.study_name
        self._study_id = version.study_id
        self._metric = version.metric
        self._made: object = None  # when the version was made, which tells it from another of its id
        self._trials: list[TrialView] = []
        self._log_params: dict[str, bool] = {}
        self._counts: Counter[TrialOutcome] = Counter()
        self._best: TrialView | None = None
        self._last_seq = -1
        self._seen_version: int | str | None = None
        self._soundness = Soundness(version.study_id, version.study_name)
        self._is_checked = True  # all trials that were read are what was written
        self._owner_checked = 0.0
        self._latest: StudySnapshot | None = None
        self._curves: dict[int, Curve] = {}
        self._timeline = Timeline()
        self._limit: tuple[int, float | None] = (-1, None)  # the lease's token, and the run's time limit

    def poll(self) -> StudySnapshot | None:
        """Return the newest snapshot, or None where nothing has changed.

        Raises:
            StorageError: If the file cannot be read, or a trial is not what was written.
            StudyNotFoundError: If the study was deleted.
        """
        self._check_file()
        with translated(self._path), understood(self.name):
            version = data_version(self._connection)
            changed = version != self._seen_version
            if not changed and not self._owner_is_due() and self._is_checked:
                return None
            try:
                with one_moment(self._connection):
                    if changed:
                        self._check_study()
                        self._read_trials()
                    if self._ours and (changed or not self._is_checked):
                        self._is_checked = self._soundness.check(
                            self._connection, _CHECK_SECONDS, len(self._trials)
                        )
                    snapshot = self._read_status()
            except BaseException:
                self._last_seq = -1  # what was read is read anew
                raise
            self._seen_version = version
        if snapshot == self._latest:
            return None
        self._latest = snapshot
        return snapshot

    def snapshot(self) -> StudySnapshot:
        """Return the newest snapshot, changed or not."""
        newest = self.poll() or self._latest
        assert newest is not None  # noqa: S101 - the first poll always finds something new
        return newest

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # What a person opens

    def curves(self, numbers: Sequence[int]) -> list[Curve]:
        """Read what some finished trials reported; trials without steps are left out."""
        with translated(self._path):
            new = [number for number in numbers if number not in self._curves]
            found = {c.number: c for c in details.curves(self._connection, self._study_id, new)}
        if len(self._curves) > _CURVES:
            self._curves.clear()
        self._curves |= found  # of a finished trial, they never change
        return [curve for n in numbers if (curve := self._curves.get(n) or found.get(n)) is not None]

    def numbers_with_steps(self, newest: int = 400) -> list[int]:
        """Return which of the newest trials have reported anything, newest first."""
        with translated(self._path):
            return details.numbers_with_steps(self._connection, self._study_id, newest)

    def log(self, number: int) -> str | None:
        """Read what one finished trial printed; None where no log of it is kept."""
        with translated(self._path):
            return details.log(self._connection, self._study_id, number) if self._ours else None

    def numbers_with_log(self, limit: int = 200) -> list[int]:
        """Return the newest trials that printed something, newest first."""
        with translated(self._path):
            return details.numbers_with_log(self._connection, self._study_id, limit) if self._ours else []

    def versions(self) -> list[VersionView]:
        """Read all versions of the study, oldest first; none of a study that plain Optuna made."""
        with translated(self._path):
            return details.version_views(self._connection, self._study_id) if self._ours else []

    def runs(self) -> list[RunView]:
        """Read the tuning runs of all versions of the study, oldest first."""
        with translated(self._path):
            return details.run_views(self._connection, self._names()) if self._ours else []

    def events(self) -> dict[int, RunEvents]:
        """Read what happened in the newest runs, by the index of the run: all counted, some hundreds kept."""
        with translated(self._path):
            return self._timeline.read(self._connection, self._names()) if self._ours else {}

    def _names(self) -> list[str]:
        """Return the names of all versions of the study."""
        versions = details.version_views(self._connection, self._study_id)
        return [version.name for version in versions] or [self.name]

    def _check_file(self) -> None:
        """Notice that the file is gone: an open one could be read for ever.

        Raises:
            FileGoneError: If it is gone, or another one stands in its place.
        """
        if isinstance(self._path, Place):
            return  # a server says so itself
        try:
            same = self._path.stat().st_ino == self._file
        except OSError:
            msg = f"{self._path} is gone: put it back, and this view goes on"
            raise FileGoneError(msg, code="NB503") from None
        if not same:
            msg = f"{self._path} is another file now: show the study again"
            raise FileGoneError(msg, code="NB503")

    def _check_study(self) -> None:
        """Notice that the study was deleted: another one may have its id by now.

        Raises:
            StudyNotFoundError: If it was.
        """
        made, versions = "study_name", ""
        if self._ours:
            made, versions = "created_at", "LEFT JOIN study_versions USING (study_id)"
        row = self._connection.execute(
            f"SELECT {made} FROM studies {versions} WHERE study_id = ?",  # noqa: S608
            (self._study_id,),
        ).fetchone()
        if row is None or self._made not in (None, row[0]):
            msg = f"{self._shown_name} was deleted: show a study of this name again"
            raise StudyNotFoundError(msg, code="NB401")
        self._made = row[0]

    def _owner_is_due(self) -> bool:
        """Tell whether it is time to ask whether the owner still lives."""
        latest = self._latest
        return (
            latest is not None
            and latest.state.is_active
            and time.monotonic() - self._owner_checked > OWNER_CHECK_SECONDS
        )

    def _read_trials(self) -> None:
        where, key = COMMITTED_AFTER, cast("tuple[int, ...]", (self._study_id, self._last_seq))
        if self._last_seq < 0:  # the first look, or a study of plain Optuna, which counts no commits
            where, key = WHOLE_STUDY, (self._study_id,)
            self._trials, self._best = [], None
            self._counts.clear()
        finished = load_views(self._connection, where, key, self._url, self._log_params)
        if self._ours:
            (newest,) = self._connection.execute(
                "SELECT coalesce(max(seq), 0) FROM trial_commits WHERE seq > ? AND study_id = ?",
                (self._last_seq, self._study_id),
            ).fetchone()
            self._last_seq = max(newest, self._last_seq)
        for view in finished:
            self._trials.append(view)
            self._counts[view.outcome] += 1
            self._best = better(self._best, view, self._directions)
        if (
            len(self._trials) > 1
            and finished
            and self._trials[-len(finished) - 1 :][0].number > finished[0].number
        ):
            self._trials.sort(key=lambda t: t.number)

    def _read_status(self) -> StudySnapshot:
        state, target, elapsed, note, owner, limit = StudyState.NEW, None, 0.0, "", "", None
        live: list[LiveTrial] = []
        cluster: Cluster | None = None
        if self._ours:
            row = self._connection.execute(
                "SELECT state, target, elapsed, note, host, pid, pid_started, token FROM study_status"
                " WHERE study_id = ?",
                (self._study_id,),
            ).fetchone()
            if row is not None:
                state, (target, elapsed, note) = self._state(row), row[1:4]
                self._owner_checked = time.monotonic()
                if state.is_active:
                    owner, limit = owner_text(*row[4:7]), self._time_limit(row[7])
            live = self._read_live() if state.is_active else []
            cluster = self._read_cluster() if state.is_active and self._has_workers else None
        return StudySnapshot(
            name=self._shown_name,
            directions=tuple(direction.name.lower() for direction in self._directions),
            metric=self._metric,
            state=state,
            target=target,
            trials=self._trials,
            best=self._best,
            counts=dict(self._counts),
            live=tuple(live),
            cluster=cluster,
            elapsed=elapsed,
            rate=rate(self._trials),
            note=note,
            owner=owner,
            time_limit=limit,
            log_params=self._log_params,
        )

    def _state(self, row: tuple[Any, ...]) -> StudyState:
        return owned_state(self._connection, self._study_id, row[0], row[4:7])

    def _time_limit(self, token: int) -> float | None:
        if self._limit[0] != token:
            self._limit = (token, details.time_limit(self._connection, self.name))
        return self._limit[1]

    def _read_cluster(self) -> Cluster | None:
        (text,) = self._connection.execute(
            "SELECT workers FROM study_status WHERE study_id = ?", (self._study_id,)
        ).fetchone()
        return details.cluster(text) if text else None

    def _read_live(self) -> list[LiveTrial]:
        rows = self._connection.execute(
            "SELECT number, params, step, value, started_at FROM live_trials"
            " WHERE study_id = ? ORDER BY number",
            (self._study_id,),
        )
        return [
            LiveTrial(number, from_json(params), step, value, _time(started))
            for number, params, step, value, started in rows
        ]


def _time(text: str) -> datetime:
    time = text_to_time(text)
    assert time is not None  # noqa: S101 - the column is NOT NULL
    return time


def owner_text(host: str, pid: int, pid_started: float) -> str:
    """Say which other process is at work on a study; nothing if it is this one."""
    owner = Owner(host, pid, pid_started)
    if owner == this_process():
        return ""
    return f"process {pid}" + ("" if same_machine(owner) else f" on {host.split(' ', maxsplit=1)[0]}")


def better(
    best: TrialView | None, trial: TrialView, directions: Sequence[StudyDirection]
) -> TrialView | None:
    """Return the better of two trials: complete and feasible ones only, the earlier one on a tie."""
    if len(directions) != 1 or trial.outcome is not TrialOutcome.COMPLETE or not trial.feasible:
        return best
    if best is None:
        return trial
    new, old = trial.values[0], best.values[0]
    if new == old:
        return min(best, trial, key=lambda t: t.number)
    return trial if (new > old) == (directions[0] == StudyDirection.MAXIMIZE) else best


def rate(trials: Sequence[TrialView]) -> float | None:
    """Return trials per second over the last few trials.

    Time in which no trial was in flight, of a pause or between two runs, counts as a moment.
    """
    last = sorted((t.completed, t.started) for t in trials[-_RATE_TRIALS:] if t.completed and t.started)
    busy, next_start = 0.0, datetime.max.replace(tzinfo=UTC)
    for (before, _), (after, started) in reversed(list(pairwise(last))):
        next_start = min(next_start, started)  # of all trials that ended later
        idle = (next_start - before).total_seconds()
        busy += (after - before).total_seconds() - max(idle - _MOMENT, 0.0)
    return (len(last) - 1) / busy if busy > 0 else None
