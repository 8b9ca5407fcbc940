"""Several models in one call: one study each, one table, one winner, the budget split by promise.

Every model gets its opening and the same first share. Then the better half shares half
of what is left, and so on, until one model has the rest. The split depends on scores
alone, so a comparison that goes on after a restart splits as it would have.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from optuna_nb.tuning.results import FOLD_STD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """

    entries: Mapping[str, tuple[Objective, TuneOptions]]
    total: int
    starter: Starter
    handles: dict[str, StudyHandle] = field(default_factory=dict)
    _given: dict[str, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _error: BaseException | None = None

    def start(self) -> Comparison:
        """Begin in a background thread, one study after the other."""
        threading.Thread(target=self._work, name="optuna_nb comparison", daemon=True).start()
        return self

    def wait(self, timeout: float | None = None) -> Comparison:
        """Block until all studies have ended.

        Raises:
            ObjectiveError: If one failed.
        """
        self._ended.wait(timeout)
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
    def winner(self) -> StudyHandle:
        """The study with the best value so far."""
        return self.handles[self._ranked()[0]]

    @property
    def table(self) -> pd.DataFrame:
        """One row a model, best first: model, study, trials, value, std of its folds."""
        rows = []
        for name in self._ranked():
            handle = self.handles[name]
            best = handle.best_trial
            rows.append(
                (name, handle.name, handle.snapshot().done, best.value, best.user_attrs.get(FOLD_STD))
            )
        metric = next(iter(self.entries.values()))[1].metric or "value"
        return pd.DataFrame(rows, columns=["model", "study", "trials", metric, "std"])

    def _work(self) -> None:
        try:
            alive = list(self.entries)
            share = max(1, self.total // (2 * len(alive)))
            for name in alive:
                first = len(self.entries[name][0].opening)
                self._run(name, max(share, first))
            while len(alive) > 1 and not self._stopping:
                alive = [name for name in self._ranked() if name in alive][: (len(alive) + 1) // 2]
                left = self.total - sum(self._given.values())
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
        self._given[name] = self._given.get(name, 0) + trials
        objective, options = self.entries[name]
        handle = self.starter(objective, replace(options, trials=self._given[name]))
        self.handles[name] = handle
        handle.wait()

    def _ranked(self) -> list[str]:
        if self._error is not None and not self.handles:
            raise self._error
        maximize = next(iter(self.entries.values()))[1].directions[0] == "maximize"
        values: dict[str, Any] = {name: handle.best_value for name, handle in self.handles.items()}
        return sorted(values, key=lambda name: -values[name] if maximize else values[name])

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.entries)}>"
