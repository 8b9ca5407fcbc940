"""What goes on beside the trials: beats that keep the lease, trials in flight, and what others ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from optuna_nb.errors import LeaseLostError, StorageError
from optuna_nb.records import StudyState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from optuna_nb.records import Request
    from optuna_nb.tuning.control import Control

TICK_SECONDS = 0.25
LET_GO_SECONDS = 0.5  # a kernel restart leaves about 2.3 s for everything


class Keeper:
    """A thread that looks after a run a few times a second, whatever its trials do."""

    def __init__(
        self,
        control: Control,
        *,
        tick: Callable[[], Iterable[Request]],
        state: Callable[[], StudyState],
        show: Callable[[StudyState], None],
        lost: Callable[[BaseException], None],
    ) -> None:
        """Prepare; ``start`` begins.

        Args:
            control: Hears what others ask.
            tick: Writes what is to be seen, beats, and hands on what others ask.
            state: What the study is doing now.
            show: Writes that; called where it has changed while a trial was in flight.
            lost: Hears why the study is ours no more.
        """
        self._control = control
        self._tick = tick
        self._state = state
        self._show = show
        self._lost = lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="optuna_nb keeper", daemon=True)

    def start(self) -> None:
        """Begin, and return at once."""
        self._thread.start()

    def end(self, timeout: float | None = None) -> None:
        """End the beats, and wait for that at most so many seconds."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _keep(self) -> None:
        shown = StudyState.RUNNING  # what the run itself shows first
        while not self._ended.wait(TICK_SECONDS):
            try:
                for request in self._tick():
                    self._obey(request.verb, request.argument)
                if (state := self._state()) is not shown:
                    shown = state
                    self._show(state)
            except LeaseLostError as error:
                self._lost(error)
                self._control.stop()
                return
            except StorageError:
                continue  # the next trial's commit tells the user, and tries again
            except Exception as error:  # noqa: BLE001 - without beats others would take the study
                self._lost(error)
                self._control.stop()
                return

    def _obey(self, verb: str, argument: int | None) -> None:
        if verb == "more" and self._control.target is not None:
            self._control.set_target(self._control.target + (argument or 0))
        elif verb in ("pause", "resume", "stop", "stop_now"):
            getattr(self._control, verb)()
