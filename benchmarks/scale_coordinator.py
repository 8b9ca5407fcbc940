"""What one kernel spends on a trial that runs elsewhere, and how many workers it therefore feeds."""

from __future__ import annotations

import collections
import queue
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cloudpickle
from measure import table
from optuna.samplers import BaseSampler

from optuna_nb.records import Objective, TuneOptions
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning.executors.choice import make_executor
from optuna_nb.tuning.executors.coordinator import Coordinator
from optuna_nb.tuning.executors.link import Worker
from optuna_nb.tuning.executors.messages import Result, dumps, loads
from optuna_nb.tuning.executors.thread import ThreadExecutor
from optuna_nb.tuning.resume import prepare
from optuna_nb.tuning.score import Score
from optuna_nb.tuning.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import optuna

    from optuna_nb.tuning.executors.contract import Executor
    from optuna_nb.tuning.executors.link import Listener

_PARAMS = 10
_READY = 1000  # trials that the study has
_MEASURED = 200
_IDLE_SECONDS = 4.0
_WORKERS = (1, 16, 128, 1000)
_ADVICE = """\
Beyond that no trial is lost and none is wrong: workers wait for their next trial, and the rate stays at what
the kernel can do. Most of a trial's cost is the sampler, which grows with the trials of the study and with
those in flight; the rest is messages, Dask's and ours. What helps then, the cheapest first:

1. Let a trial do more: all folds, or several seeds. Longer trials feed more workers (the table).
2. `--batch 4` or more draws so many trials from one model of TPE, for half of its time (the table below).
3. Take a sampler that does not read the study: `--sampler random` or `qmc` (the last column). With thousands
   of trials in flight TPE knows little more than they do.
4. With `--pruner hyperband` or `sha` report fewer steps: each one is a question to the kernel, as these
   pruners read the trials in flight. The others judge steps shorter than 0.2 s where the trial runs.
5. `--durability pooled` commits many trials at once.
6. Split the search: a study a kernel, each with its part of the workers, on one PostgreSQL server.
"""


def objective(trial: optuna.Trial) -> float:
    """Cost next to nothing."""
    return sum(trial.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(10))


class SimulatedLink:
    """A cluster whose workers answer at once, but keep three quarters of their places taken.

    So there are as many trials in flight as on a real cluster of that size, and the
    coordinator is what every one of them waits for.
    """

    about = dashboard = ""

    def __init__(self, workers: int) -> None:
        self.slots = workers
        self.cpu = 0.0  # seconds that the simulation itself took
        self.is_full = threading.Event()
        self.go = threading.Event()
        self._taken = max(1, workers * 3 // 4)  # places that stay so while we measure
        self._waiting: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._closed = False
        self._listener: Listener

    def open(self, listener: Listener) -> None:
        """Show the workers to the coordinator."""
        self._listener = listener
        listener.workers_are(
            {f"sim://{i}": Worker(f"sim://{i}", f"{i}", "sim", 1) for i in range(self.slots)}
        )
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        held: collections.deque[tuple[str, bytes]] = collections.deque()
        while not self._closed:
            item = self._waiting.get()
            if item is not None:
                held.append(item)
            if not self.go.is_set():
                if len(held) < self.slots:
                    continue
                self.is_full.set()
                self.go.wait()
            while len(held) >= self._taken:
                self._end(*held.popleft())
            self.cpu = time.thread_time()

    def _end(self, key: str, blob: bytes) -> None:
        given = loads(blob)[2].given
        value = sum(each.value**2 for each in given)
        result = Result(Score((value,)), None, "", used=len(given))
        self._listener.message(key, dumps(("end", 0, result)))

    def start(self, _worker: str, key: str, assignment: bytes) -> None:
        """Take a trial."""
        self._waiting.put((key, assignment))

    def answer(self, _worker: str, _key: str, _blob: bytes) -> None:
        """Nothing is ever asked: all parameters are drawn in advance."""
        raise AssertionError

    def rest(self, key: str) -> None:
        """Nothing: it has ended."""

    def forget(self, key: str) -> None:
        """Nothing: none is dropped."""

    def drain(self) -> None:
        """Let all trials end."""
        self._taken = 1
        self._waiting.put(None)

    def abandon(self) -> None:
        """End the thread."""
        self.close()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._waiting.put(None)


class Meter(BaseSampler):
    """A sampler that adds up its own CPU time, and reads the clocks at two of its trials."""

    def __init__(self, inner: BaseSampler, link: SimulatedLink | None = None) -> None:
        self._base_sampler = inner
        self._link = link
        self._cpu = 0.0
        self._told = 0
        self.begin_at = 0
        self.end_at = 0
        self.marks: list[tuple[float, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base_sampler, name)

    def _timed(self, name: str, *arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return getattr(self._base_sampler, name)(*arguments)
        finally:
            self._cpu += time.thread_time() - began

    def before_trial(self, *arguments: Any) -> None:
        """Delegate."""
        self._timed("before_trial", *arguments)

    def infer_relative_search_space(self, *arguments: Any) -> Any:
        """Delegate."""
        return self._timed("infer_relative_search_space", *arguments)

    def sample_relative(self, *arguments: Any) -> Any:
        """Delegate."""
        return self._timed("sample_relative", *arguments)

    def sample_independent(self, *arguments: Any) -> Any:
        """Delegate."""
        return self._timed("sample_independent", *arguments)

    def after_trial(self, *arguments: Any) -> None:
        """Delegate, and read the clocks at the two trials."""
        self._timed("after_trial", *arguments)
        self._told += 1
        if self._told in (self.begin_at, self.end_at):
            simulated = self._link.cpu if self._link else 0.0
            self.marks.append((time.process_time(), self._cpu, simulated, _keeper_cpu()))
        if self._link and self._told == self.end_at:
            self._link.drain()


def _keeper_cpu() -> float:
    """Return the CPU seconds of the thread that looks after a run a few times a second."""
    [keeper] = [thread for thread in threading.enumerate() if thread.name == "optuna_nb keeper"]
    assert keeper.ident is not None  # noqa: S101 - it runs
    return time.clock_gettime(time.pthread_getcpuclockid(keeper.ident))


@dataclass(frozen=True)
class Cost:
    """CPU time of the kernel."""

    sampler: float  # ms per trial
    rest: float  # ms per trial, beyond the sampler and the keeper
    idle: float = 0.0  # ms per second while all workers compute


def coordinator(folder: Path) -> str:
    """Measure, and work out from it how many workers one kernel feeds."""
    path = folder / "study.db"
    _prefill(path)
    alone = _threads(path)
    costs = {workers: _simulate(path, workers) for workers in _WORKERS}
    local, joined = _dask(path, None), None
    with own_cluster() as address:
        joined = _dask(path, address)
    rows: list[list[object]] = [["in a thread of the kernel", 1, *_cells(alone), ""]]
    rows += [["simulated workers", n, *_cells(cost), "<= 5 ms"] for n, cost in costs.items()]
    rows += [["--executor dask --jobs 2 (its scheduler is in the kernel)", 2, *_cells(local), ""]]
    rows += [["--cluster with 2 workers", 2, *_cells(joined), ""]]
    heads = ["where trials run", "workers", "sampler, ms", "rest, ms", "idle, ms/s", "target for the rest"]
    messages = max(joined.rest - _at(costs, 2).rest, 0.0)
    return (
        f"CPU time of the kernel per trial: TPE, {_PARAMS} parameters, {_READY:,} trials in the study, each"
        " commit durable. *Sampler* is TPE itself; *rest* is all else that a trial costs (ask, tell, SQLite,"
        " records, messages); *idle* is spent per second while all workers compute, on the lease, the live"
        " table and the places of the workers:\n\n"
        f"{table(heads, rows)}\n\n{_capacity(costs, messages)}"
    )


def _cells(cost: Cost) -> Sequence[object]:
    return cost.sampler, cost.rest, cost.idle or ""


def _prefill(path: Path) -> None:
    options = _options(path, _READY, "random")
    with _work(options, ThreadExecutor(objective)) as work:
        work.run()


def _options(path: Path, trials: int, sampler: str) -> TuneOptions:
    return TuneOptions(
        name="scale", storage=f"sqlite:///{path}", trials=trials, sampler=sampler, pruner="none", seed=1
    )


@contextmanager
def _work(options: TuneOptions, executor: Executor) -> Iterator[Work]:
    storage = StudyStorage(options.storage)
    yield Work(storage, prepare(storage, _subject(), options), _subject(), options, executor)


def _subject() -> Objective:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not have this file
    return Objective(objective, "", {"cell": "1"})


def _copied(path: Path, name: str) -> Path:
    twin = path.with_name(f"{name}.db")
    twin.write_bytes(path.read_bytes())
    return twin


def _measured(work: Work, meter: Meter, begin_at: int, trials: int = _MEASURED) -> Cost:
    meter.begin_at, meter.end_at = begin_at, begin_at + trials
    work.study.sampler = meter
    work.run()
    first, last = meter.marks
    cpu, sampler, simulated, keeper = ((b - a) / trials * 1e3 for a, b in zip(first, last, strict=True))
    return Cost(sampler, cpu - sampler - simulated - keeper)


def _threads(path: Path) -> Cost:
    options = _options(_copied(path, "threads"), _READY + _MEASURED + 20, "tpe")
    with _work(options, ThreadExecutor(objective)) as work:
        return _measured(work, Meter(work.study.sampler), 10)


def _simulate(path: Path, workers: int) -> Cost:
    link = SimulatedLink(workers)
    # A quarter of the workers ends at once and goes on in step, asking together and telling together:
    # only over several such rounds are there as many questions as results.
    trials = max(_MEASURED, workers)
    options = _options(_copied(path, f"simulated{workers}"), _READY + workers + trials + 20, "tpe")
    idle: list[float] = []

    def fill() -> None:
        link.is_full.wait()
        time.sleep(1)
        cpu = time.process_time()
        time.sleep(_IDLE_SECONDS)
        idle.append((time.process_time() - cpu) / _IDLE_SECONDS * 1e3)
        link.go.set()

    threading.Thread(target=fill, daemon=True).start()
    with _work(options, Coordinator(link)) as work:
        cost = _measured(work, Meter(work.study.sampler, link), max(10, workers // 4 + 5), trials)
    return replace(cost, idle=idle[0])


def _dask(path: Path, address: str | None) -> Cost:
    name = "joined" if address else "local"
    options = _options(_copied(path, name), _READY + _MEASURED + 40, "tpe")
    options = replace(options, executor="dask", jobs=2, cluster=address)
    with _work(options, make_executor(_subject(), options)) as work:
        return _measured(work, Meter(work.study.sampler), 20)


@contextmanager
def own_cluster(workers: int = 2) -> Iterator[str]:
    """Start a scheduler and workers as processes beside this one; give their address."""
    import socket

    from distributed import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = f"tcp://127.0.0.1:{port}"
    host = ("--host", "127.0.0.1", "--no-dashboard")
    commands = [["scheduler", "--port", port, *host]]
    commands += [["worker", address, "--nthreads", "1", "--no-nanny", *host]] * workers
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{program}", *rest], stderr=subprocess.DEVNULL
        )
        for program, *rest in commands
    ]
    try:
        with Client(address, timeout=30, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address
    finally:
        for process in started:
            process.kill()  # a worker whose scheduler is gone takes its time over ending
        for process in started:
            process.wait()


def _at(costs: dict[int, Cost], workers: float) -> Cost:
    """Interpolate between the numbers of workers that were measured; beyond the last, what grows goes on."""
    known = sorted(costs)
    low = max((n for n in known[:-1] if n <= workers), default=known[0])
    high = next(n for n in known if n > low)
    part = (workers - low) / (high - low)

    def between(a: float, b: float) -> float:
        return max(a + part * (b - a), min(a, b))

    a, b = costs[low], costs[high]
    return Cost(between(a.sampler, b.sampler), between(a.rest, b.rest), between(a.idle, b.idle))


def _fed(costs: dict[int, Cost], messages: float, seconds: float, *, sampler: bool = True) -> int:
    """Find how many workers keep one core of the kernel just busy, with trials of so many seconds."""
    low, high = 1.0, 1e6
    for _ in range(60):
        workers = (low + high) / 2
        cost = _at(costs, workers)
        each = cost.rest + messages + (cost.sampler if sampler else 0)
        busy = workers / seconds * each / 1e3 + cost.idle / 1e3
        low, high = (workers, high) if busy < 1 else (low, workers)
    return int(low)


def _capacity(costs: dict[int, Cost], messages: float) -> str:
    rows: list[list[object]] = []
    for seconds in (1, 10, 100):
        fed = _fed(costs, messages, seconds)
        cost = _at(costs, fed)
        rows.append(
            [
                f"{seconds} s",
                f"{fed:,}",
                f"{fed / seconds:,.0f}",
                cost.sampler,
                cost.rest + messages,
                f"{cost.idle / 10:.0f} %",
                f"{_fed(costs, messages, seconds, sampler=False):,}",
            ]
        )
    heads = [
        "a trial takes",
        "workers fed",
        "trials per s",
        "sampler, ms",
        "rest with Dask, ms",
        "idle",
        "workers with a sampler that costs nothing",
    ]
    return (
        "So many workers one kernel feeds before one of its cores is full"
        f" (Dask's own messages, {messages:.2g} ms per trial, are in it; beyond 1,000 workers the straight"
        f" line through 128 and 1,000 goes on, which is a guess):\n\n{table(heads, rows)}\n\n{_ADVICE}"
    )
