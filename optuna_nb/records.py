"""Frozen values that cross layers: what one part of the package tells another.

Nothing here imports anything heavy, and the few functions are what two layers above must
agree on without knowing each other. Times are timezone-aware
UTC, durations are seconds, directions are ``"minimize"`` or ``"maximize"``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

SAMPLERS = ("tpe", "random", "grid", "cmaes", "gp", "nsgaii", "nsgaiii", "qmc", "brute", "plaintpe")
PRUNERS = ("median", "hyperband", "sha", "percentile", "wilcoxon", "none")
VERSIONED = re.compile(r"(?s)(.+)@(\d{1,18})")  # the name of a version: "churn@2"


def base_name(name: str) -> str:
    """Return the name of a study without the number of a version."""
    match = VERSIONED.fullmatch(name)
    return match[1] if match else name


def cell_of_csv(value: Any) -> Any:
    """Put a quote before a text that a spreadsheet would take for a formula."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


def thinned(points: Sequence[tuple[int, float]], limit: int) -> list[tuple[int, float]]:
    """Leave out points, but keep both ends, and the lowest and the highest of every stretch.

    Args:
        points: In the order of their numbers.
        limit: How many to keep, about; at least 4.
    """
    if len(points) <= limit:
        return list(points)
    stretches = (limit - 2) // 2
    kept = {0, len(points) - 1}
    for stretch in range(stretches):
        span = range(len(points) * stretch // stretches, len(points) * (stretch + 1) // stretches)
        kept.add(min(span, key=lambda i: points[i][1]))
        kept.add(max(span, key=lambda i: points[i][1]))
    return [points[i] for i in sorted(kept)]


class StudyState(StrEnum):
    """What a study is doing, in the words that the panel shows."""

    NEW = "new"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # it was running, and its kernel is gone

    @property
    def is_active(self) -> bool:
        """Whether a kernel is at work on the study."""
        return self in _ACTIVE

    @property
    def has_ended(self) -> bool:
        """Whether no more trials will come unless somebody goes on with the study."""
        return not self.is_active and self is not StudyState.NEW


_ACTIVE = frozenset({StudyState.RUNNING, StudyState.PAUSED, StudyState.STOPPING})


class TrialOutcome(StrEnum):
    """How a finished trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrialView:
    """One finished trial, as the panel and the verbs see it."""

    number: int
    outcome: TrialOutcome
    values: tuple[float, ...]  # one per direction; empty when there is none
    params: Mapping[str, Any]
    started: datetime | None
    completed: datetime | None
    last_step: int | None = None  # of a pruned trial, the step that it reported last
    feasible: bool = True

    @property
    def seconds(self) -> float | None:
        """How long the trial took, or None where a time is missing."""
        if self.started is None or self.completed is None:
            return None
        return (self.completed - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """One trial in flight, from the side table that Optuna does not read."""

    number: int
    params: Mapping[str, Any]
    step: int | None
    value: float | None  # the last reported one
    started: datetime


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker of a cluster, as a view shows it."""

    name: str
    host: str
    trials: tuple[int, ...]  # that it runs just now
    memory: int | None  # bytes
    done: int  # trials that it has ended in this run
    rate: float | None  # trials a second, since it joined


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers that run a study's trials: some of them, where there are many."""

    workers: tuple[WorkerView, ...]
    count: int
    dashboard: str = ""  # address of the cluster's own pages


@dataclass(frozen=True, slots=True)
class StudySnapshot:
    """All that a view of one study needs, read at one moment.

    ``trials`` holds every finished trial by number. It grows from one snapshot
    to the next and is shared between them, and so does ``log_params``: treat
    both as read-only.
    """

    name: str  # with its version: "churn@2"
    directions: tuple[str, ...]
    metric: str | None
    state: StudyState
    target: int | None  # trials in total; None without a limit
    trials: Sequence[TrialView]
    best: TrialView | None  # the best feasible one; None with several directions
    counts: Mapping[TrialOutcome, int]
    live: Sequence[LiveTrial] = ()
    elapsed: float = 0.0  # seconds of tuning, over all runs of the study
    rate: float | None = None  # trials per second, over the last trials
    note: str = ""  # one line: what changed, or why it failed
    owner: str = ""  # who is at work on it, where that is not this process: "process 812"
    cluster: Cluster | None = None  # where its trials run, if not in the kernel
    time_limit: float | None = None  # elapsed seconds at which a timeout ends the run
    # By parameter, whether it is drawn from a logarithmic scale; filled as parameters are read.
    log_params: Mapping[str, bool] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many trials have finished, in whatever way."""
        return len(self.trials)

    def count(self, outcome: TrialOutcome) -> int:
        """Count the finished trials that ended so."""
        return self.counts.get(outcome, 0)

    @property
    def eta(self) -> float | None:
        """Seconds to go, by the trials that are left or by the timeout; None where neither can say.

        The rate is that of all jobs together, so their number does not matter.
        """
        if not self.state.is_active:
            return None
        ends = []
        if self.target is not None and self.rate:
            ends.append(max(self.target - self.done, 0) / self.rate)
        if self.time_limit is not None:
            ends.append(max(self.time_limit - self.elapsed, 0.0))
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class Curve:
    """What one finished trial reported, step by step; a long curve is thinned."""

    number: int
    outcome: TrialOutcome
    points: tuple[tuple[int, float], ...]  # step, value


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of a study, as a view shows it."""

    name: str  # "churn@2"
    version: int
    code: str
    fingerprint: Mapping[str, str]
    seed: int
    created: datetime | None
    parent: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One execution of a tuning cell, as a view shows it."""

    index: int  # counted from 1, over all versions of the study
    study: str
    status: str
    method: str
    trials: int | None
    started: datetime | None
    completed: datetime | None
    flags: Mapping[str, Any]
    versions: Mapping[str, str]  # of libraries
    best: float | None
    error: str
    notes: str
    tags: tuple[str, ...]
    parent: int | None  # index of the run that it resumed
    seconds: float | None = None  # that it was at work
    log: str = ""  # of a trial that ended it, and that is not among the trials


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened in a run, as a view shows it."""

    kind: str
    time: datetime
    worker: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunEvents:
    """What happened in one run: how often each kind, and some or all of the events by time."""

    counts: Mapping[str, int]
    events: Sequence[EventView]


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a study, and what made it."""

    study_id: int
    study_name: str  # as it stands in Optuna's table: "churn@2"
    base_name: str  # "churn"
    version: int
    seed: int
    fingerprint: Mapping[str, str]
    code: str
    metric: str | None = None
    model: str | None = None
    parent_study_id: int | None = None


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known of a tuning run when it starts."""

    study_name: str
    method: str  # grid_search, random_search or bayesian
    model_type: str
    code: str
    experiment: str | None  # None: the one of the notebook
    config: Mapping[str, Any]
    notes: str | None = None
    tags: tuple[str, ...] = ()
    notebook: str | None = None  # its path, or the folder's name where there is none


@dataclass(frozen=True, slots=True)
class RecordsFound:
    """What hangs on an experiment or a model run, and goes with it."""

    what: str  # "experiment 'churn'"
    id: UUID
    is_experiment: bool
    model_runs: int
    tuning_runs: int
    studies: tuple[str, ...]
    running: tuple[str, ...]  # studies with a run that has not ended


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked of a study's owner through the database."""

    verb: str  # pause, resume, stop, stop_now or more
    argument: int | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a model scores with the defaults of its library: the model run that is to be tuned."""

    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A parameter set that a new study tries first."""

    params: Mapping[str, Any]
    attributes: Mapping[str, Any]  # of its trial
    is_baseline: bool = False  # whether gains are over its score


@dataclass(frozen=True, slots=True)
class Objective:
    """What is tuned: the function, and what identifies it."""

    evaluate: Callable[[Trial], Any]
    code: str  # as the user wrote it
    fingerprint: Mapping[str, str]  # part ("cell", "def f", "data X") -> hash
    model: str | None = None  # type of the model that it fits
    opening: tuple[Opening, ...] = ()  # what a new study tries before the sampler draws
    finish: Callable[[Study], None] | None = None  # called at the end of a run that did not fail
    refit: Callable[[Study], Any] | None = None  # makes the model of the best trial
    edited: tuple[str, ...] = ()  # modules whose files have changed since this process loaded them
    unseen: tuple[str, ...] = ()  # data whose changes the fingerprint cannot see: "D (catboost.Pool)"
    refingerprint: Callable[[], Mapping[str, str]] | None = None  # of what the trials see, as it is by now


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """How a study is tuned. Names are those of the flags."""

    name: str
    storage: str
    trials: int | None = None  # in total; None: 100, or no limit with a timeout
    more: int | None = None
    timeout: float | None = None
    directions: tuple[str, ...] = ("minimize",)
    sampler: str | BaseSampler = "tpe"
    batch: int = 1  # trials that TPE draws from one model
    pruner: str | BasePruner = "median"
    seed: int | None = None
    jobs: int | None = None  # trials at the same time; None: 1, or what the cluster has room for
    executor: str = "thread"  # thread or dask
    cluster: Any = None  # of dask: an address, a Client, a cluster; None starts one on this machine
    metric: str | None = None
    model: str | None = None
    experiment: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()
    continue_old: bool = False
    going_on: str | None = None  # Optuna's name of the version to go on with; None: found by the code
    warm_start: int = 0
    user_directions: bool = False  # whether the user named the directions
    notebook: str | None = None  # path of the notebook, for its experiment
    keep_log: bool = True  # keep what a trial prints
    durability: str = "trial"  # trial, pooled or end: when finished trials are written
    buffer_size: int = 100  # pooled: so many wait at most
    flush_seconds: float = 1.0  # pooled: so long at most
    synchronous: str = "auto"  # auto, normal or full: what a commit survives
    step_interval: int = 1  # reported steps from one look at a live trial to the next
    fix: Mapping[str, Any] | None = None  # fixed parameters; None: those of the study


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check of a study's file found."""

    check: str  # what was looked at
    problem: str  # one line; empty where all is well
    can_be_mended: bool = False


@dataclass(frozen=True, slots=True)
class Verbs:
    """What a panel may ask of the study that it shows."""

    pause: Callable[[], object]
    resume: Callable[[], object]
    stop: Callable[[], object]
    stop_now: Callable[[], object]
    more: Callable[[int], object]
