"""Jobs of processes that want the same study: kernels of ours, and plain Optuna."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import optuna
from optuna.samplers import RandomSampler

from optuna_nb.errors import LeaseLostError, LockedStudyError, StorageError
from optuna_nb.storage import database, lease
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.storage.writer import Progress

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from harness.nursery import Line

STUDY = "s"


def _open(path: str, seed: int) -> tuple[optuna.Study, StudyStorage]:
    storage = StudyStorage(f"sqlite:///{path}")
    study = optuna.create_study(
        storage=storage, study_name=STUDY, load_if_exists=True, sampler=RandomSampler(seed)
    )
    return study, storage


def contend(parent: Line, *, path: str, seed: int) -> None:
    """Try to own a study at each ``go``; the winner runs one trial and lets go at ``write``."""
    study, storage = _open(path, seed)
    storage.release(study._study_id)
    parent.say("ready")
    while parent.hear() == "go":
        begin = time.perf_counter()
        try:
            storage.acquire(study._study_id)
        except LockedStudyError:
            parent.say({"won": False, "seconds": time.perf_counter() - begin})
            continue
        parent.say({"won": True, "seconds": time.perf_counter() - begin})
        parent.hear()
        told = study.tell(study.ask(), seed)
        parent.say(told.number)
        storage.release(study._study_id)
        parent.say("released")
    storage.close()


def make_and_own(parent: Line, *, path: str, seed: int) -> None:
    """At ``go`` make the file and the study, or find them, and own it; hold it until the next word."""
    parent.say("ready")
    parent.hear()
    try:
        study, storage = _open(path, seed)
        storage.acquire(study._study_id)
    except LockedStudyError:
        parent.say(False)
    else:
        told = study.tell(study.ask(), seed)
        parent.say(True)
        parent.hear()
        assert told.number == 0
        storage.close()


def own(parent: Line, *, path: str) -> None:
    """Own a study; do what is said and say how it went."""
    study, storage = _open(path, 1)
    ledger = storage.acquire(study._study_id)
    storage.show_progress(study._study_id, Progress("running", 100))
    trial = study.ask()
    parent.say("owned")
    while (order := parent.hear()) is not None:
        try:
            if order == "tell":
                study.tell(trial, 1.0)
                trial = study.ask()
            elif order == "tick":
                storage.tick(study._study_id)
            elif order == "set":
                storage.set_study_system_attr(study._study_id, "a", 1)
                ledger.add_study()
                storage._owned[study._study_id].flush()
            elif order == "show":
                storage.show_progress(study._study_id, Progress("running", 1000))
            elif order == "release":
                storage.release(study._study_id)
            elif order == "stop before the next commit":
                connection = storage.database.connection
                assert isinstance(connection, sqlite3.Connection)
                connection.set_trace_callback(_stop_before_commit)
        except LeaseLostError:
            parent.say("lost")
        else:
            parent.say("done")


def _stop_before_commit(sql: str) -> None:
    if sql == "COMMIT":
        os.kill(os.getpid(), signal.SIGSTOP)


def succeed(
    parent: Line, *, path: str, lease_seconds: float, busy_seconds: float = 5.0, trials: int = 2
) -> None:
    """Take a study over from an owner that gives no sign, run some trials, and hold it."""
    database.BUSY_SECONDS = busy_seconds
    lease.acquire.__defaults__ = (lease_seconds,)
    begin = time.perf_counter()
    try:
        study, storage = _open(path, 2)
        storage.acquire(study._study_id)
    except StorageError as error:
        parent.say({"refused": str(error), "seconds": time.perf_counter() - begin})
        return
    parent.say({"seconds": time.perf_counter() - begin})
    parent.say([study.tell(study.ask(), 2.0).number for _ in range(trials)])
    parent.hear()


def run_beside_others(parent: Line, *, path: str, trials: int) -> None:
    """Own a study and run trials, what is queued first: so many, and until it is told that it is enough."""
    study, storage = _open(path, 3)
    storage.acquire(study._study_id)
    parent.say("owned")
    parent.hear()
    done, enough = 0, False
    while done < trials or not enough:
        enough = enough or _is_told(parent)
        done += 1
        if done > trials:
            time.sleep(0.01)
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        trial.set_user_attr("who", "owner")
        told = study.tell(trial, x)
        parent.say([told._trial_id, told.number, x.hex(), "fixed_params" in told.system_attrs])
    storage.close()


def _is_told(parent: Line) -> bool:
    try:
        parent.hear(timeout=0)
    except TimeoutError:
        return False
    return True


def plain_optuna(parent: Line, *, path: str, rounds: int) -> None:
    """Add, enqueue and run trials with Optuna's own storage, as quickly as it goes."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    study = optuna.load_study(study_name=STUDY, storage=storage, sampler=RandomSampler(4))
    distributions: dict[str, BaseDistribution] = {"x": optuna.distributions.FloatDistribution(0, 1)}
    parent.say("ready")
    parent.hear()
    for number in range(rounds):
        x = (number + 0.5) / (2 * rounds)
        study.enqueue_trial({"x": x}, user_attrs={"queued": number})
        study.add_trial(
            optuna.trial.create_trial(
                value=x, params={"x": x}, distributions=distributions, user_attrs={"added": number}
            )
        )
        trial_id = study._storage.create_new_trial(study._study_id)  # `ask` would take one from the queue
        trial = optuna.Trial(study, trial_id)
        trial.set_user_attr("who", trial.suggest_float("x", 0, 1))
        study.tell(trial, trial.params["x"])
        parent.say(number)
    parent.say("done")
    storage.remove_session()
