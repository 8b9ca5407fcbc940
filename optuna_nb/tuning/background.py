"""A runner in a daemon thread of this process, and the end of it when the kernel ends.

A kernel restart leaves about 2.3 s for everything: the threads are asked to stop
and waited for at most 0.7 s, all together, then each study is let go of in mid-trial.
They are daemons, as with another kind of thread ``atexit`` would never run.
"""

from __future__ import annotations

import atexit
import builtins
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna_nb.errors import LockedStudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from optuna_nb.records import Objective, TuneOptions
    from optuna_nb.storage.server import Place
    from optuna_nb.tuning.control import Control
    from optuna_nb.tuning.runner import RunEnd

JOIN_SECONDS = 0.7
ENDING_SECONDS = 10.0  # that a new run waits for the trial in flight of the one before


class Background:
    """One study that this process runs, or has run."""

    def __init__(
        self,
        objective: Objective,
        options: TuneOptions,
        control: Control,
        run: Callable[[], RunEnd],
        abandon: Callable[[], None],
    ) -> None:
        """Prepare; ``start`` begins.

        Args:
            objective: What is tuned, to start it again.
            options: How, likewise.
            control: The runner's flags.
            run: The blocking run with its records.
            abandon: Called when the process ends in mid-trial, to let go of the study.
        """
        self.objective = objective
        self.options = options
        self.control = control
        self.end: RunEnd | None = None
        self.failure: BaseException | None = None
        self._run = run
        self._abandon = abandon
        # An interrupted join() makes CPython 3.11 take a live thread for a dead one: an event cannot err.
        self._ended = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._work, name=f"optuna_nb {options.name}", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.ident is not None and not self._ended.is_set()

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; tell whether it has come."""
        return self._ended.wait(timeout)

    def let_end(self, name: str) -> None:
        """Wait for the end of a run that is stopping or takes no more trials.

        Raises:
            LockedStudyError: If its trial in flight takes too long.
        """
        if not self.wait(ENDING_SECONDS):
            raise is_ending(name)

    def when_it_ends(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` once, from the thread of the run, after its end; at once if it has ended."""
        self._listeners.append(listener)
        if self._ended.is_set():
            self._tell()

    def _tell(self) -> None:
        while self._listeners:
            try:
                listener = self._listeners.pop()
            except IndexError:  # another thread has taken the last one
                return
            listener()

    def shut_down(self, seconds: float = JOIN_SECONDS) -> None:
        """Stop as the process ends; let go of the study if a trial takes too long."""
        self.control.stop()
        if not self.wait(seconds):
            self._abandon()

    def _work(self) -> None:
        try:
            self.end = self._run()
        except BaseException as error:  # noqa: BLE001 - handed on by the handle's wait()
            self.failure = error
        finally:
            self._ended.set()
            self._tell()


def is_ending(name: str) -> LockedStudyError:
    """Describe a run that takes no more trials and does not end."""
    msg = (
        f"{name} is ending, and its last trial or its winner's fit still runs: try again after that,"
        " or drop the trial by *Stop now* of its panel or `stop_now()` of its handle"
    )
    return LockedStudyError(msg, code="NB402")


_studies: dict[tuple[Path | Place, str], Background] = {}
_lock = threading.Lock()


def remember(path: Path | Place, name: str, background: Background) -> None:
    """Keep the background of a study of this process, so that verbs find it."""
    with _lock:
        if not _studies:
            atexit.register(end_with_process)
        _studies[path, name] = background


def find(path: Path | Place, name: str) -> Background | None:
    """Return the background of a study that this process runs or has run."""
    with _lock:
        return _studies.get((path, name))


def rename(path: Path | Place, names: Mapping[str, str], base_name: str) -> None:
    """Find studies of this process under their new names, and under those alone."""
    with _lock:
        moved = {new: _studies.pop((path, old)) for old, new in names.items() if (path, old) in _studies}
        for new in names.values():  # another study had that name once
            _studies.pop((path, new), None)
        for new, background in moved.items():
            background.options = replace(background.options, name=base_name)
            _studies[path, new] = background


def forget(path: Path | Place, names: Iterable[str]) -> None:
    """Know nothing more of studies that are gone: others may get their names."""
    with _lock:
        for name in names:
            _studies.pop((path, name), None)


def running(path: Path | Place) -> dict[str, Background]:
    """Return what this process runs just now in a database."""
    with _lock:
        return {name: b for (where, name), b in _studies.items() if where == path and b.is_running}


def shut_down_all(seconds: float = JOIN_SECONDS) -> None:
    """Stop all studies of this process: when it ends, and when the extension is unloaded."""
    with _lock:
        backgrounds = [b for b in _studies.values() if b.is_running]
        _studies.clear()
    for background in backgrounds:
        background.control.stop()
    end = time.monotonic() + seconds
    for background in backgrounds:
        background.shut_down(max(0.0, end - time.monotonic()))
    atexit.unregister(end_with_process)


def end_with_process() -> None:
    """Stop all studies as the process ends, and say so in a script: there nothing else would."""
    with _lock:
        names = sorted({name for (_, name), background in _studies.items() if background.is_running})
    shut_down_all()
    if names and not hasattr(builtins, "__IPYTHON__"):  # a kernel's last words would go nowhere
        verb = "was" if len(names) == 1 else "were"
        sys.stderr.write(
            f"optuna_nb: the program ended while {', '.join(names)} {verb} running; finished trials are"
            " stored. Run it again to go on, or call .wait() on what tune() returns to let it finish.\n"
        )
