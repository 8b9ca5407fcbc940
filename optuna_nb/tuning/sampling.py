"""Samplers and pruners by name or by variable, each one fit for a study that goes on exactly.

``make_sampler`` and ``make_pruner`` turn what the user gave into a sampler or pruner
whose whole memory is the study: the finished trials, their attributes and the
study's. ``exact_resume`` says whether that worked for a sampler of the user's own.

``grid`` and ``brute`` are the same: every combination once. A grid needs values, and
the suggest calls are the only place that has them, so both are Optuna's
``BruteForceSampler``, which reads them there. A ``GridSampler`` with values of its
own is given by variable.
"""

from __future__ import annotations

import copy
import difflib
import dis
import importlib.util
import random
import warnings
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, PatientPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, BruteForceSampler, CmaEsSampler, GPSampler, QMCSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import PRUNERS, SAMPLERS
from optuna_nb.tuning.fast_random import FastRandomSampler
from optuna_nb.tuning.reseeding import Place, ReseedingSampler, places, reseeder
from optuna_nb.tuning.unpickling import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_NEEDS = {"cmaes": ("cmaes",), "gp": ("torch",)}
_SHARED = frozenset(
    {"random", "secrets", "time", "torch", "uuid"}
)  # modules that answer differently each time
_UNTRACKED = frozenset(
    {"__init__", "__repr__", "__str__", "reseed_rng"}
)  # methods that run outside of trials
_CONTAINERS = (dict, list, set, bytearray)


def make_sampler(
    spec: str | BaseSampler, *, seed: int, directions: Sequence[str], batch: int = 1
) -> ReseedingSampler:
    """Make the sampler of one study.

    Args:
        spec: one of ``SAMPLERS``, or any Optuna sampler. A copy of that is used, as one
            object cannot serve two studies: it would mix what it remembers of them.
        seed: the study's; any integer from 0. It replaces a seed that the sampler has.
        directions: one per objective; only their number counts.
        batch: trials that ``tpe`` draws from one model.

    Raises:
        InvalidOptionError: an unknown name, a negative seed, a sampler that cannot handle
            this many objectives, or a package that is not installed.
    """
    if seed < 0:
        raise InvalidOptionError(f"the seed is {seed}: give one that is 0 or more", code="NB104")
    if isinstance(spec, str):
        name = _known(spec, SAMPLERS, "sampler")
        _require(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = _named_sampler(name, int(np.random.SeedSequence(seed).generate_state(1)[0]), batch)
    elif isinstance(spec, BaseSampler):
        sampler = _own_copy(spec.sampler if isinstance(spec, ReseedingSampler) else spec)
    else:
        raise InvalidOptionError(
            f"the sampler is {_describe(spec)}: give a name ({', '.join(SAMPLERS)}) or a sampler",
            code="NB112",
        )
    for place in places(sampler):
        _prepare(place.value, len(directions))
    return ReseedingSampler(sampler, seed)


def _named_sampler(name: str, seed: int, batch: int) -> BaseSampler:
    make: dict[str, Callable[[], BaseSampler]] = {
        "tpe": partial(_tpe, seed, batch),
        "plaintpe": partial(TPESampler, seed=seed),
        "random": partial(FastRandomSampler, seed=seed),
        "grid": partial(_EveryCombination, seed=seed),
        "cmaes": partial(CmaEsSampler, seed=seed),
        "gp": partial(GPSampler, seed=seed),
        "nsgaii": partial(optuna.samplers.NSGAIISampler, seed=seed),
        "nsgaiii": partial(optuna.samplers.NSGAIIISampler, seed=seed),
        "qmc": partial(QMCSampler, seed=seed, scramble=True),
        "brute": partial(_EveryCombination, seed=seed),
    }
    return make[name]()


def _tpe(seed: int, batch: int) -> TPESampler:
    """Make the faster TPE, or Optuna's own where Optuna has changed inside."""
    try:
        from optuna_nb.tuning.fast_tpe import FastTPESampler
    except (ImportError, AttributeError) as error:
        if batch > 1:
            msg = f"--batch does not work with Optuna {optuna.__version__}: leave it out"
            raise InvalidOptionError(msg, code="NB118") from error
        return TPESampler(seed=seed)
    return FastTPESampler(seed=seed, batch=batch)


class _EveryCombination(BruteForceSampler):
    """Brute force that says what to do about a float without a step."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if isinstance(param_distribution, FloatDistribution) and param_distribution.step is None:
            raise InvalidOptionError(
                f"a grid cannot try every value of {param_name!r}: give its suggest_float a step=, "
                f"or use another sampler (tpe, random, ...)",
                code="NB117",
            )
        value = super().sample_independent(study, trial, param_name, param_distribution)
        # Optuna caches the values of (0, 9, 1) and (0.0, 9.0, 1.0) as one, whichever comes first.
        return float(value) if isinstance(param_distribution, FloatDistribution) else value


def _own_copy(sampler: BaseSampler) -> BaseSampler:
    try:
        return copy.deepcopy(sampler)
    except (TypeError, NotImplementedError, copy.Error):  # it holds a lock, a file or the like
        return sampler


def _prepare(part: object, objectives: int) -> None:
    """Make one part of a sampler fit for a new study: safe, and without memory of another one."""
    if isinstance(part, CmaEsSampler):
        _require("cmaes")
        if objectives > 1:
            raise InvalidOptionError(
                f"CMA-ES handles one objective and there are {objectives}: use nsgaii, nsgaiii, tpe or gp",
                code="NB117",
            )
        guard(part)
    elif isinstance(part, TPESampler):
        if part._gamma is not None and part._gamma.__module__ == TPESampler.__module__:  # noqa: SLF001
            part._gamma = None  # noqa: SLF001 - chosen at first use, by the number of objectives
        if (groups := part._group_decomposed_search_space) is not None:  # noqa: SLF001
            part._group_decomposed_search_space = type(groups)(groups._include_pruned)  # noqa: SLF001
    for name, value in list(getattr(part, "__dict__", {}).items()):
        if isinstance(value, IntersectionSearchSpace):
            setattr(part, name, IntersectionSearchSpace(include_pruned=value._include_pruned))  # noqa: SLF001


def _known(name: str, names: Sequence[str], what: str) -> str:
    """Find the name, however it is written ("NSGA-II", "CMA_ES")."""
    plain = name.strip().lower().replace("-", "").replace("_", "")
    if plain in names:
        return plain
    nearest = difflib.get_close_matches(plain, names, n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(names)}"
    raise InvalidOptionError(f"no {what} is called {name!r}: {hint}", code="NB112")


def _require(name: str) -> None:
    missing = [package for package in _NEEDS.get(name, ()) if importlib.util.find_spec(package) is None]
    if missing:
        packages = " ".join(missing)
        raise InvalidOptionError(
            f"the sampler {name!r} needs {packages}: pip install {packages}", code="NB118"
        )


def _describe(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


class ExactResume(NamedTuple):
    """Whether a study that goes on after a restart is certain to draw what it would have drawn."""

    exact: bool
    reason: str  # one line: what a restart forgets; empty where it is exact

    def __bool__(self) -> bool:
        return self.exact


def exact_resume(sampler: BaseSampler) -> ExactResume:
    """Say whether this sampler, reseeded for each trial, has no memory but the study.

    Optuna's own samplers have none. A sampler of the user's own is read, object by object
    and method by method: one that sets attributes during trials, holds containers, or
    draws from generators that it shares with others gets a "no", even where it might do
    no harm.

    Args:
        sampler: read only; not run.
    """
    inner = sampler.sampler if isinstance(sampler, ReseedingSampler) else sampler
    reason = next((reason for place in places(inner) for reason in _memories(place)), "")
    return ExactResume(exact=not reason, reason=reason)


def _memories(place: Place) -> Iterator[str]:
    """Yield what of one value a restart may forget."""
    value, kind, where = place.value, type(place.value), place.path.lstrip(".") or "the sampler"
    if isinstance(value, random.SystemRandom):
        yield f"{where} is a SystemRandom, which cannot be seeded"
    elif isinstance(value, QMCSampler) and value._scramble and value._seed >= 1 << 32:  # noqa: SLF001 - drawn by it
        yield "QMCSampler scrambles by a seed of its own: give it one, QMCSampler(scramble=True, seed=1)"
    elif reseeder(value) or _is_trusted(kind) or isinstance(value, tuple | MethodType | partial):
        return
    elif isinstance(value, FunctionType):
        if not _is_trusted(value):
            yield from _memories_of_code(value, value.__qualname__)
    elif not isinstance(value, _CONTAINERS):
        yield from _memories_of_class(kind, where)
    elif not _is_trusted(place.owner):
        yield f"{where} is a {kind.__name__}, and what a trial changes in it is gone after a restart"


def _memories_of_class(kind: type, where: str) -> Iterator[str]:
    """Yield what the methods of a class outside of Optuna keep from trial to trial."""
    if not getattr(kind, "__dictoffset__", 0):
        yield f"{where} is a {kind.__name__}, which cannot be looked into"
    for owner in kind.__mro__[:-1]:
        for name, member in () if _is_trusted(owner) else vars(owner).items():
            function = getattr(member, "fget", None) or getattr(member, "__func__", member)
            if isinstance(function, FunctionType) and name not in _UNTRACKED:
                yield from _memories_of_code(function, f"{owner.__name__}.{name}")


def _is_trusted(code: type | FunctionType) -> bool:
    """Whether Optuna, Python's ABCs or this package wrote it."""
    return code.__module__.partition(".")[0] in {"abc", "optuna", "optuna_nb"}


def _memories_of_code(function: FunctionType, name: str) -> Iterator[str]:
    """Yield what of a function's code outlives a trial or comes from outside of the study."""
    waiting: list[CodeType] = [function.__code__]
    for code in waiting:
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            if instruction.opname in {"STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL"}:
                yield f"{name} sets {instruction.argval!r}, which a restart forgets"
            elif instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"}:
                source = _shared_source(instruction.argval, function.__globals__, code)
                if source:
                    yield f"{name} draws from {source}: let it draw from a generator that it holds"


def _shared_source(name: str, names: dict[str, Any], code: CodeType) -> str | None:
    """Name the module with a state of its own that a global leads to."""
    value = names.get(name)
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or name
    if isinstance(getattr(value, "__self__", None), random.Random | np.random.RandomState):
        return name
    if module == "numpy" and isinstance(value, ModuleType | None) and "random" in code.co_names:
        return "numpy.random"
    return module if module in _SHARED or module.startswith("numpy.random") else None


def make_pruner(spec: str | BasePruner) -> BasePruner:
    """Make the pruner of one study.

    Hyperband and successive halving guess a resource from the trials that happen to be
    finished when they are first asked. After a restart that would be more trials, so here
    they guess from the first finished trial that reported, and keep to it.

    Args:
        spec: one of ``PRUNERS``, or any Optuna pruner.

    Raises:
        InvalidOptionError: an unknown name, or a package that is not installed.
    """
    if isinstance(spec, BasePruner):
        return _anchored(spec)
    if not isinstance(spec, str):
        raise InvalidOptionError(
            f"the pruner is {_describe(spec)}: give a name ({', '.join(PRUNERS)}) or a pruner",
            code="NB112",
        )
    name = _known(spec, PRUNERS, "pruner")
    make: dict[str, Callable[[], BasePruner]] = {
        "median": optuna.pruners.MedianPruner,
        "hyperband": _AnchoredHyperband,
        "sha": _AnchoredHalving,
        "percentile": partial(optuna.pruners.PercentilePruner, 25.0),
        "wilcoxon": optuna.pruners.WilcoxonPruner,
        "none": optuna.pruners.NopPruner,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make[name]()


def _last_step_of_first(study: Study) -> int | None:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return next((trial.last_step for trial in trials if trial.last_step is not None), None)


class _AnchoredHyperband(HyperbandPruner):
    """Hyperband whose brackets are known from the start of a trial, also of the first after a restart."""

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        if not self._pruners and not hasattr(study, "_bracket_id"):  # a bracket's study asks for brackets too
            self._try_initialization(study)
        return super()._get_bracket_id(study, trial)

    def _try_initialization(self, study: Study) -> None:
        if self._max_resource == "auto":
            step = _last_step_of_first(study)
            if step is None:
                return
            self._max_resource = step + 1
        super()._try_initialization(study)


class _AnchoredHalving(SuccessiveHalvingPruner):
    """Successive halving whose least resource follows from the first finished trial that reported."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        if self._min_resource is None:
            step = _last_step_of_first(study)
            if step is None:
                return False
            self._min_resource = max(step // 100, 1)
        return super().prune(study, trial)


def _anchored(pruner: BasePruner) -> BasePruner:
    """Copy a pruner that guesses into one that guesses from the first trial; leave others alone."""
    kinds: dict[type, Any] = {HyperbandPruner: _AnchoredHyperband, SuccessiveHalvingPruner: _AnchoredHalving}
    kind = kinds.get(type(pruner))
    if kind is None and not isinstance(pruner, PatientPruner):
        return pruner
    own = copy.deepcopy(pruner)
    if kind is not None:
        own.__class__ = kind
    elif isinstance(own, PatientPruner) and own._wrapped_pruner is not None:  # noqa: SLF001
        own._wrapped_pruner = _anchored(own._wrapped_pruner)  # noqa: SLF001
    return own
