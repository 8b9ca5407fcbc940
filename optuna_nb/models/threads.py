"""Folds of one trial in threads: started ahead, read in order.

Two folds with one model thread each keep two cores busier than one fold with two
threads. What is decided after a fold depends on the folds before it alone, so the
outcome of a trial is the same with any number of threads. The threads are daemons: a
long fit must not hold up the end of the kernel.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from optuna_nb.tuning.dropping import TrialDropped, asked_to_end
from optuna_nb.tuning.executors.cores import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_R = TypeVar("_R")
_LOOK_SECONDS = 0.2
_CELLS_OF_A_THREAD = 125_000  # rows x columns; less are not worth a thread (benchmarks/autotune/threads.py)


def fitting_threads(cells: int) -> int:
    """Return how many threads one fit on so many cells is worth.

    On small data OpenMP threads wait for each other more than they work, and burn CPU
    time while they wait: ten times the fit on a busy machine.
    """
    return max(1, min(usable_cores(), cells // _CELLS_OF_A_THREAD))


class _Cancelled(threading.Event):
    """Set when these folds are wanted no longer, or their trial is to be dropped."""

    def __init__(self, asked: threading.Event) -> None:
        super().__init__()
        self._asked = asked

    def is_set(self) -> bool:
        return super().is_set() or self._asked.is_set()


class _Task(Generic[_R]):
    def __init__(self, run: Callable[[], _R]) -> None:
        self._result: queue.SimpleQueue[tuple[_R | None, BaseException | None]] = queue.SimpleQueue()
        context = contextvars.copy_context()  # so that what the fit prints goes into the trial's log
        self.thread = threading.Thread(
            target=context.run, args=(self._work, run), name="optuna_nb fold", daemon=True
        )
        self.thread.start()

    def _work(self, run: Callable[[], _R]) -> None:
        try:
            self._result.put((run(), None))
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that asks
            self._result.put((None, error))

    def result(self) -> _R:
        while True:
            # Between two looks Python can interrupt this thread, as the end of the program does.
            with contextlib.suppress(queue.Empty):
                value, error = self._result.get(timeout=_LOOK_SECONDS)
                break
        if error is not None:
            raise error
        return value  # type: ignore[return-value]


def in_order(fit: Callable[[int, threading.Event], _R], count: int, workers: int) -> Generator[_R]:
    """Yield ``fit(0), fit(1), ...``, with up to ``workers`` of them at work.

    Closing the iterator sets the event that each ``fit`` is given, and waits for those
    that have begun: their data are used by the next trial. *Stop now* does so, too.

    Args:
        fit: Called from several threads with a number and the event.
        count: How many there are.
        workers: Threads at the same time; 1 runs all in the calling thread.

    Raises:
        TrialDropped: The trial is to be dropped.
    """
    asked = asked_to_end()
    cancelled = _Cancelled(asked)
    if workers <= 1:
        for number in range(count):
            yield _unless(asked, fit(number, cancelled))
        return
    tasks: list[_Task[_R]] = []

    def start(until: int) -> None:
        while len(tasks) < min(until, count):
            tasks.append(_Task(_bound(fit, len(tasks), cancelled)))

    try:
        for number in range(count):
            start(number + workers)
            yield _unless(asked, tasks[number].result())
    finally:
        cancelled.set()
        for task in tasks:
            task.thread.join()


def _unless(asked: threading.Event, result: _R) -> _R:
    if asked.is_set():
        raise TrialDropped
    return result


def _bound(fit: Callable[[int, threading.Event], Any], number: int, cancelled: threading.Event) -> Any:
    return lambda: fit(number, cancelled)
