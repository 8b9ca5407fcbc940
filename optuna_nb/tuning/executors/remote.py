"""What runs on a worker: one trial, whose study is far away.

The objective gets a ``RemoteTrial``, an Optuna trial whose storage is a few lines long.
Parameters that the kernel has drawn in advance are at hand as long as the objective
asks for them in the expected order; whatever else it asks is a question to the kernel
and waits for the answer. Everything else (reports, attributes, metrics, what it used)
is news: collected, sent in order and together, at the latest after ``NEWS_SECONDS``.

Nothing here knows how messages travel: a ``Channel`` has two functions for that.
"""

from __future__ import annotations

import pickle
import queue
import threading
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial, Trial

from optuna_nb.errors import ObjectiveError
from optuna_nb.storage.rows import check_param, check_step, plain_text, round_trip
from optuna_nb.tuning import capture, observer
from optuna_nb.tuning.dropping import Droppable, TrialDropped
from optuna_nb.tuning.score import Score, read_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection

_T = TypeVar("_T")
NEWS_SECONDS = 0.1
ASK_AGAIN_SECONDS = 20.0  # an answer may be lost with its connection; every question may be asked twice
LOG_LIMIT = 65_000  # a little less than the log in the kernel holds
_MANY = 200  # pieces of news that are sent at once


class Given(NamedTuple):
    """A parameter that was drawn in advance."""

    name: str
    distribution: BaseDistribution
    value: Any


class StudyInfo(NamedTuple):
    """What every trial of a run may know of its study without asking."""

    name: str
    directions: tuple[StudyDirection, ...]
    prunes: bool  # whether the pruner ever says yes


class Assignment(NamedTuple):
    """One trial, as a worker gets it."""

    study: StudyInfo
    trial: FrozenTrial  # as it is when it starts, without parameters
    given: tuple[Given, ...]  # in the order in which they are expected to be asked for


class Result(NamedTuple):
    """How an evaluation ended."""

    score: Score | None
    error: BaseException | None
    log: str
    used: int  # of the given parameters


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
        """
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


class _Storage:
    """The little of a storage that a trial needs: its own copy, and news for the kernel."""

    def __init__(self, channel: Channel, trial: FrozenTrial) -> None:
        self._channel = channel
        self.trial = trial
        self.system_attrs = dict(trial.system_attrs)

    def get_trial(self, _: int) -> FrozenTrial:
        return self.trial

    def get_trial_system_attrs(self, _: int) -> dict[str, Any]:
        return self.system_attrs

    def set_trial_intermediate_value(self, _: int, step: int, value: float) -> None:
        check_step(step)
        self._channel.tell("report", value, step)

    def set_trial_user_attr(self, _: int, key: str, value: Any) -> None:
        self._channel.tell("user_attr", plain_text(key, "attribute"), round_trip(value))

    def set_trial_system_attr(self, _: int, key: str, value: Any) -> None:
        key, value = plain_text(key, "attribute"), round_trip(value)
        self.system_attrs[key] = value
        self._channel.tell("system_attr", key, value)


class RemoteStudy:
    """The study of a remote trial: its name and directions at hand, the rest on demand."""

    def __init__(self, channel: Channel, info: StudyInfo) -> None:
        self._channel = channel
        self.study_name = info.name
        self.directions = list(info.directions)

    @property
    def direction(self) -> StudyDirection:
        """The only direction."""
        if len(self.directions) > 1:
            msg = "The single direction cannot be retrieved from a multi-objective study."
            raise RuntimeError(msg)
        return self.directions[0]

    def stop(self) -> None:
        """Start no further trial."""
        self._channel.tell("stop")

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set an attribute of the study."""
        self._channel.tell("study_attr", plain_text(key, "attribute"), round_trip(value))

    def get_trials(self, deepcopy: bool = True, states: Any = None) -> list[FrozenTrial]:  # noqa: ARG002, FBT001, FBT002 - Optuna's signature
        """Ask for the trials of the study."""
        trials: list[FrozenTrial] = self._channel.ask("study", "get_trials", {"states": states})
        return trials

    def compute(self, question: Callable[..., _T], arguments: tuple[Any, ...]) -> _T:
        """Ask for ``question(study, *arguments)``, which the kernel computes."""
        answer: _T = self._channel.ask("compute", question, arguments)
        return answer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._channel.ask("study", name, None)


class RemoteTrial(Trial):
    """A trial whose parameters come from the kernel."""

    def __init__(self, channel: Channel, assignment: Assignment) -> None:
        info = assignment.study
        self._channel = channel
        self._info = info
        self._given = assignment.given
        self.used = 0
        self._in_order = True
        frozen = assignment.trial
        self.study: Any = RemoteStudy(channel, info)
        self.storage: Any = _Storage(channel, frozen)
        self._trial_id = frozen._trial_id
        self._cached_frozen_trial = frozen
        self.relative_search_space = {}
        self._relative_params = {}
        self._fixed_params = frozen.system_attrs.get("fixed_params", {})

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        trial = self._cached_frozen_trial
        if name in trial.distributions:
            check_distribution_compatibility(trial.distributions[name], distribution)
            return trial.params[name]
        name = plain_text(name, "parameter")
        check_param(name, distribution)
        following = self._given[self.used] if self._in_order and self.used < len(self._given) else None
        if following is not None and following.name == name and following.distribution == distribution:
            self.used += 1
            value = following.value
        else:
            self._in_order = False
            value = self._channel.ask("suggest", self.used, name, distribution)
        trial.distributions[name] = distribution
        trial.params[name] = value
        return value

    def should_prune(self) -> bool:
        """Ask whether the trial is to be given up, unless the pruner never says so."""
        if len(self._info.directions) > 1:
            msg = "Trial.should_prune is not supported for multi-objective optimization."
            raise NotImplementedError(msg)
        return bool(self._info.prunes and self._channel.ask("prune"))


class _History:
    """Takes the metrics and events of a remote trial, for the records in the kernel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def metrics(self, _trial: int, _worker: str, step: int, values: dict[str, float]) -> None:
        check_step(step)
        self._channel.tell("metrics", step, values)

    def event(self, kind: str, _worker: str, note: dict[str, Any]) -> None:
        payload = round_trip({key: value for key, value in note.items() if key != "trial"})
        self._channel.tell("event", kind, payload)


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
            with observer.belonging_to(trial, _History(channel)), _watched(channel) as droppable:
                try:
                    with droppable.evaluating():
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


def dumps(message: object) -> bytes:
    """Pickle a message; an error that cannot be pickled becomes one that says the same."""
    import cloudpickle

    if isinstance(message, tuple) and isinstance(message[2], Result) and message[2].error is not None:
        message = (*message[:2], message[2]._replace(error=_Carried.of(message[2].error)))
    try:
        return pickle.dumps(message)  # five times as fast, and enough but for what a cell defines
    except Exception:  # noqa: BLE001 - pickle raises what it likes
        return bytes(cloudpickle.dumps(message))


def loads(blob: bytes) -> tuple[str, int, Any]:
    """Read a message: its kind, its number, and what it says."""
    kind, number, said = pickle.loads(blob)  # noqa: S301 - from a worker, which runs whatever we send it
    if isinstance(said, Result) and isinstance(said.error, _Carried):
        said = said._replace(error=said.error.open())
    return kind, number, said


class _Carried(Exception):  # noqa: N818 - it is no error, it carries one
    """An exception on its way to the kernel, with the lines that it passed."""

    def __init__(self, blob: bytes, text: str, name: str) -> None:
        super().__init__(blob, text, name)

    @classmethod
    def of(cls, error: BaseException) -> _Carried:
        import cloudpickle
        from tblib import pickling_support

        text = "".join(traceback.format_exception_only(error)).strip()
        try:
            pickling_support.install(error)
            blob = cloudpickle.dumps((error, error.__traceback__))
            pickle.loads(blob)  # noqa: S301 - our own, to see whether it can be read
        except Exception:  # noqa: BLE001 - what cannot travel is told in words
            blob = b""
        return cls(blob, text, type(error).__name__)

    def open(self) -> BaseException:
        blob, text, name = self.args
        try:
            error, lines = pickle.loads(blob)  # noqa: S301 - from a worker, which runs whatever we send it
        except Exception:  # noqa: BLE001 - a module of the worker's that is missing here
            if name == optuna.TrialPruned.__name__:
                return optuna.TrialPruned(text)
            return RuntimeError(text)
        whole: BaseException = error.with_traceback(lines)
        return whole


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
