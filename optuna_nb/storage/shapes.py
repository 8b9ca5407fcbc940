"""The parameters of trials, read: names and distributions once for all trials that share them.

Ten parameters of 10,000 trials are 100,000 rows of the same ten names and texts. What follows from
these is found out once, so that a trial costs what its values cost.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from optuna.distributions import FloatDistribution, json_to_distribution

from optuna_nb.storage.rows import DISTRIBUTIONS_KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution

    from optuna_nb.storage.dialect import Rows

_SHAPES_KEPT = 1_000
_ROWS_AT_ONCE = 1_000


class Shape:
    """The parameters of a trial but for their values."""

    def __init__(self, names: tuple[str, ...], texts: tuple[str, ...]) -> None:
        """Take names in the order in which they were drawn, and distributions as the database has them."""
        self._names = names
        self._texts = texts

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distributions by name; whoever gives them away copies the dict.

        Raises:
            ValueError: If a text is none.
        """
        return dict(zip(self._names, map(distribution, self._texts), strict=True))

    def params(self, values: Sequence[Any]) -> dict[str, Any]:
        """Return the parameters that a trial has, from what the database has of them."""
        params = dict(zip(self._names, values, strict=True))
        for name, known in self._converted:
            params[name] = known.to_external_repr(params[name])
        return params

    def row_text(self, values: Sequence[Any]) -> str:
        """Return ``repr`` of the sorted rows of name, value and text: what a trial's hash is of."""
        return self._row_format % tuple([values[i] for i in self._by_name])

    @cached_property
    def _converted(self) -> list[tuple[str, BaseDistribution]]:
        return [it for it in self.distributions.items() if type(it[1]) is not FloatDistribution]

    @cached_property
    def _by_name(self) -> list[int]:
        return sorted(range(len(self._names)), key=self._names.__getitem__)

    @cached_property
    def _row_format(self) -> str:
        rows = ((repr(self._names[i]), repr(self._texts[i])) for i in self._by_name)
        escaped = ((name.replace("%", "%%"), text.replace("%", "%%")) for name, text in rows)
        return "[" + ", ".join([f"({name}, %r, {text})" for name, text in escaped]) + "]"


Params = tuple[Shape, list[Any]]  # and the values
NO_PARAMS: Params = (Shape((), ()), [])


@lru_cache(maxsize=_SHAPES_KEPT)
def shape(names: tuple[str, ...], texts: tuple[str, ...]) -> Shape:
    """Return the shape of these names and texts; equal ones give the same object."""
    return Shape(names, texts)


def params_by_trial(rows: Rows) -> dict[int, Params]:
    """Group the rows of parameters, as (trial id, name, value, distribution), by trial.

    Column by column, and equal texts become one object at once: new memory would be a fifth of the time.
    """
    ids: list[int] = []
    names: list[str] = []
    values: list[Any] = []
    texts: list[str] = []
    one: dict[Any, Any] = {}
    while some := rows.fetchmany(_ROWS_AT_ONCE):
        here = list(zip(*some, strict=True))
        ids += here[0]
        names += map(one.setdefault, here[1], here[1])
        values += here[2]
        texts += map(one.setdefault, here[3], here[3])
    if ids != sorted(ids):  # trials that ran at the same time; each stays in the order in which it drew
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ids, names = [ids[i] for i in order], [names[i] for i in order]
        values, texts = [values[i] for i in order], [texts[i] for i in order]
    groups: dict[int, Params] = {}
    begin, form = 0, NO_PARAMS[0]
    last: tuple[list[str], list[str]] = ([], [])
    for trial_id, count in Counter(ids).items():
        end = begin + count
        own = names[begin:end], texts[begin:end]
        if own != last:  # nearly all are as the one before, of the very same objects
            last, form = own, shape(tuple(own[0]), tuple(own[1]))
        groups[trial_id] = form, values[begin:end]
        begin = end
    return groups


@lru_cache(maxsize=DISTRIBUTIONS_KEPT)
def distribution(text: str) -> BaseDistribution:
    """Read a distribution; the same text gives the same object."""
    return json_to_distribution(text)
