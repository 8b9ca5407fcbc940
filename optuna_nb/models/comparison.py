"""Several models in one call: one study each, one table, one winner, the budget split by promise.

Every model gets its opening and the same first share. Then the better half shares half
of what is left, and so on, until one model has the rest. The split depends on scores
alone, so a comparison that goes on after a restart splits as it would have.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from optuna_nb.errors import OptunaNBError, StudyNotFoundError
from optuna_nb.models.winner import HOLDOUT
from optuna_nb.storage.server import identity
from optuna_nb.tuning import background
from optuna_nb.tuning.reading import load_to_look
from optuna_nb.tuning.results import FOLD_STD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna.trial import FrozenTrial

    from optuna_nb.records import Objective, TuneOptions
    from optuna_nb.tuning.handle import StudyHandle

    Starter = Callable[[Objective, TuneOptions], StudyHandle]


@dataclass
class Comparison:
    """Studies of several models on the same folds. Methods may be called from any thread.

    Attributes:
        entries: Objective and options of each model, by its name.
        total: Trials of all models together.
        starter: Starts a study.
        handles: The studies that have begun, by model.
        failures: What went wrong with a model, in one line; the others go on without it.
    """

    entries: Mapping[str, tuple[Objective, TuneOptions]]
    total: int
    starter: Starter
    handles: dict[str, StudyHandle] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _given: dict[str, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _stopped: set[str] = field(default_factory=set)  # models whose study the user stopped: they get no more
    _error: BaseException | None = None
    _current: str | None = None

    def start(self) -> Comparison:
        """Begin in a background thread, one study after the other."""
        threading.Thread(target=self._work, name="optuna_nb comparison", daemon=True).start()
        return self

    def wait(self, timeout: float | None = None) -> Comparison:
        """Block until all studies have ended.

        Raises:
            ObjectiveError: If all failed.
            TimeoutError: If they still run after ``timeout`` seconds.
        """
        if not self._ended.wait(timeout):
            msg = f"{self!r} still runs after {timeout:g} s"
            raise TimeoutError(msg)
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """End after the trial in flight."""
        self._stopping = True
        for handle in list(self.handles.values()):
            if handle.is_running:
                handle.stop()

    @property
    def is_running(self) -> bool:
        """Whether the comparison has not ended."""
        return not self._ended.is_set()

    @property
    def current(self) -> StudyHandle | None:
        """The study that was begun, or went on, last."""
        return None if self._current is None else self.handles[self._current]

    @property
    def winner(self) -> StudyHandle:
        """The study with the best value so far.

        Raises:
            StudyNotFoundError: If no trial has completed yet.
            OptunaNBError: If no model could begin.
        """
        if self._error is not None and not self.handles:
            raise self._error
        for name, best in self._ranked().items():
            if best is not None:
                return self.handles[name]
        msg = "no model has a complete trial yet"
        raise StudyNotFoundError(msg, code="NB409")

    @property
    def table(self) -> pd.DataFrame:
        """One row a model that has begun, best first: model, study, trials, value, std of its folds.

        Where rows were held out, with their score. A model that failed, or could not begin, has the reason.
        """
        rows = []
        for name, best in self._ranked().items():
            handle = self.handles[name]
            score = (None, None) if best is None else (best.value, best.user_attrs.get(FOLD_STD))
            held = load_to_look(handle).user_attrs.get(HOLDOUT, {}).get("score")
            rows.append((name, handle.name, handle.snapshot().done, *score, held, self.failures.get(name)))
        for name, why in list(self.failures.items()):
            if name not in self.handles:
                rows.append((name, self.entries[name][1].name, 0, None, None, None, why))
        metric = next(iter(self.entries.values()))[1].metric or "value"
        columns = ["model", "study", "trials", metric, "std", "holdout", "failure"]
        table = pd.DataFrame(rows, columns=columns)
        return table.drop(columns=[name for name in columns[-2:] if table[name].isna().all()])

    def _work(self) -> None:
        try:
            alive = list(self.entries)
            share = max(1, self.total // (2 * len(alive)))
            for name in alive:
                first = len(self.entries[name][0].opening)
                self._run(name, max(share, first))
            while len(alive) > 1 and not self._stopping:
                out = self._stopped | self.failures.keys()
                going_on = [name for name in self._ranked() if name in alive and name not in out]
                alive = going_on[: (len(alive) + 1) // 2]
                left = max(0, self.total - sum(self._given.values()))  # openings may take more
                part = left if len(alive) == 1 else left // 2
                for name in alive:
                    if part // len(alive):
                        self._run(name, part // len(alive))
        except BaseException as error:  # noqa: BLE001 - handed on by wait()
            self._error = error
        finally:
            self._ended.set()

    def _run(self, name: str, trials: int) -> None:
        if self._stopping:
            return
        try:
            self._tune(name, trials)
        except OptunaNBError as error:
            self.failures[name] = error.in_one_line()
            if self.failures.keys() == self.entries.keys():
                raise

    def _tune(self, name: str, trials: int) -> None:
        self._given[name] = self._given.get(name, 0) + trials
        objective, options = self.entries[name]
        handle = self.starter(objective, replace(options, trials=self._given[name]))
        self.handles[name], self._current = handle, name
        if self._stopping:  # stop() came while the study started, and did not see its handle
            handle.stop()
        handle.wait()
        own = background.find(identity(handle.storage), handle.study_name)
        if own is not None and own.control.is_stopping:
            self._stopped.add(name)

    def _ranked(self) -> dict[str, FrozenTrial | None]:
        """Return the best trial of each model that has begun, best first; None where none has completed."""
        sign = -1 if next(iter(self.entries.values()))[1].directions[0] == "maximize" else 1
        found: list[tuple[float, str, FrozenTrial | None]] = []
        for name, handle in list(self.handles.items()):
            best = None
            with suppress(StudyNotFoundError):
                best = handle.best_trial
            rank = math.inf if best is None else sign * best.values[0]  # noqa: PD011 - not of pandas
            found.append((rank, name, best))
        return {name: best for _, name, best in sorted(found, key=lambda it: it[0])}

    def _repr_html_(self) -> str | None:
        """Show the table, once there is one."""
        return str(self.table.to_html(index=False)) if self.handles or self.failures else None

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.entries)}>"
