"""Studies made up for the tests of the views, and a reader that plays one."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from optuna_nb.records import (
    Curve,
    EventView,
    LiveTrial,
    RunEvents,
    RunView,
    StudySnapshot,
    StudyState,
    TrialOutcome,
    TrialView,
    Verbs,
    VersionView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEGIN = datetime(2025, 1, 1, 12, tzinfo=UTC)


def trial(
    number: int,
    *values: float,
    outcome: TrialOutcome = TrialOutcome.COMPLETE,
    params: Mapping[str, Any] | None = None,
    feasible: bool = True,
    seconds: float = 0.5,
) -> TrialView:
    """Make one finished trial."""
    begin = BEGIN + timedelta(seconds=number)
    return TrialView(
        number,
        outcome,
        values,
        params or {"x": 0.5},
        begin,
        begin + timedelta(seconds=seconds),
        feasible=feasible,
    )


def study(trials: Sequence[TrialView], **fields: Any) -> StudySnapshot:
    """Make a snapshot of some trials; ``best`` and ``counts`` are those of the trials."""
    directions = fields.setdefault("directions", ("maximize",))
    sign = 1 if directions[0] == "minimize" else -1
    complete = [
        t for t in trials if t.outcome is TrialOutcome.COMPLETE and t.feasible and math.isfinite(t.values[0])
    ]
    best = min(complete, key=lambda t: sign * t.values[0], default=None) if len(directions) == 1 else None
    made = StudySnapshot(
        name="churn@1",
        directions=directions,
        metric="roc_auc",
        state=StudyState.RUNNING,
        target=100,
        trials=trials,
        best=best,
        counts=Counter(t.outcome for t in trials),
        elapsed=83.0,
        rate=12.3,
    )
    return replace(made, **fields)


def boosting(count: int, seed: int = 3) -> list[TrialView]:
    """Make trials as a tuned XGBoost leaves them: they get better, some are pruned or fail."""
    rng = random.Random(seed)  # noqa: S311 - a made-up study, no secret
    trials = []
    for number in range(count):
        params = {
            "max_depth": rng.randint(2, 10),
            "learning_rate": 10 ** rng.uniform(-3, -0.5),
            "subsample": rng.uniform(0.5, 1),
            "booster": rng.choice(["gbtree", "dart"]),
        }
        spread = 0.04 / (1 + number / 12)
        score = 0.9935 - abs(rng.gauss(0, spread)) - (0.3 if number == 4 else 0)
        chance = rng.random()
        seconds = rng.uniform(0.3, 1.4)
        if chance < 0.1 and number > 5:
            trials.append(trial(number, outcome=TrialOutcome.PRUNED, params=params, seconds=seconds / 4))
        elif chance < 0.13 and number > 5:
            trials.append(trial(number, outcome=TrialOutcome.FAILED, params=params, seconds=seconds / 9))
        else:
            trials.append(trial(number, score, params=params, seconds=seconds))
    return trials


class PlayedStudy:
    """A study that gains trials as time goes by, with verbs, and readers onto it."""

    def __init__(self, total: int, per_second: float, name: str = "churn@1") -> None:
        """Start the clock."""
        self.name = name
        self.total = total
        self.per_second = per_second
        self.asked: list[tuple[float, str]] = []
        self._trials = boosting(max(4 * total, 2000))
        self._state = StudyState.RUNNING
        self._done = 0.0
        self._elapsed = 0.0
        self._then = time.monotonic()
        self._lock = threading.Lock()

    def verbs(self) -> Verbs:
        """Return what the buttons call."""
        return Verbs(
            pause=lambda: self._ask("pause", StudyState.PAUSED),
            resume=lambda: self._ask("resume", StudyState.RUNNING),
            stop=lambda: self._ask("stop", StudyState.STOPPED),
            stop_now=lambda: self._ask("stop_now", StudyState.STOPPED),
            more=self._more,
        )

    def _ask(self, verb: str, state: StudyState) -> None:
        self.asked.append((time.time(), verb))
        self._advance()
        self._state = state

    def _more(self, count: int) -> None:
        self.asked.append((time.time(), f"more {count}"))
        self.total += count

    def _advance(self) -> None:
        now = time.monotonic()
        if self._state is StudyState.RUNNING:
            self._done = min(self._done + (now - self._then) * self.per_second, self.total)
            self._elapsed += now - self._then
            if self._done >= self.total:
                self._state = StudyState.COMPLETED
        self._then = now

    def now(self) -> StudySnapshot:
        """Return the study at this moment."""
        with self._lock:
            self._advance()
            trials = self._trials[: int(self._done)]
            running = self._state is StudyState.RUNNING
            live = (LiveTrial(len(trials), {"max_depth": 4}, 3, 0.91, datetime.now(UTC)),) if running else ()
            return study(
                trials,
                name=self.name,
                target=self.total,
                state=self._state,
                live=live,
                elapsed=self._elapsed,
                rate=self.per_second,
            )

    def reader(self) -> PlayedReader:
        """Open a reader."""
        return PlayedReader(self)


class PlayedReader:
    """What ``storage.reader.Reader`` is to a real study."""

    def __init__(self, played: PlayedStudy) -> None:
        """Begin with nothing seen."""
        self.name = played.name
        self._played = played
        self._seen: tuple[Any, ...] = ()
        self.closed = False

    def poll(self) -> StudySnapshot | None:
        """Return the study if it changed."""
        now = self._played.now()
        key = (now.done, now.state, now.target)
        if key == self._seen:
            return None
        self._seen = key
        return now

    def snapshot(self) -> StudySnapshot:
        """Return the study."""
        return self._played.now()

    def curves(self, numbers: Sequence[int]) -> list[Curve]:
        """Make up what trials reported."""
        made = []
        for number in numbers:
            outcome = TrialOutcome.PRUNED if number % 3 == 0 else TrialOutcome.COMPLETE
            steps = 9 if number % 3 == 0 else 30
            made.append(Curve(number, outcome, tuple((i, 0.9 - 0.5 / (1 + i)) for i in range(steps))))
        return made

    def numbers_with_steps(self, newest: int = 400) -> list[int]:
        """List all."""
        return list(range(self._played.now().done))[-newest:][::-1]

    def log(self, number: int) -> str | None:
        """Make up a log."""
        return f"trial {number}: <b>hello</b>\x1b[31m\n"

    def numbers_with_log(self, limit: int = 200) -> list[int]:
        """List all."""
        return self.numbers_with_steps(limit)

    def versions(self) -> list[VersionView]:
        """Make up two versions."""
        old = VersionView("churn@0", 1, "x = 1\nscore(x)", {"cell": "a"}, 7, BEGIN, None)
        return [old, VersionView(self._played.name, 2, "x = 2\nscore(x)", {"cell": "b"}, 7, BEGIN, "churn@0")]

    def runs(self) -> list[RunView]:
        """Make up a run and its resume."""
        end = BEGIN + timedelta(minutes=2)
        flags = {"trials": 100, "jobs": 1}
        first = RunView(
            1, "churn@0", "failed", "bayesian", 9, BEGIN, end, flags, {}, 0.9, "kernel ended", "", (), None
        )
        more = {**flags, "jobs": 4}
        return [
            first,
            RunView(
                2,
                self._played.name,
                "running",
                "bayesian",
                None,
                BEGIN,
                None,
                more,
                {},
                None,
                "",
                "",
                ("a",),
                1,
            ),
        ]

    def events(self) -> dict[int, RunEvents]:
        """Make up what happened in them."""
        kinds = ("started", "worker joined", "paused", "resumed", "exchange", "pruned", "retried", "stopped")
        found = [
            EventView(kind, BEGIN + timedelta(seconds=12 * i), "kernel", {"trial": i})
            for i, kind in enumerate(kinds)
        ]
        return {1: RunEvents({e.kind: 1 for e in found}, found)}

    def close(self) -> None:
        """Be closed."""
        self.closed = True
