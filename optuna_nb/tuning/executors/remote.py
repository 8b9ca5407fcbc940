"""What runs on a worker: one trial, whose study is far away.

What the objective does with its ``RemoteTrial`` is told to the kernel as news, collected,
sent in order and together, at the latest after ``NEWS_SECONDS``, or asked as a question.

Nothing here knows how messages travel: a ``Channel`` has two functions for that.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import ObjectiveError
from optuna_nb.tuning import capture, observer
from optuna_nb.tuning.dropping import Droppable, TrialDropped, asked_to_end
from optuna_nb.tuning.executors.messages import Result, dumps
from optuna_nb.tuning.executors.remote_trial import RemoteHistory, RemoteTrial
from optuna_nb.tuning.score import read_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna.trial import Trial

    from optuna_nb.tuning.executors.messages import Assignment

NEWS_SECONDS = 0.1
ASK_AGAIN_SECONDS = 20.0  # an answer may be lost with its connection; every question may be asked twice
LOG_LIMIT = 65_000  # a little less than the log in the kernel holds
_MANY = 200  # pieces of news that are sent at once


class Channel:
    """The way of one trial to its kernel.

    Args:
        send: hands bytes on, in order, and returns at once. From any thread.
        is_wanted: whether the kernel still waits for this trial.
    """

    def __init__(self, send: Callable[[bytes], object], is_wanted: Callable[[], bool]) -> None:
        self._send = send
        self.is_wanted = is_wanted
        self.answers: queue.SimpleQueue[tuple[int, bool, Any]] = queue.SimpleQueue()
        self._news: list[tuple[str, tuple[Any, ...]]] = []
        self._lock = threading.RLock()
        self._questions = 0

    def tell(self, kind: str, *arguments: Any) -> None:
        """Send news, soon."""
        with self._lock:
            self._news.append((kind, arguments))
            if len(self._news) >= _MANY:
                self.flush()

    def flush(self) -> None:
        """Send the news that wait."""
        with self._lock:
            if self._news:
                self._send(dumps(("news", 0, self._news)))
                self._news = []

    def ask(self, kind: str, *arguments: Any) -> Any:
        """Ask the kernel, and wait for the answer.

        Raises:
            Exception: What answering raised there.
            TrialDropped: Nobody will answer any more.
        """
        asked = asked_to_end()
        self._questions += 1
        number = self._questions
        with self._lock:
            news, self._news = self._news, []
            self._send(dumps(("ask", number, (news, kind, arguments))))
        while True:
            again = time.monotonic() + ASK_AGAIN_SECONDS
            while time.monotonic() < again:
                try:  # between two looks this thread can be interrupted, as a dropped trial is
                    answered, fine, value = self.answers.get(timeout=0.2)
                except queue.Empty:
                    if asked.is_set():
                        raise TrialDropped from None
                    continue
                if answered == number:
                    if not fine:
                        raise value
                    return value
            self._send(dumps(("ask", number, ([], kind, arguments))))

    def end(self, result: bytes) -> None:
        """Send what came out."""
        self.flush()
        self._send(result)


def run(load: Callable[[], Callable[[Trial], Any]], assignment: Assignment, channel: Channel) -> bytes:
    """Evaluate one trial, and return its pickled ``Result``.

    Args:
        load: gives the objective.
        assignment: the trial.
        channel: the way to the kernel.
    """
    score, error, used = None, None, 0
    with capture.trial_log(LOG_LIMIT) as log:
        try:
            evaluate = _loaded(load)
            trial = RemoteTrial(channel, assignment)
            directions = [direction.name.lower() for direction in assignment.study.directions]
            with observer.belonging_to(trial, RemoteHistory(channel)), _watched(channel) as droppable:
                try:
                    with droppable.evaluating(evaluate):
                        value = evaluate(trial)
                finally:
                    used = trial.used
            score = read_score(value, directions)
        except (Exception, SystemExit, TrialDropped) as raised:  # noqa: BLE001 - whatever the user's code raises
            error = raised
    return dumps(("end", 0, Result(score, error, log.text(), used)))


def _loaded(load: Callable[[], Callable[[Trial], Any]]) -> Callable[[Trial], Any]:
    try:
        return load()
    except ImportError as error:
        raise ObjectiveError(
            f"a worker cannot load the objective: {error}; install it on the workers,"
            " or write its functions in the notebook itself",
            code="NB804",
        ) from error


class _Watch:
    """Sends waiting news, and drops trials that nobody wants any more; one thread a process."""

    def __init__(self) -> None:
        self._running: dict[Channel, Droppable] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, channel: Channel) -> Droppable:
        with self._lock:
            droppable = self._running[channel] = Droppable()
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="optuna_nb watch", daemon=True)
                self._thread.start()
        return droppable

    def remove(self, channel: Channel) -> None:
        with self._lock:
            del self._running[channel]

    def _look(self) -> None:
        while True:
            time.sleep(NEWS_SECONDS)
            with self._lock:
                running = list(self._running.items())
                if not running:
                    self._thread = None
                    return
            for channel, droppable in running:
                channel.flush()
                if not channel.is_wanted():
                    droppable.drop_all()


_watch = _Watch()


@contextmanager
def _watched(channel: Channel) -> Iterator[Droppable]:
    droppable = _watch.add(channel)
    try:
        yield droppable
    finally:
        _watch.remove(channel)
