"""A sampler that starts every trial from the same generators, whatever ran before.

A study that goes on after a restart must draw what it would have drawn without
one. No state of a sampler is saved for that. The generators that it holds are
found once, by walking through the objects it is made of, and each is reseeded
before each trial from (study seed, trial number).

Left alone are the seeds that are not generators: those that order the points of a
``QMCSampler`` and the cells of a ``GridSampler``. What else Optuna's samplers keep
between trials is a function of the finished trials, but for the regressors that
``GPSampler`` refits from its last ones: these are dropped.
"""

from __future__ import annotations

import contextlib
import copy
import random
import zlib
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler
from optuna.samplers._lazy_random_state import LazyRandomState  # what each of Optuna's samplers draws from
from optuna.search_space import IntersectionSearchSpace
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optuna.trial import TrialState

_MANY = 100  # items; a longer container is data, not a place for generators
_TOO_MANY = 10_000  # objects; a sampler that holds more cannot be looked through
_GP_CACHES = ("_gprs_cache_list", "_constraints_gprs_cache_list")
_LEAVES = (
    *(bool, int, float, complex, str, bytes, type, type(None), ModuleType, np.ndarray),
    *(BaseDistribution, BaseStorage, FrozenTrial, IntersectionSearchSpace, Study),
)


class ReseedingSampler(BaseSampler):
    """Any sampler, made to draw the same for a trial whatever ran before it in this process.

    Each generator that the sampler holds is reseeded before each trial from the study's
    seed, the trial's number and its own place in the sampler. The same words for all would
    tie draws together that have to be independent: NSGA-II's first draw decides on
    crossover, and its other generator's first draw is a mutated value.

    Exact with one trial at a time. With more, threads share the generators: no draw is
    repeated, but which trial gets it depends on timing.

    Args:
        sampler: used from now on by this study alone; changed in place.
        seed: the study's; any integer from 0.
    """

    def __init__(self, sampler: BaseSampler, seed: int) -> None:
        self.sampler = sampler
        self.seed = seed
        self._generators = _Generators(sampler)
        self._position: Position | None = None  # of the generators, where it is known

    def __str__(self) -> str:
        return str(self.sampler)

    def reseed_rng(self) -> None:
        """Delegate. What it does to generators lasts until the next trial."""
        self._position = None
        self.sampler.reseed_rng()

    def position(self) -> Position:
        """Note where the generators stand. Reading one takes as long as some draws, so it is done once."""
        if self._position is None:
            self._position = Position(self._generators.states(), self)
        return self._position

    def stands_at(self, position: Position) -> None:
        """Learn that the generators were set there."""
        self._position = position

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Reseed every generator, then delegate."""
        self._position = None
        if not self._generators.are_current():
            self._generators = _Generators(self.sampler)
        self._generators.reseed(self.seed, trial.number)
        self.sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Delegate."""
        self._position = None
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Delegate."""
        self._position = None
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Delegate."""
        self._position = None
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Delegate."""
        self._position = None
        self.sampler.after_trial(study, trial, state, values)


class Position(NamedTuple):
    """Where a sampler's generators stand."""

    states: tuple[tuple[Callable[[Any, Any], object], Any, Any], ...] = ()
    sampler: ReseedingSampler | None = None  # whose they are

    def restore(self) -> None:
        """Let the generators go on from there."""
        for put, generator, state in self.states:
            put(generator, state)
        if self.sampler is not None:
            self.sampler.stands_at(self)


def position_of(sampler: BaseSampler) -> Position:
    """Note where the generators of a study's sampler stand; nothing where it is not reseeded."""
    inner: object = sampler
    while not isinstance(inner, ReseedingSampler):
        inner = getattr(inner, "_base_sampler", None)  # as Optuna's wrappers call what they wrap
        if inner is None:
            return Position()
    return inner.position()


class Place(NamedTuple):
    """A value that a sampler holds, and where: ``holder[key] is value``."""

    path: str
    value: Any
    holder: Any  # a dict, list or tuple; None where the value cannot be replaced
    key: Any
    owner: type  # of the nearest object above that is no container


def places(sampler: BaseSampler) -> Iterator[Place]:
    """Yield what a sampler holds, directly or not, each object once, the nearest first."""
    waiting = [Place("", sampler, None, None, type(sampler))]
    seen = {id(sampler)}
    for place in waiting:
        yield place
        owner = place.owner if isinstance(place.value, dict | list | tuple) else type(place.value)
        for key, value, holder in _parts(place.value):
            if not isinstance(value, _LEAVES) and id(value) not in seen and len(seen) < _TOO_MANY:
                seen.add(id(value))
                waiting.append(Place(f"{place.path}.{key}", value, holder, key, owner))


def _parts(value: object) -> Iterator[tuple[str | int, object, Any]]:
    """Yield name, part and holder for all that one value holds at first hand."""
    if isinstance(value, _GENERATORS):
        return
    if isinstance(value, FunctionType):
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # a cell that is not filled yet
                yield name, cell.cell_contents, None
    elif isinstance(value, MethodType):
        yield "__self__", value.__self__, None
    elif isinstance(value, partial):
        bound = (value.func, *value.args, *value.keywords.values())
        yield from ((index, part, None) for index, part in enumerate(bound))
    elif isinstance(value, list | tuple) and len(value) <= _MANY:
        yield from ((index, part, value) for index, part in enumerate(value))
    elif isinstance(value, dict) and len(value) <= _MANY and all(isinstance(key, str | int) for key in value):
        yield from ((key, part, value) for key, part in value.items())
    if isinstance(attributes := getattr(value, "__dict__", None), dict):
        yield from ((key, part, attributes) for key, part in attributes.items())


def _reseed_bits(bits: np.random.BitGenerator, words: list[int]) -> None:
    bits.state = type(bits)(np.random.SeedSequence(words)).state


def _reseed_state(state: np.random.RandomState, words: list[int]) -> None:
    try:
        state.seed(words)
    except TypeError:  # it was built on another bit generator than the Mersenne twister
        _reseed_bits(state._bit_generator, words)  # noqa: SLF001 - numpy has no other way


def _reseed_python(generator: random.Random, words: list[int]) -> None:
    generator.seed(b"".join(word.to_bytes(4, "little") for word in words))


_RESEED: dict[type, Callable[[Any, list[int]], object]] = {
    LazyRandomState: lambda lazy, words: lazy.rng.seed(words),
    np.random.RandomState: _reseed_state,
    np.random.Generator: lambda generator, words: _reseed_bits(generator.bit_generator, words),
    np.random.BitGenerator: _reseed_bits,
    random.Random: _reseed_python,
}
_GENERATORS = tuple(_RESEED)
_Access = tuple[Callable[[Any], Any], Callable[[Any, Any], object]]
_STATE: dict[type, _Access] = {
    LazyRandomState: (lambda lazy: lazy.rng.get_state(legacy=False), lambda lazy, it: lazy.rng.set_state(it)),
    np.random.RandomState: (lambda it: it.get_state(legacy=False), lambda it, state: it.set_state(state)),
    np.random.Generator: (
        lambda it: it.bit_generator.state,
        lambda it, state: setattr(it.bit_generator, "state", state),
    ),
    np.random.BitGenerator: (lambda it: it.state, lambda it, state: setattr(it, "state", state)),
    random.Random: (random.Random.getstate, random.Random.setstate),
}


def reseeder(value: object) -> Callable[[Any, list[int]], object] | None:
    """Find the function that reseeds this value; None where it is no generator."""
    if type(value).__module__ == "torch._C" and type(value).__name__ == "Generator":
        return lambda generator, words: generator.manual_seed(words[0] << 31 ^ words[1] ^ words[2])
    return next((reseed for kind, reseed in _RESEED.items() if isinstance(value, kind)), None)


def _access(value: object) -> _Access:
    """Find how the state of a generator is read and set."""
    for kind, access in _STATE.items():
        if isinstance(value, kind):
            return access
    return (lambda it: it.get_state(), lambda it, state: it.set_state(state))  # torch's


class _Generators:
    """Every generator in reach of a sampler, found once, as looking costs more than reseeding."""

    def __init__(self, sampler: BaseSampler) -> None:
        self._found: list[tuple[Callable[[Any, list[int]], object], Any, list[int]]] = []
        self._homes: list[tuple[Any, Any, Any]] = []
        self._watched: list[tuple[Any, list[type]]] = []
        self._caches: list[tuple[dict[str, Any], str]] = []
        for place in places(sampler):
            if reseed := reseeder(place.value):
                self._found.append((reseed, place.value, [zlib.crc32(place.path.encode())]))
                if place.holder is not None:
                    self._homes.append((place.holder, place.key, place.value))
                continue
            if isinstance(place.value, GPSampler):  # refits from these, and a restart does not have them
                self._caches += [(vars(place.value), name) for name in _GP_CACHES]
            views = [attributes.values()] if (attributes := getattr(place.value, "__dict__", None)) else []
            if isinstance(place.value, dict | list) and len(place.value) <= _MANY:
                views.append(place.value.values() if isinstance(place.value, dict) else place.value)
            self._watched += [(view, [*map(type, view)]) for view in views]

    def are_current(self) -> bool:
        """Whether no generator can have come or gone: the same types everywhere, the same generators."""
        for attributes, name in self._caches:
            attributes[name] = None
        if any([*map(type, view)] != types for view, types in self._watched):
            return False
        try:
            return all(holder[key] is generator for holder, key, generator in self._homes)
        except LookupError:
            return False

    def reseed(self, seed: int, number: int) -> None:
        """Give each generator the state that it has at the start of this trial."""
        words = np.random.SeedSequence([seed, number]).generate_state(2).tolist()
        for reseed, generator, place in self._found:
            reseed(generator, words + place)

    def states(self) -> tuple[tuple[Callable[[Any, Any], object], Any, Any], ...]:
        """Return for each generator how its state is set, itself, and the state."""
        ways = [(*_access(generator), generator) for _, generator, _ in self._found]
        return tuple((put, generator, get(generator)) for get, put, generator in ways)


def own_seed(sampler: BaseSampler) -> int | None:
    """Derive a study seed from the seed that a sampler was made with.

    So ``TPESampler(seed=1)`` in a variable makes a study repeatable without ``--seed``.

    Returns:
        The same number for generators in the same state; None where nothing is seeded.
    """
    draws: list[int] = []
    for place in places(sampler):
        generator = place.value
        if isinstance(generator, LazyRandomState):
            generator = generator._rng  # noqa: SLF001 - None until it is seeded or used
        if isinstance(generator, np.random.RandomState):
            draws.append(int(copy.deepcopy(generator).randint(2**32, dtype=np.uint64)))
        elif isinstance(generator, np.random.Generator):
            draws.append(int(copy.deepcopy(generator).integers(2**32)))
    return int(np.random.SeedSequence(draws).generate_state(1)[0]) if draws else None
