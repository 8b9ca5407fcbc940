"""One run of a study, from its record's first line to its last: the parts of a run, put together."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from optuna_nb.errors import (
    FileGoneError,
    LeaseLostError,
    StorageError,
    StorageTroubleError,
)
from optuna_nb.records import Baseline, RunStart, StudyState
from optuna_nb.storage import runs
from optuna_nb.storage.history import History
from optuna_nb.storage.ledger import Durability
from optuna_nb.storage.succession import retried_trials
from optuna_nb.storage.writer import Progress
from optuna_nb.tuning import exhaustion, failure, fixing, sampling, turns, volatile, warning_filters
from optuna_nb.tuning.control import Control
from optuna_nb.tuning.executors.choice import find_cluster
from optuna_nb.tuning.fixing import FixingSampler
from optuna_nb.tuning.observer import Observer
from optuna_nb.tuning.results import plain, summarise, tuning_method
from optuna_nb.tuning.runner import RunEnd, Runner
from optuna_nb.tuning.study import TunedStudy, finished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import FrozenTrial

    from optuna_nb.records import Objective, TuneOptions
    from optuna_nb.storage.studies import StudyStorage
    from optuna_nb.tuning.executors.contract import Executor
    from optuna_nb.tuning.resume import Prepared

_logger = logging.getLogger("optuna_nb")
_LIBRARIES = ("optuna_nb", "optuna", "numpy", "scipy", "pandas", "scikit-learn", "xgboost", "catboost")


class Work:
    """One run of a study, from its record's first line to its last."""

    def __init__(
        self,
        storage: StudyStorage,
        prepared: Prepared,
        objective: Objective,
        options: TuneOptions,
        executor: Executor,
    ) -> None:
        """Open the record; the study is owned and ``run`` is to come.

        Args:
            storage: Open, and closed when the run has ended.
            prepared: The study and what is to be done.
            objective: What is tuned.
            options: How.
            executor: What evaluates it.
        """
        self.storage = storage
        self.version = prepared.version
        self.objective = objective
        self.control = Control(prepared.target)
        self.slots, self._turn = executor.slots, executor.turn
        self.directions = [d.name.lower() for d in storage.get_study_directions(prepared.version.study_id)]
        sampler = sampling.make_sampler(
            options.sampler, seed=self.version.seed, directions=self.directions, batch=options.batch
        )
        self.method = tuning_method(sampler.sampler)
        self.sampler_name = type(sampler.sampler).__name__
        exact = sampling.exact_resume(sampler.sampler)
        self.inexact = "" if exact else exact.reason
        self.fixed = fixing.stored(storage, self.version.study_id)
        self.study = TunedStudy(
            self.version.study_name,
            storage,
            sampler=FixingSampler(self.fixed, sampler) if self.fixed else sampler,
            pruner=sampling.make_pruner(options.pruner),
        )
        self.sampler = sampler.sampler
        self.study.exhausted = exhaustion.is_exhausted(self.study, self.sampler)
        self.runner = Runner(
            self.study,
            storage,
            prepared.ledger,
            executor,
            self.control,
            timeout=options.timeout,
            elapsed_before=storage.elapsed(self.version.study_id),
            synchronous=options.synchronous,
            keep_log=options.keep_log,
        )
        self.ledger = prepared.ledger
        self.ledger.durability = Durability(options.durability, options.buffer_size, options.flush_seconds)
        self.ledger.step_interval = options.step_interval
        self.run_id = runs.start_run(storage.database, self._record(options), self._so_far)
        self.history = History(
            storage.database,
            self.run_id,
            step_interval=options.step_interval,
            buffer_size=options.buffer_size,
            flush_seconds=options.flush_seconds,
        )
        self.runner.observer = Observer(self.history)
        self.when_looked_again: Callable[[Objective], None] = lambda _: None
        self.runner.after_first_trial = self._look_again
        self.ledger.history = self.history
        if self.ledger.lease.succeeded_dead_owner:
            self.runner.observer.retried(retried_trials(storage.database, self.version.study_id))
        self.runner.show(StudyState.RUNNING)  # so that whoever looks at once sees it run

    def _look_again(self) -> None:
        """Note what the trials themselves change of the data; in the runner's thread."""
        self.objective = volatile.look_again(self.objective)
        self.when_looked_again(self.objective)
        with contextlib.suppress(StorageTroubleError):
            volatile.record(self.storage, self.version, self.objective)

    def _so_far(self) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Sum up the whole study, for the run that a dead kernel left open."""
        return summarise(
            finished(self.storage.get_all_trials(self.version.study_id, deepcopy=False)),
            self.directions,
            metric=self.version.metric,
            method=self.method,
            seconds=self.storage.elapsed(self.version.study_id),
        )

    def _record(self, options: TuneOptions) -> RunStart:
        return RunStart(
            study_name=self.version.study_name,
            method=self.method,
            model_type=options.model or self.objective.model or "objective",
            code=self.objective.code,
            experiment=options.experiment,
            notebook=options.notebook,
            config={
                "directions": self.directions,
                "sampler": self.sampler_name,
                "flags": _plain_options(options) | self._of_the_run(options),
                "seed": self.version.seed,
                "elapsed_before": self.storage.elapsed(self.version.study_id),
                "fingerprint": dict(self.objective.fingerprint),
                "versions": _library_versions(),
            },
            notes=options.notes,
            tags=options.tags,
        )

    def _of_the_run(self, options: TuneOptions) -> dict[str, Any]:
        cluster, _ = find_cluster(options.cluster)
        return {"fix": self.fixed, "jobs": self.slots, "cluster": cluster}

    def run(self) -> RunEnd:
        """Tune to the end, close the record, and let go of the study. Blocks."""
        try:
            with turns.short(self._turn), warning_filters.in_order():
                end = self._finished(self.runner.run())
            self.ledger.insist(lambda: self.runner.show_end(end))
            self.ledger.insist(lambda: self._end_record(end))
        except FileGoneError as error:
            raise self._ended_without_file(error) from error
        finally:
            self.ledger.insist(self._close)
        return end

    def _finished(self, end: RunEnd) -> RunEnd:
        """Do what follows the last trial, such as the winner's fit; an error there ends the run as failed."""
        if end.error is not None:
            return end
        try:
            exhaustion.note_end(self.study, self.storage, self.sampler)
            if self.objective.finish is not None:
                self.objective.finish(self.study)
        except (FileGoneError, LeaseLostError):
            raise
        except Exception as error:  # noqa: BLE001 - the winner's fit is the user's model on the user's data
            note = f"all trials are stored, but what follows them failed: {failure.named(error)}"
            return replace(end, state=StudyState.FAILED, note=note, error=error)
        return end

    def _ended_without_file(self, error: FileGoneError) -> FileGoneError:
        self.ledger.on_trouble = None  # letting go works without the file, and is no news
        count = self.ledger.n_unwritten
        lost = f", and the {count} trials finished since are lost" if count else ""
        msg = f"{error} and run the cell again: {self.version.study_name} has ended without its file{lost}"
        _logger.error("%s", msg)
        return FileGoneError(msg, code="NB503")

    def abandon(self) -> None:
        """Let go in mid-trial: the process ends, and the trial will run again under its number."""
        study_id = self.version.study_id
        self.ledger.give_up.set()
        self.runner.let_go()
        with contextlib.suppress(StorageError):
            self.storage.flush(study_id)
            note = "the kernel ended in mid-trial; run the cell again to go on"
            self.storage.show_progress(
                study_id,
                Progress(StudyState.INTERRUPTED.value, self.control.target, self.runner.elapsed(), note),
            )
            self._end_record(self.runner.end_early(note))
            self._close()
        self.runner.abandon_executor()

    def _end_record(self, end: RunEnd) -> None:
        if isinstance(end.error, LeaseLostError):
            return  # the new owner has closed the record
        if end.state is StudyState.STOPPED:
            self.runner.observer.state_is(end.state)
        self.runner.observer.close()
        trials = finished(self.storage.get_all_trials(self.version.study_id, deepcopy=False))
        best_params, results = summarise(
            trials,
            self.directions,
            metric=self.version.metric,
            method=self.method,
            seconds=end.seconds,
            error=end.error,
        )
        baseline = self._baseline(trials)
        if baseline is not None:  # beside the tuned score
            results["baseline_score"] = next(iter(baseline.metrics.values()))
        if end.log:
            results["log"] = end.log
        status = "failed" if end.state in (StudyState.FAILED, StudyState.INTERRUPTED) else "completed"
        runs.end_run(
            self.storage.database,
            self.run_id,
            status=status,
            n_iterations=end.n_trials,
            best_params=best_params,
            results=results,
            baseline=baseline,
        )

    def _baseline(self, trials: Sequence[FrozenTrial]) -> Baseline | None:
        """Return what the opening's baseline, as the library's defaults, came to."""
        opening = self.objective.opening
        marks = next((it.attributes.items() for it in opening if it.is_baseline), None)
        if marks is None:
            return None
        for trial in trials:
            if trial.state == TrialState.COMPLETE and marks <= trial.user_attrs.items():
                metrics = {self.version.metric or "score": plain((trial.values or [None])[0])}
                seconds = None if trial.duration is None else trial.duration.total_seconds()
                return Baseline(plain(trial.params), metrics, seconds)
        return None

    def _close(self) -> None:
        with contextlib.suppress(LeaseLostError, FileGoneError):
            self.storage.close()


def _plain_options(options: TuneOptions) -> dict[str, Any]:
    names = (
        "trials",
        "more",
        "timeout",
        "jobs",
        "executor",
        "directions",
        "sampler",
        "batch",
        "pruner",
        "continue_old",
        "warm_start",
        "durability",
        "buffer_size",
        "flush_seconds",
        "synchronous",
        "step_interval",
        "keep_log",
        "model",
        "experiment",
    )
    return {
        name: value
        if isinstance(value := getattr(options, name), (str, int, float, type(None)))
        else (list(value) if isinstance(value, tuple) else type(value).__name__)
        for name in names
    }


def _library_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
