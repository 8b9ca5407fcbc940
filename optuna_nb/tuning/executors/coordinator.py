"""Trials on the workers of a cluster: who runs which, and what happens when one is lost.

Each job thread of the runner waits in ``submit`` for what comes from its trial. A trial
is bound to one worker, so when that worker is gone the trial is begun again elsewhere
by us, and not by the cluster: under its number, with its parameters, and no more than
``RETRIES`` times. What an earlier attempt still sends carries another key and is not heard.
"""

from __future__ import annotations

import itertools
import json
import queue
import threading
import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import ClusterError, WorkerLostError
from optuna_nb.records import Cluster, WorkerView
from optuna_nb.tuning.dropping import TrialDropped
from optuna_nb.tuning.executors.messages import Result, dumps, loads
from optuna_nb.tuning.executors.pruning import Reports
from optuna_nb.tuning.executors.session import Session
from optuna_nb.tuning.turns import HANDLING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import Trial

    from optuna_nb.tuning.capture import TrialLog
    from optuna_nb.tuning.executors.contract import Desk
    from optuna_nb.tuning.executors.link import Link, Worker
    from optuna_nb.tuning.executors.session import Guess
    from optuna_nb.tuning.score import Score

RETRIES = 2  # times that a trial runs again after its worker was lost
LOOK_SECONDS = 0.5
_SHOWN = 64  # workers that a panel lists
_MESSAGE, _FAILED, _WORKER_GONE, _CLUSTER_GONE, _DROPPED = range(5)


class _Attempt:
    """One try of one trial on one worker."""

    def __init__(self, key: str, number: int, worker: Worker) -> None:
        self.key = key
        self.number = number
        self.worker = worker
        self.inbox: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()


class Coordinator:
    """An executor over a cluster.

    Args:
        link: the way to the cluster; opened and closed here.
    """

    turn = HANDLING_SECONDS

    def __init__(self, link: Link) -> None:
        self.slots = link.slots
        self.about = link.about
        self._link = link
        self._desk: Desk
        self._reports: Reports
        self._guess: Guess = ()
        self._sessions: dict[int, Session] = {}
        self._run = uuid.uuid4().hex[:8]
        self._count = itertools.count()
        self._changed = threading.Condition()  # around what follows
        self._attempts: dict[str, _Attempt] = {}
        self._workers: Mapping[str, Worker] = {}
        self._away = ""  # why the cluster cannot be reached
        self._dropping = False
        self._done: dict[str, int] = {}  # trials that a worker has ended, by its address
        self._joined: dict[str, float] = {}  # when it was first seen

    # As an executor

    def open(self, desk: Desk) -> None:
        """Start or join the cluster, and look at how the study's newest trial went."""
        self._desk = desk
        self._reports = Reports(desk.study)
        desk.observer.is_remote = True
        self._link.open(self)
        self.slots = self._link.slots
        trials = desk.study.get_trials(deepcopy=False)
        newest = next((t for t in reversed(trials) if t.state.is_finished() and t.params), None)
        if newest is not None:
            self._guess = list(newest.distributions.items())

    def prepare(self, trial: Trial) -> None:
        """Draw what the trial will probably ask for."""
        self._sessions[trial.number] = Session(self._desk, trial, self._guess, self._reports)

    def submit(self, trial: Trial, log: TrialLog) -> Score:
        """Run a trial on some worker; on another one if that is lost."""
        session = self._sessions.pop(trial.number)
        lost: list[Worker] = []
        while len(lost) <= RETRIES:
            attempt = self._place(trial.number)
            let_go = self._link.forget
            try:
                ended = self._follow(attempt, session)
                if isinstance(ended, Result):
                    let_go = self._link.rest
            finally:
                try:
                    let_go(attempt.key)  # before its place is free for another
                finally:
                    with self._changed:
                        del self._attempts[attempt.key]
                        self._changed.notify_all()
            if isinstance(ended, Result):
                return self._take(ended, session, log, attempt)
            if ended == _WORKER_GONE:
                lost.append(attempt.worker)
                self._desk.observer.lost(trial, attempt.worker.name)
            else:
                self._let_the_link_notice()
            session.begin_again()
        names = ", ".join(dict.fromkeys(worker.name for worker in lost))
        msg = (
            f"its worker was lost {len(lost)} times ({names}), so it is passed over:"
            " a trial that needs more memory than a worker has ends like this"
        )
        raise WorkerLostError(msg, code="NB803")

    def status(self) -> str:
        """Say what the workers are doing."""
        with self._changed:
            running: dict[str, list[int]] = {}
            for attempt in self._attempts.values():
                running.setdefault(attempt.worker.address, []).append(attempt.number)
            workers = list(self._workers.values())
        now = time.monotonic()
        shown = sorted(workers, key=lambda it: (it.address not in running, len(it.name), it.name))[:_SHOWN]
        rows = []
        for it in shown:
            began = self._joined.setdefault(it.address, now)
            done = self._done.get(it.address, 0)
            rate = float(f"{done / (now - began):.2g}") if now > began else None
            trials = sorted(running.get(it.address, ()))
            rows.append(WorkerView(it.name, it.host, tuple(trials), it.memory, done, rate))
        return json.dumps(asdict(Cluster(tuple(rows), len(workers), self._link.dashboard)))

    def drop_all(self) -> object:
        """Drop every trial in flight; the workers notice within a second."""
        with self._changed:
            self._dropping = True
            attempts = list(self._attempts.values())
            self._changed.notify_all()
        for attempt in attempts:
            attempt.inbox.put((_DROPPED, None))
        return len(attempts)

    def close(self) -> None:
        """Let go of the cluster."""
        self._link.close()

    def abandon(self) -> None:
        """Let go of the cluster at once."""
        self._link.abandon()

    # One trial

    def _let_the_link_notice(self) -> None:
        """Wait a moment after the cluster did not take a trial: the link finds out soon what is wrong."""
        with self._changed:
            if not self._away:
                self._changed.wait(LOOK_SECONDS)

    def _place(self, number: int) -> _Attempt:
        """Wait for a free place on a worker, and take it."""
        with self._changed:
            while True:
                if self._dropping or (self._away and self._desk.is_stopping()):
                    raise TrialDropped
                busy: dict[str, int] = {}
                for attempt in self._attempts.values():
                    busy[attempt.worker.address] = busy.get(attempt.worker.address, 0) + 1
                free = [
                    (busy.get(w.address, 0) / w.slots, w.address)
                    for w in self._workers.values()
                    if busy.get(w.address, 0) < w.slots
                ]
                if free and not self._away:
                    worker = self._workers[min(free)[1]]
                    key = f"optuna_nb-{self._run}-{number}-{next(self._count)}"
                    attempt = self._attempts[key] = _Attempt(key, number, worker)
                    return attempt
                self._changed.wait(LOOK_SECONDS)

    def _follow(self, attempt: _Attempt, session: Session) -> Result | int:
        """Serve a trial until it has ended, or is lost."""
        self._desk.observer.on_worker(session.trial, attempt.worker.name)
        try:
            self._link.start(attempt.worker.address, attempt.key, dumps(("run", 0, session.assignment())))
        except ClusterError:
            return _CLUSTER_GONE
        while True:
            what, content = attempt.inbox.get()
            if what == _DROPPED:
                raise TrialDropped
            if what == _FAILED:
                raise content
            if what != _MESSAGE:
                return int(what)
            kind, number, said = loads(content)
            if isinstance(said, Result):
                # A task that somebody else cancelled on the cluster is lost, and not ours to drop.
                return _WORKER_GONE if isinstance(said.error, TrialDropped) else said
            if kind == "news":
                session.hear(said)
                continue
            news, question, arguments = said
            session.hear(news)
            try:
                answer = (number, True, session.answer(question, arguments))
            except Exception as error:  # noqa: BLE001 - the trial is to raise it
                answer = (number, False, error)
            self._link.answer(attempt.worker.address, attempt.key, _packed(answer))

    def _take(self, result: Result, session: Session, log: TrialLog, attempt: _Attempt) -> Score:
        session.settle(result.used)
        self._guess = session.order() or self._guess
        log.write(result.log)
        address = attempt.worker.address
        self._done[address] = self._done.get(address, 0) + 1
        if result.error is not None:
            raise result.error
        assert result.score is not None  # noqa: S101 - a result without an error has one
        return result.score

    # As a listener

    def message(self, key: str, blob: bytes) -> None:
        """Hand a message to the thread of its trial."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.inbox.put((_MESSAGE, blob))

    def failed(self, key: str, error: BaseException) -> None:
        """Hand on what kept a trial from beginning."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.inbox.put((_FAILED, error))

    def task_lost(self, key: str) -> None:
        """Let a trial begin again."""
        attempt = self._attempts.get(key)
        if attempt is not None:
            attempt.inbox.put((_WORKER_GONE, None))

    def workers_are(self, workers: Mapping[str, Worker]) -> None:
        """Note who is there; trials on workers that are gone begin again."""
        with self._changed:
            self._workers = workers
            lost = [a for a in self._attempts.values() if a.worker.address not in workers]
            self._changed.notify_all()
        if not self._away:
            for attempt in lost:
                attempt.inbox.put((_WORKER_GONE, None))

    def cluster_gone(self, note: str) -> None:
        """Let all trials in flight wait for the cluster."""
        with self._changed:
            self._away = note
            attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.inbox.put((_CLUSTER_GONE, None))
        self._desk.waits_for(note)

    def cluster_back(self) -> None:
        """Go on."""
        with self._changed:
            self._away = ""
            self._changed.notify_all()
        self._desk.waits_for("")


def _packed(answer: tuple[int, bool, Any]) -> bytes:
    try:
        return dumps(answer)
    except Exception:  # noqa: BLE001 - what cannot travel is told in words
        number, _, value = answer
        return dumps((number, False, RuntimeError(f"{type(value).__name__}: {value}")))
