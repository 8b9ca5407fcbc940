"""What a user holds: a study by its name, to watch, steer and read.

A handle keeps no connection open and owns nothing. In the kernel that runs the
study its verbs act at once; from any other they leave a request in the
database, which the owner hears within a quarter of a second.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import (
    FileGoneError,
    InvalidOptionError,
    ObjectiveError,
    StorageError,
    StudyNotFoundError,
)
from optuna_nb.records import Request, StudySnapshot, StudyState, base_name
from optuna_nb.storage import live, questions, versions
from optuna_nb.storage.doctor import examine
from optuna_nb.storage.opening import attach, open_read_only
from optuna_nb.storage.queue import enqueue
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.record_database import read_records
from optuna_nb.storage.repair import repair as mend
from optuna_nb.storage.server import identity, place
from optuna_nb.tuning import background, fixing
from optuna_nb.tuning.background import ENDING_SECONDS, is_ending
from optuna_nb.tuning.export import export, is_report
from optuna_nb.tuning.reading import load_study, load_to_look
from optuna_nb.tuning.resume import on_top
from optuna_nb.tuning.transfer import transfer
from optuna_nb.tuning.waiting import runs_elsewhere, state_of, until_heard, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    import optuna
    import pandas as pd
    from optuna.trial import FrozenTrial

    from optuna_nb.records import Finding, Objective, TuneOptions
    from optuna_nb.tuning.background import Background


@dataclass
class StudyHandle:
    """One study in a database. Every method may be called from any thread.

    Attributes:
        name: The study with its version, ``"churn@2"``.
        storage: URL of the database.
        note: One line on what happened when the handle was made.
        study_name: What Optuna calls it; not ``name`` where plain Optuna made it and newer versions follow.
        view: Shows the handle where it is displayed; set by the notebook side.
        restarter: Starts a study of which this kernel holds no code, from the stored cell; likewise.
        reporter: Writes the report of the study into a file; likewise.
    """

    name: str
    storage: str
    note: str = ""
    study_name: str = ""
    starter: Callable[[Objective, TuneOptions], StudyHandle] | None = field(default=None, compare=False)
    view: Callable[[StudyHandle], None] | None = field(default=None, compare=False)
    restarter: Callable[[StudyHandle, int | None], StudyHandle] | None = field(default=None, compare=False)
    reporter: Callable[[StudyHandle, str], str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Take the one name for the other where only one is given."""
        self.study_name = self.study_name or self.name

    # Steering

    @property
    def is_running(self) -> bool:
        """Whether a kernel is at work on the study, this one or another."""
        own = self._background()
        if own is not None and (own.is_running or not runs_elsewhere(self.storage, self.study_name)):
            return own.is_running
        try:
            return self._state().is_active
        except StudyNotFoundError:
            return False

    def pause(self) -> bool:
        """Start no new trial until ``resume``; the one in flight ends.

        Returns:
            Whether a kernel is at work on the study and so will hear of it.
        """
        return self._ask("pause")

    def stop(self) -> bool:
        """End the run after the trial in flight. It can be resumed.

        Returns:
            Whether a kernel is at work on the study and so will hear of it.
        """
        return self._ask("stop")

    def stop_now(self) -> bool:
        """End the run at once: the trials in flight are dropped, and their numbers stay free.

        Only Python code can be interrupted: a call into compiled code has to return first.

        Returns:
            Whether a kernel is at work on the study and so will hear of it.
        """
        return self._ask("stop_now")

    def resume(self) -> StudyHandle:
        """Go on after ``pause``, or start again what was stopped; in a notebook also by the stored cell.

        Raises:
            InvalidOptionError: If this kernel did not run the code and no trusted cell that fits is stored.
            LockedStudyError: If it is stopping, and its trial in flight takes more than ten seconds.
        """
        own = self._background()
        if own is not None and own.is_running and own.control.takes_no_more:
            own.let_end(self.name)  # no verb reaches it any more
        if self._can_hear() and self._ask("resume"):
            return self
        return self._restart(None)

    def more(self, n: int) -> StudyHandle:
        """Add ``n`` trials to the total, and go on if the study had ended, as :meth:`resume` does.

        Raises:
            InvalidOptionError: If ``n`` is not positive, or as for :meth:`resume`.
            LockedStudyError: If it is stopping, as for :meth:`resume`.
        """
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            msg = f"more={n!r}: give the number of trials to add, at least 1"
            raise InvalidOptionError(msg, code="NB104")
        own = self._background()
        if own is not None and own.is_running:
            target = own.control.target  # None: it goes on anyway
            if own.control.set_target(None if target is None else target + n):
                return self
            own.let_end(self.name)
        if self._can_hear() and self._ask("more", n):
            return self
        return self._restart(n)

    def enqueue(self, params: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> StudyHandle:
        """Queue parameter sets to be tried next; the study may run here, elsewhere or not at all.

        Each is one of the trials that the study has in total. Parameters that a set
        does not name are drawn; queued values win over ``--fix``.

        Args:
            params: Values by name of the parameter, or a list of such sets.

        Raises:
            InvalidOptionError: If they are something else, or a value is not one that
                the finished trials' objective suggests.
            StudyNotFoundError: If there is no such study.
        """
        queue = fixing.read_sets(params)
        trials = self.study.get_trials(deepcopy=False)
        for one in queue:
            fixing.check(trials, one)
        with contextlib.closing(attach(self.storage)) as database:
            enqueue(database, self.address(), queue)
        when = "they run next" if self.is_running else "they run first when it goes on, as with --more"
        new, _ = fixing.unknown(trials, sorted({name for one in queue for name in one}))
        asked = f"; no trial has asked for {', '.join(new)} so far" if new else ""
        sets = f"{len(queue)} parameter set{'s' if len(queue) > 1 else ''}"
        self.note = f"{self.name}: {sets} queued, {when}{asked}"
        return self

    def wait(
        self, timeout: float | None = None, progress: Callable[[StudySnapshot], None] | None = None
    ) -> StudyHandle:
        """Block until no kernel is at work on the study. Interrupting the wait stops nothing.

        Args:
            timeout: Seconds to wait at most; None waits for the end.
            progress: Called with a snapshot whenever something has changed.

        Raises:
            ObjectiveError: If the run failed; its cause is the error of the objective.
            TimeoutError: If the study still runs after ``timeout``.
        """
        own = self._background()
        if own is not None and not own.is_running and self.is_running:
            own = None  # another process is at work
        with contextlib.closing(self._reader()) as reader:
            wait_for_end(self.name, reader, own, timeout, progress)
        return self

    def _can_hear(self) -> bool:
        """Tell whether a kernel is at work on the study; one that is stopping is let end first."""
        if not self.is_running or self._state() is not StudyState.STOPPING:
            return self.is_running
        try:
            with contextlib.suppress(ObjectiveError):
                self.wait(ENDING_SECONDS)
        except TimeoutError:
            raise is_ending(self.name) from None
        return False

    def _ask(self, verb: str, argument: int | None = None) -> bool:
        own = self._background()
        if own is not None and own.is_running:
            getattr(own.control, verb)()
            return True
        if not self.is_running:
            return False  # a request that nobody hears would hit the next run
        with contextlib.closing(attach(self.storage)) as database, database.transaction() as connection:
            found = versions.resolve(connection, self.address())
            live.ask(connection, found.study_id, Request(verb, argument))
        if verb in ("stop", "stop_now"):  # so that what is asked next waits for its end
            until_heard(self._state)
        return True

    def _restart(self, more: int | None) -> StudyHandle:
        own = self._background()
        if own is None and self.restarter is not None:
            return self.restarter(self, more)
        if own is None or self.starter is None:
            msg = f"this kernel does not know the code of {self.name}: run its cell again to go on"
            raise InvalidOptionError(msg, code="NB406")
        trials = own.options.trials if own.control.target is None else own.control.target
        trials, more = on_top(trials, self.snapshot().done, more)
        options = replace(own.options, more=more, trials=trials, going_on=self.study_name)
        handle = self.starter(own.objective, options)
        handle.view, handle.restarter, handle.reporter = self.view, self.restarter, self.reporter
        return handle

    def _state(self) -> StudyState:
        return state_of(self.storage, self.address())

    def _background(self) -> Background | None:
        return background.find(identity(self.storage), self.study_name)

    def when_it_ends(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` once this kernel's run of the study has ended, from the thread of the run.

        Never called where another kernel runs it; at once where the run has ended already.
        """
        if (own := self._background()) is not None:
            own.when_it_ends(listener)

    # Reading

    def snapshot(self) -> StudySnapshot:
        """Read how far the study is."""
        with contextlib.closing(self._reader()) as reader:
            return reader.snapshot()

    def address(self) -> str:
        """Return a name that finds this version; plain Optuna's own name of one finds newer ones, too."""
        if base_name(self.study_name) != self.study_name:
            return self.name
        with contextlib.suppress(StorageError), contextlib.closing(open_read_only(self.storage)) as opened:
            found = versions.find_exactly(opened, self.study_name)
            return self.name if found is None else versions.name_of_one(opened, found)
        return self.name

    def _reader(self) -> Reader:
        try:
            return Reader(self.storage, self.address())
        except StorageError as error:
            own, path = self._background(), place(self.storage)
            if own is None or not own.is_running or path.exists():
                raise
            msg = (
                f"{path} is gone: put it back before the run of {self.name} ends, which goes on in memory,"
                f" or end it with `%tune stop {own.options.name}`"
            )
            raise FileGoneError(msg, code="NB503") from error

    @property
    def study(self) -> optuna.Study:
        """The Optuna study as it is in the file now, for Optuna's own functions.

        Where the file may not be written it is a copy in memory.

        Raises:
            StudyNotFoundError: If it was deleted, or has another name by now.
        """
        return load_study(self.study_name, self.storage, shown=self.name)

    @property
    def best_trial(self) -> FrozenTrial:
        """The best complete and feasible trial.

        Raises:
            StudyNotFoundError: If no such trial has finished.
            InvalidOptionError: If the study has several directions.
        """
        study = load_to_look(self)
        if len(study.directions) > 1:
            msg = f"{self.name} has several directions: use .study.best_trials"
            raise InvalidOptionError(msg, code="NB409")
        try:
            return study.best_trial
        except ValueError:
            msg = f"{self.name} has no complete and feasible trial yet"
            raise StudyNotFoundError(msg, code="NB409") from None

    @property
    def best_params(self) -> dict[str, Any]:
        """The parameters of the best trial. Raises as :attr:`best_trial` does."""
        return self.best_trial.params

    @property
    def best_model(self) -> Any:
        """The model of the best trial of ``autotune``, fitted on all rows, the held-out ones included.

        Raises:
            InvalidOptionError: If this kernel does not know how to make it.
            StudyNotFoundError: If no trial has completed.
        """
        own = self._background()
        if own is None or own.objective.refit is None:
            code = f"`%tune best {base_name(self.name)} --code`"
            msg = (
                f"this kernel cannot make the model of {self.name}: fit your own with best_params,"
                f" or, for a study of %autotune, run its line again or take what {code} prints"
            )
            raise InvalidOptionError(msg, code="NB410")
        _ = self.best_trial  # refuses where there is none
        return own.objective.refit(self.study)

    @property
    def best_value(self) -> float:
        """The value of the best trial, in the metric's unit and sign. Raises as :attr:`best_trial` does."""
        return float(self.best_trial.values[0])  # noqa: PD011 - not of pandas

    @property
    def best_values(self) -> list[tuple[float, ...]]:
        """The values of the best trials: one pair a trial of the Pareto set, or the one best."""
        return [tuple(trial.values) for trial in load_to_look(self).best_trials]

    def trials_dataframe(self) -> pd.DataFrame:
        """Return one row a trial, as :meth:`optuna.Study.trials_dataframe` does."""
        return load_to_look(self).trials_dataframe()

    def export(self, path: str | PathLike[str], *, pareto: bool = False, top: int | None = None) -> str:
        """Write the study into a file; see :func:`.export.export`. An ``.html`` is its report."""
        if self.reporter is not None and is_report(str(path)):
            return self.reporter(self, str(path))
        return export(self.address(), self.storage, str(path), pareto=pareto, top=top)

    def push(self, url: str, *, name: str | None = None) -> str:
        """Copy the study with its records to another file or server; see :func:`.transfer.transfer`.

        Only this version, with all of its trials; ``%tune push`` takes all versions of a study.

        Args:
            url: The database, as ``"postgresql+psycopg://USER@HOST/DATABASE"`` or ``"sqlite:///FILE.db"``.
            name: What the study is called there; None for the name that it has.

        Returns:
            One line that says what was copied.

        Raises:
            InvalidOptionError: If the name is taken there.
            StorageError: If one of the databases cannot be used.
        """
        return transfer(self.address(), self.storage, url, new_name=name)

    def doctor(self, *, repair: bool = False) -> list[Finding]:
        """Check the file and the study, after mending it if asked; see :mod:`optuna_nb.storage.doctor`.

        Args:
            repair: Keep a copy of the file, then mend what can be mended; ``note`` says what was.

        Raises:
            LockedStudyError: If it is to be mended and a kernel runs a study of the file.
        """
        if repair:
            copy, done = mend(self.storage, self.name)
            self.note = f"{'; '.join(done) or 'nothing could be mended'}; the file as it was is {copy}"
        return examine(self.storage, self.name)

    @property
    def runs(self) -> pd.DataFrame:
        """The tuning runs of the study, newest first."""
        with contextlib.closing(read_records(self.storage)) as database:
            mine = questions.Filters(study=self.study_name)
            return questions.ask(database, questions.runs(mine, whole=True))

    # Showing

    def __repr__(self) -> str:
        """Name the study; constant, so that notebooks compare equal."""
        return f"<Study {self.name!r}>"

    def _ipython_display_(self) -> None:
        print(repr(self)) if self.view is None else self.view(self)  # noqa: T201 - what IPython would print
