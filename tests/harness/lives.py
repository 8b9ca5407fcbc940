"""A study that is tuned by one process after another, each of which may be killed.

``live`` is the job of a child: it tunes until the study has its trials, and tells
the test of each trial once ``tell`` has returned. What it can be told to do is
to kill itself at the n-th moment, before or after any SQL statement and between
the steps of a trial.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import signal
import sqlite3
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    TPESampler,
)
from optuna.trial import TrialState

from harness.stored import attributes_of, facts_of
from optuna_nb.errors import StorageTroubleError
from optuna_nb.storage import database
from optuna_nb.storage.ledger import Durability
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.storage.writer import Progress
from optuna_nb.tuning.sampling import make_pruner, make_sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.nursery import Line

NAME = "churn@1"
Directions = tuple[Literal["minimize", "maximize"], ...]
ONE: Directions = ("minimize",)
TWO: Directions = ("minimize", "maximize")
CHECKPOINT_EVERY = 12  # becomes a checkpoint with every third commit

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Case:
    """What is tuned and how."""

    objective: Callable[[optuna.Trial], float | tuple[float, float]]
    sampler: str | Callable[[], BaseSampler]
    trials: int
    directions: Directions = ONE
    pruner: str = "none"


def numbers(trial: optuna.Trial) -> float:
    """Draw numbers alone, and set attributes of the trial and of the study."""
    x = trial.suggest_float("x", -3, 3)
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    depth = trial.suggest_int("depth", 1, 9)
    trial.set_user_attr("fold scores", [x, rate / 3, depth])
    if trial.number % 4 == 1:
        trial.study.set_user_attr("last odd one", trial.number)
    return (x - 1) ** 2 + abs(math.log10(rate) + 2) + depth / 10


def mixed(trial: optuna.Trial) -> float:
    """Draw a category beside the numbers."""
    kind = trial.suggest_categorical("kind", ["gini", "entropy", None])
    return numbers(trial) + (0.5 if kind is None else 0)


def conditional(trial: optuna.Trial) -> float:
    """Draw a parameter only where another one says so."""
    if trial.suggest_categorical("booster", ["tree", "linear"]) == "tree":
        return trial.suggest_int("depth", 1, 9) + trial.suggest_float("x", 0, 1)
    return 3 * trial.suggest_float("alpha", 0, 1) + trial.suggest_float("x", 0, 1)


def curve(trial: optuna.Trial) -> float:
    """Report a learning curve, and stop where the pruner says so."""
    level = mixed(trial)
    for step in range(6):
        trial.report(level + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return level


def two(trial: optuna.Trial) -> tuple[float, float]:
    """Return two objectives, under a constraint."""
    x = trial.suggest_float("x", 0, 2)
    y = trial.suggest_float("y", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    trial.set_constraint("small", x - 1.5)
    return x**2 + y, (x - 2) ** 2 - y + (kind == "b")


def everything(trial: optuna.Trial) -> float:
    """Write to every table that a trial can reach."""
    trial.set_constraint("depth", 0.25)
    trial.storage.set_study_system_attr(trial.study._study_id, "optuna_nb:test", trial.number)
    trial.study.set_user_attr("newest", [trial.number])
    for step, value in enumerate((math.nan, math.inf, -math.inf, -0.0)):
        trial.report(value, 10 + step)
    return curve(trial)


def finite(trial: optuna.Trial) -> float:
    """Have 30 combinations in all."""
    return (
        trial.suggest_int("depth", 1, 3)
        + trial.suggest_float("rate", 0, 1, step=0.25)
        + (trial.suggest_categorical("kind", ["a", "b"]) == "b")
    )


CASES: dict[str, Case] = {
    "random": Case(curve, "random", 24),
    "tpe": Case(curve, "tpe", 26, pruner="median"),
    "tpe independent": Case(mixed, lambda: TPESampler(multivariate=False, n_startup_trials=5), 20),
    "tpe multivariate": Case(mixed, lambda: TPESampler(multivariate=True, n_startup_trials=5), 20),
    "tpe group": Case(conditional, lambda: TPESampler(multivariate=True, group=True, n_startup_trials=5), 20),
    "tpe multi-objective": Case(two, lambda: TPESampler(n_startup_trials=6), 20, TWO),
    "cmaes": Case(numbers, "cmaes", 24),
    "cmaes in a variable": Case(numbers, lambda: CmaEsSampler(popsize=4, n_startup_trials=3, seed=1), 20),
    "nsgaii": Case(two, lambda: NSGAIISampler(population_size=5), 24, TWO),
    "nsgaiii": Case(two, lambda: NSGAIIISampler(population_size=5), 24, TWO),
    "qmc": Case(mixed, "qmc", 20),
    "qmc halton": Case(mixed, lambda: QMCSampler(qmc_type="halton"), 20),
    "grid": Case(finite, "grid", 30),
    "brute": Case(finite, "brute", 30),
    "partial fixed": Case(
        mixed, lambda: PartialFixedSampler({"depth": 3}, TPESampler(n_startup_trials=5)), 20
    ),
    "partial fixed cmaes": Case(numbers, lambda: PartialFixedSampler({"depth": 3}, CmaEsSampler(seed=1)), 20),
    "hyperband": Case(curve, "tpe", 24, pruner="hyperband"),
    "everything": Case(everything, lambda: TPESampler(n_startup_trials=3), 6),
    "gp": Case(mixed, lambda: GPSampler(n_startup_trials=4), 8),
}


def live(
    parent: Line,
    *,
    path: str,
    case: str,
    trials: int | None = None,
    kill_at: int = 0,
    after_acks: int = 0,
    durability: dict[str, Any] | None = None,
    full: bool = False,
    seed: int = 11,
) -> None:
    """Tune a study to its end, or die at it.

    Args:
        parent: Hears ``{"number", "facts", "attributes"}`` after each ``tell``, and ``{"killed": moment}``.
        path: The file, which is made where it is missing; or the URL of a server.
        case: Which of ``CASES``.
        trials: How many in all, instead of the number of the case.
        kill_at: At which moment to die, counted from 1; 0 is never.
        after_acks: From how many trials of this life on moments count.
        durability: Of the ledger, where it is not the default.
        full: Whether each commit is to survive a power cut.
        seed: The seed of the study.
    """
    fate = _Fate(parent, kill_at, after_acks)
    database.PAGES_BEFORE_CHECKPOINT = CHECKPOINT_EVERY
    if kill_at:
        factory = fate.connection_class()
        sqlite3.connect = functools.partial(sqlite3.connect, factory=factory)  # type: ignore[assignment]
        if "://" in path:
            fate.watch_server()
    study, storage = open_study(path, case, seed)
    storage.database.sync_fully(full)
    held = storage.acquire(study._study_id)
    if durability:
        held.durability = Durability(**durability)
    target = trials or CASES[case].trials
    storage.show_progress(study._study_id, Progress("running", target))
    while len(study.get_trials(deepcopy=False)) < target and not study._stop_flag:
        held.progress = Progress("running", target, 1.0, f"at {len(study.get_trials(deepcopy=False))}")
        told = one_trial(study, storage, case, fate.moment)
        fate.moment("told")
        number_of = {trial._trial_id: trial.number for trial in study.get_trials(deepcopy=False)}
        attributes = attributes_of(
            study.user_attrs, storage.get_study_system_attrs(study._study_id), number_of
        )
        parent.say({"number": told.number, "facts": facts_of(told), "attributes": attributes})
        fate.acks += 1
        fate.moment("acked")
    storage.show_progress(study._study_id, Progress("completed", target))
    storage.close()


def open_study(path: str, case: str, seed: int = 11) -> tuple[optuna.Study, StudyStorage]:
    """Open the study as a fresh kernel does, and make it where it is missing."""
    tuned = CASES[case]
    storage = StudyStorage(path if "://" in path else f"sqlite:///{path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        sampler = tuned.sampler if isinstance(tuned.sampler, str) else tuned.sampler()
    study = optuna.create_study(
        storage=storage,
        study_name=NAME,
        directions=tuned.directions,
        load_if_exists=True,
        sampler=make_sampler(sampler, seed=seed, directions=tuned.directions),
        pruner=make_pruner(tuned.pruner),
    )
    study._thread_local.in_optimize_loop = True  # grids stop their study when they are through
    return study, storage


def one_trial(
    study: optuna.Study, storage: StudyStorage, case: str, moment: Callable[[str], None]
) -> optuna.trial.FrozenTrial:
    """Run one trial; every third one is seen in the live table."""
    trial = study.ask()
    moment("asked")
    try:
        value = CASES[case].objective(trial)
    except optuna.TrialPruned:
        value = None
    if trial.number % 3 == 0:
        with contextlib.suppress(StorageTroubleError):  # as the runner does: the next commit tells
            storage.tick(study._study_id)
    moment("evaluated")
    if value is None:
        return study.tell(trial, state=TrialState.PRUNED)
    return study.tell(trial, value)


class _Fate:
    """Counts moments, and kills its own process at one of them."""

    def __init__(self, parent: Line, kill_at: int, after_acks: int) -> None:
        self._parent = parent
        self._left = kill_at
        self._after_acks = after_acks
        self.acks = 0

    def moment(self, name: str) -> None:
        if not self._left or self.acks < self._after_acks:
            return
        self._left -= 1
        if not self._left:
            self._parent.say({"killed": name})
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_server(self) -> None:
        """Make every statement that is sent to a server two moments."""
        from optuna_nb.storage.postgres import ServerConnection  # its driver is an extra

        for name in ("execute", "executemany", "begin", "commit"):
            function = getattr(ServerConnection, name)

            def watched(
                *args: Any, _do: Callable[..., Any] = function, _name: str = name, **kwargs: Any
            ) -> Any:
                said = what(args[1]) if _name.startswith("execute") else _name
                self.moment(f"before {said}")
                result = _do(*args, **kwargs)
                self.moment(f"after {said}")
                return result

            setattr(ServerConnection, name, watched)

    def connection_class(self) -> type[sqlite3.Connection]:
        """Make a class of connections whose every statement is two moments."""
        moment = self.moment

        class Connection(sqlite3.Connection):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.set_trace_callback(lambda sql: moment(f"before {what(sql)}"))

            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                cursor = super().execute(sql, *args)
                moment(f"after {what(sql)}")
                return cursor

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                cursor = super().executemany(sql, *args)
                moment(f"after {what(sql)}")
                return cursor

        return Connection


_STATEMENT = re.compile(r"\s*(INSERT OR \w+ INTO|INSERT INTO|DELETE FROM|UPDATE|PRAGMA) +(\w+)")


def what(sql: str) -> str:
    """Say what a statement does and to which table."""
    match = _STATEMENT.match(sql)
    return f"{match[1]} {match[2]}" if match else sql.split(maxsplit=1)[0].strip(";")
