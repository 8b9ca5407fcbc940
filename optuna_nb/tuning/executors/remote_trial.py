"""The trial that an objective gets on a worker: an Optuna trial whose storage is a few lines long.

Parameters that the kernel has drawn in advance are at hand as long as the objective
asks for them in the expected order; whatever else it asks is a question to the kernel
and waits for the answer. What it does (reports, attributes, metrics) is news.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from optuna.distributions import check_distribution_compatibility
from optuna.trial import FrozenTrial, Trial

from optuna_nb.storage.rows import FIXED_PARAMS, check_param, check_step, plain_text, round_trip
from optuna_nb.tuning.executors.pruning import Judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection

    from optuna_nb.tuning.executors.messages import Assignment, StudyInfo

_T = TypeVar("_T")


class Way(Protocol):
    """The way of a trial to its kernel."""

    def tell(self, kind: str, *arguments: Any) -> None:
        """Send news, soon."""

    def ask(self, kind: str, *arguments: Any) -> Any:
        """Ask the kernel, and wait for the answer."""


class _Storage:
    """The little of a storage that a trial needs: its own copy, and news for the kernel."""

    def __init__(self, channel: Way, trial: FrozenTrial) -> None:
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

    def __init__(self, channel: Way, info: StudyInfo) -> None:
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

    def __init__(self, channel: Way, assignment: Assignment) -> None:
        info = assignment.study
        self._channel = channel
        self._info = info
        self._given = assignment.given
        self.used = 0
        self._in_order = True
        frozen = assignment.trial
        self._judge = Judge(info.pruner, info.directions[0], assignment.reported)
        self.study: Any = RemoteStudy(channel, info)
        self.storage: Any = _Storage(channel, frozen)
        self._trial_id = frozen._trial_id
        self._cached_frozen_trial = frozen
        self.relative_search_space = {}
        self._relative_params = {}
        self._fixed_params = frozen.system_attrs.get(FIXED_PARAMS, {})

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
        if not self._info.prunes:
            return False
        verdict = self._judge.decide(self._cached_frozen_trial)
        if verdict is None:
            verdict, reported = self._channel.ask("prune", self._judge.known)
            self._judge.hear(reported)
        return bool(verdict)


class RemoteHistory:
    """Takes the metrics and events of a remote trial, for the records in the kernel."""

    def __init__(self, channel: Way) -> None:
        self._channel = channel

    def metrics(self, _trial: int, _worker: str, step: int, values: dict[str, float]) -> None:
        """Tell of metrics."""
        check_step(step)
        self._channel.tell("metrics", step, values)

    def event(self, kind: str, _worker: str, note: dict[str, Any]) -> None:
        """Tell of an event."""
        payload = round_trip({key: value for key, value in note.items() if key != "trial"})
        self._channel.tell("event", kind, payload)
