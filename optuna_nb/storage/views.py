"""Finished trials as the views see them, read by as little SQL as will do.

A view needs numbers, outcomes and values of all trials, parameters of most, and
the reported steps of a few: ten thousand trials with a thousand steps each would
not fit into memory. So parameters of a long study come when somebody first asks
for one, and steps only for the trials that are drawn (``details``). Hashes are
compared by :mod:`.soundness`.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution

from optuna_nb.records import TrialOutcome, TrialView
from optuna_nb.storage.loader import ONE_TRIAL
from optuna_nb.storage.opening import open_read_only
from optuna_nb.storage.rows import decode_number, text_to_time
from optuna_nb.storage.shapes import distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna.distributions import BaseDistribution

    from optuna_nb.storage.dialect import Connection

_FEW = 40  # trials of a long study that are asked for one by one, before all are read
LONG = 2000  # trials; of a longer study, parameters are read when they are asked for

OUTCOMES = {
    "COMPLETE": TrialOutcome.COMPLETE,
    "PRUNED": TrialOutcome.PRUNED,
    "FAIL": TrialOutcome.FAILED,
}
_TRIALS = (
    "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"
    " WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL') AND {where} ORDER BY number"
)
_VALUES = (
    "SELECT trial_id, value, value_type FROM trial_values JOIN trials USING (trial_id)"
    " WHERE {where} ORDER BY trial_id, objective"
)
_CONSTRAINTS = (
    "SELECT trial_id, value_json FROM trial_system_attributes JOIN trials USING (trial_id)"
    " WHERE (key = 'constraints' OR key LIKE 'constraints:%') AND {where}"
)
_LAST_STEPS = (
    "SELECT trial_id, (SELECT max(step) FROM trial_intermediate_values AS steps"
    " WHERE steps.trial_id = trials.trial_id) FROM trials WHERE state = 'PRUNED' AND {where}"
)
_DISTRIBUTIONS = (
    "SELECT DISTINCT param_name, distribution_json FROM trial_params JOIN trials USING (trial_id)"
    " WHERE {where}"
)
_PARAMS = (
    "SELECT trial_id, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
    " WHERE {where} ORDER BY param_id"
)
_CHANGING_PARAMS = (
    "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    " JOIN trials USING (trial_id) WHERE {where} ORDER BY param_id"
)


def load_views(
    connection: Connection, where: str, key: tuple[int, ...], url: str, log_params: dict[str, bool]
) -> list[TrialView]:
    """Read finished trials, by number.

    Args:
        connection: Where from; nothing is written.
        where: ``loader.WHOLE_STUDY`` or ``loader.COMMITTED_AFTER``.
        key: What the question marks of ``where`` stand for.
        url: The database, for what is read later.
        log_params: Takes in for each new parameter whether it is drawn from a logarithmic
            scale; of a long study, when its parameters are read.
    """
    heads = connection.execute(_TRIALS.format(where=where), key).fetchall()
    if not heads:
        return []
    values: defaultdict[int, list[float]] = defaultdict(list)
    for trial_id, value, kind in connection.execute(_VALUES.format(where=where), key):
        values[trial_id].append(decode_number(value, kind))
    infeasible = broken_trials(connection, where, key)
    last_steps = dict(connection.execute(_LAST_STEPS.format(where=where), key))
    params: Callable[[int], Mapping[str, Any]]
    if len(heads) > LONG:
        params = _LaterParams(url, where, key, log_params).of
    else:
        read = load_params(connection, where, key, log_params)
        params = read.__getitem__
    return [
        TrialView(
            number=number,
            outcome=OUTCOMES[state],
            values=tuple(values[trial_id]) if trial_id in values else (),
            params=params(trial_id),
            started=text_to_time(start),
            completed=text_to_time(complete),
            last_step=last_steps.get(trial_id),
            feasible=trial_id not in infeasible,
        )
        for trial_id, number, state, start, complete in heads
    ]


def broken_trials(connection: Connection, where: str, key: tuple[int, ...]) -> set[int]:
    """Return the ids of trials that break a constraint: one of its numbers is above 0."""
    rows = connection.execute(_CONSTRAINTS.format(where=where), key)
    return {trial_id for trial_id, text in rows if _is_broken(json.loads(text))}


def load_params(
    connection: Connection, where: str, key: tuple[int, ...], log_params: dict[str, bool]
) -> defaultdict[int, dict[str, Any]]:
    """Read the parameters of trials, by trial id, in the order in which they were suggested."""
    read: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    pairs = connection.execute(_DISTRIBUTIONS.format(where=where), key).fetchall()
    for name, text in pairs:
        if name not in log_params:
            log_params[name] = getattr(distribution(text), "log", False)
    decoders = {name: _decoder(distribution(text)) for name, text in pairs}
    if len(decoders) == len(pairs):  # no distribution changes in the course of the study
        for trial_id, name, value in connection.execute(_PARAMS.format(where=where), key):
            decode = decoders[name]
            read[trial_id][name] = value if decode is None else decode(value)
    else:
        for trial_id, name, value, text in connection.execute(_CHANGING_PARAMS.format(where=where), key):
            read[trial_id][name] = distribution(text).to_external_repr(value)
    return read


def _decoder(known: BaseDistribution) -> Callable[[float], Any] | None:
    """Return what turns a stored number into the parameter; None where it is that already."""
    if isinstance(known, FloatDistribution):
        return None
    if isinstance(known, CategoricalDistribution):
        choices = known.choices
        return lambda value: choices[int(value)]
    return int


def _is_broken(constraint: Any) -> bool:
    if constraint is None:  # Optuna's word where the user's function raised
        return False
    return any(value > 0 for value in (constraint if isinstance(constraint, list) else [constraint]))


class _LaterParams:
    """The parameters of many trials: a few are read one by one, and then all together."""

    def __init__(self, url: str, where: str, key: tuple[int, ...], log_params: dict[str, bool]) -> None:
        self._source = (url, where, key)
        self._log_params = log_params
        self._read: defaultdict[int, dict[str, Any]] | None = None
        self._few: dict[int, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def of(self, trial_id: int) -> Mapping[str, Any]:
        return _Params(self, trial_id)

    def get(self, trial_id: int) -> dict[str, Any]:
        with self._lock:
            if self._read is None and trial_id in self._few:
                return self._few[trial_id]
            if self._read is None:
                url, where, key = self._source
                if len(self._few) < _FEW:
                    where, key = ONE_TRIAL, (trial_id,)
                with contextlib.closing(open_read_only(url)) as connection:
                    read = load_params(connection, where, key, self._log_params)
                if where == ONE_TRIAL:
                    self._few[trial_id] = read[trial_id]
                    return read[trial_id]
                self._read = read
            return self._read[trial_id]

    @property
    def is_read(self) -> bool:
        return self._read is not None


class _Params(Mapping[str, Any]):
    """The parameters of one trial of a long study."""

    __slots__ = ("_all", "_trial_id")

    def __init__(self, every: _LaterParams, trial_id: int) -> None:
        self._all = every
        self._trial_id = trial_id

    def __getitem__(self, name: str) -> Any:
        return self._all.get(self._trial_id)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all.get(self._trial_id))

    def __len__(self) -> int:
        return len(self._all.get(self._trial_id))

    def items(self) -> Any:  # the abstract class would look each name up again
        return self._all.get(self._trial_id).items()

    @property
    def is_read(self) -> bool:
        """Whether asking costs nothing any more."""
        return self._all.is_read
