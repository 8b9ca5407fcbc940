"""Samplers and pruners: what a restart must not change, and what a user may get wrong."""

import builtins
import contextlib
import copy
import functools
import importlib.util
import json
import pickle
import random
import time
import timeit
import warnings

import cmaes
import numpy as np
import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import HyperbandPruner, MedianPruner, PatientPruner, SuccessiveHalvingPruner
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIIISampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    TPESampler,
)
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from optuna_nb.errors import InvalidOptionError, StorageError
from optuna_nb.records import PRUNERS, SAMPLERS
from optuna_nb.tuning.reseeding import ReseedingSampler, own_seed
from optuna_nb.tuning.sampling import exact_resume, make_pruner, make_sampler
from optuna_nb.tuning.unpickling import load_optimizer

optuna.logging.set_verbosity(optuna.logging.ERROR)

NAME = "churn@1"
ONE = ("minimize",)
TWO = ("minimize", "maximize")


# ------------------------------------------------------------------ objectives


def numbers(trial):
    x = trial.suggest_float("x", -3, 3)
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    depth = trial.suggest_int("depth", 1, 9)
    return (x - 1) ** 2 + abs(np.log10(rate) + 2) + depth / 10


def mixed(trial):
    kind = trial.suggest_categorical("kind", ["gini", "entropy", None])
    return numbers(trial) + (0.5 if kind is None else 0)


def conditional(trial):
    if trial.suggest_categorical("booster", ["tree", "linear"]) == "tree":
        return trial.suggest_int("depth", 1, 9) + trial.suggest_float("x", 0, 1)
    return 3 * trial.suggest_float("alpha", 0, 1) + trial.suggest_float("x", 0, 1)


def two(trial):
    x = trial.suggest_float("x", 0, 2)
    y = trial.suggest_float("y", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return x**2 + y, (x - 2) ** 2 - y + (kind == "b")


def finite(trial):
    return (
        trial.suggest_int("depth", 1, 3)
        + trial.suggest_float("rate", 0, 1, step=0.25)
        + (trial.suggest_categorical("kind", ["a", "b"]) == "b")
    )


def constrained(trial):
    score = numbers(trial)
    trial.set_constraint("depth", trial.params["depth"] - 6)
    return score


def curve(trial):
    """Report a number of steps that depends on the trial, as early stopping does."""
    level = trial.suggest_float("x", 0, 1)
    last = 3 + (trial.number * 7) % 10
    for step in range(last):
        trial.report(level + (7 * trial.number + 5 * step) % 11 / 11, 2**step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return level


def steady_curve(trial):
    level = trial.suggest_float("x", 0, 1)
    for step in range(8):
        trial.report(level + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return level


# ------------------------------------------------------------- a run, and a resumed run


def quiet(make, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return make(*args, **kwargs)


def study_on(storage, directions, sampler, pruner=None, seed=11):
    """Open the study the way a fresh process does: nothing but its storage is older."""
    study = optuna.create_study(
        storage=storage,
        study_name=NAME,
        directions=directions,
        load_if_exists=True,
        sampler=make_sampler(sampler() if callable(sampler) else sampler, seed=seed, directions=directions),
        pruner=make_pruner(pruner() if callable(pruner) else pruner or "median"),
    )
    study._thread_local.in_optimize_loop = True  # grids stop their study when they are through
    return study


def run(study, objective, upto):
    """Run trials until there are so many; return the state after each one as JSON would keep it."""
    kept = {}
    while len(study.get_trials(deepcopy=False)) < upto and not study._stop_flag:
        trial = study.ask()
        try:
            study.tell(trial, objective(trial))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        kept[trial.number + 1] = json.dumps(study._storage.get_study_system_attrs(study._study_id))
    return kept


def survivor(storage, study, attributes, upto):
    """Make the storage that is left of a killed process: finished trials and study attributes, via JSON."""
    left = InMemoryStorage()
    left.create_new_study(study.directions, NAME)
    for number, trial in enumerate(storage.get_all_trials(study._study_id)[:upto]):
        kept = copy.deepcopy(trial)
        kept.system_attrs = json.loads(json.dumps(kept.system_attrs))
        kept.user_attrs = json.loads(json.dumps(kept.user_attrs))
        assert left.create_new_trial(0, kept) == trial._trial_id == number
    for key, value in json.loads(attributes).items():
        left.set_study_system_attr(0, key, value)
    return left


def results(study):
    """Every parameter and value, bit for bit."""
    return [
        (
            trial.state,
            {
                name: value.hex() if isinstance(value, float) else repr(value)
                for name, value in trial.params.items()
            },
            [float(value).hex() for value in trial.values or ()],
            {step: value.hex() for step, value in trial.intermediate_values.items()},
        )
        for trial in study.get_trials()
    ]


GRID = {"depth": [1, 2, 3], "rate": [0.0, 0.25, 1.0], "kind": ["a", "b"]}

CASES = {
    "random": (mixed, ONE, "random", 20),
    "tpe": (mixed, ONE, "tpe", 30),
    "tpe independent": (mixed, ONE, lambda: TPESampler(multivariate=False), 25),
    "tpe multivariate": (mixed, ONE, lambda: TPESampler(multivariate=True, constant_liar=False), 25),
    "tpe group": (conditional, ONE, lambda: quiet(TPESampler, multivariate=True, group=True), 30),
    "tpe conditional": (conditional, ONE, "tpe", 25),
    "tpe constrained": (constrained, ONE, "tpe", 25),
    "tpe multi-objective": (two, TWO, "tpe", 25),
    "cmaes": (numbers, ONE, "cmaes", 30),
    "cmaes with a category": (mixed, ONE, "cmaes", 25),
    "cmaes separable": (numbers, ONE, lambda: quiet(CmaEsSampler, use_separable_cma=True), 25),
    "cmaes margin": (numbers, ONE, lambda: quiet(CmaEsSampler, with_margin=True), 25),
    "cmaes lr_adapt": (numbers, ONE, lambda: quiet(CmaEsSampler, lr_adapt=True, popsize=4), 25),
    "gp": (mixed, ONE, "gp", 14),
    "gp constrained": (constrained, ONE, lambda: GPSampler(n_startup_trials=5), 8),
    "gp multi-objective": (two, TWO, lambda: GPSampler(n_startup_trials=5), 8),
    "nsgaii": (two, TWO, lambda: NSGAIISampler(population_size=6), 30),
    "nsgaii blx": (
        two,
        TWO,
        lambda: quiet(
            lambda: NSGAIISampler(
                population_size=6, crossover=optuna.samplers.nsgaii.BLXAlphaCrossover(), mutation_prob=0.5
            )
        ),
        30,
    ),
    "nsgaiii": (two, TWO, lambda: quiet(NSGAIIISampler, population_size=6), 30),
    "qmc": (mixed, ONE, "qmc", 20),
    "qmc halton": (mixed, ONE, lambda: quiet(QMCSampler, qmc_type="halton"), 20),
    "grid": (finite, ONE, lambda: GridSampler(GRID), 18),
    "grid by name": (finite, ONE, "grid", 30),
    "brute force": (finite, ONE, lambda: quiet(BruteForceSampler), 30),
    "partial fixed": (mixed, ONE, lambda: quiet(PartialFixedSampler, {"depth": 3}, TPESampler()), 25),
    "partial fixed cmaes": (
        numbers,
        ONE,
        lambda: quiet(PartialFixedSampler, {"depth": 3}, CmaEsSampler()),
        20,
    ),
    "hyperband": (curve, ONE, "tpe", 40, "hyperband"),
    "hyperband in a variable": (curve, ONE, "random", 40, HyperbandPruner),
    "sha": (curve, ONE, "tpe", 40, "sha"),
    "sha with patience": (
        curve,
        ONE,
        "random",
        40,
        lambda: quiet(PatientPruner, SuccessiveHalvingPruner(reduction_factor=2), patience=1),
    ),
    "median": (curve, ONE, "tpe", 30, "median"),
}


@functools.cache
def uninterrupted(case):
    objective, directions, sampler, count, *pruner = CASES[case]
    storage = InMemoryStorage()
    study = study_on(storage, directions, sampler, *pruner)
    attributes = run(study, objective, count)
    return storage, study, attributes


@pytest.mark.parametrize("in_flight", [False, True], ids=["between trials", "in a trial"])
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_study_is_the_same_bit_for_bit(case, in_flight):
    objective, directions, sampler, count, *pruner = CASES[case]
    storage, whole, attributes = uninterrupted(case)
    count = len(whole.trials)
    for done in (1, count // 2, count - 2):
        left = survivor(storage, whole, attributes[done], done)
        resumed = study_on(left, directions, sampler, *pruner)
        if in_flight:  # this trial dies with its process, and all that it wrote goes with it
            died = resumed.ask()
            assert died.number == done
            with contextlib.suppress(optuna.TrialPruned):
                objective(died)
            left = survivor(storage, whole, attributes[done], done)
            resumed = study_on(left, directions, sampler, *pruner)
        run(resumed, objective, count)
        assert results(resumed) == results(whole)


def test_another_seed_gives_another_study():
    one, other = (study_on(InMemoryStorage(), ONE, "random", seed=seed) for seed in (1, 2))
    run(one, mixed, 5)
    run(other, mixed, 5)
    assert results(one) != results(other)


def test_every_trial_draws_something_new():
    study = study_on(InMemoryStorage(), ONE, "random")
    run(study, numbers, 200)
    assert len({trial.params["x"] for trial in study.trials}) == 200


def test_generators_of_one_sampler_draw_independently():
    sampler = make_sampler("nsgaii", seed=1, directions=ONE)
    study = optuna.create_study(sampler=sampler)
    study.ask()
    first, second = sampler.sampler._rng.rng.rand(8), sampler.sampler._random_sampler._rng.rng.rand(8)
    assert not set(first) & set(second)


@pytest.mark.parametrize("seed", [0, 2**40, 2**200])
def test_any_integer_from_zero_is_a_seed(seed):
    study = study_on(InMemoryStorage(), ONE, "tpe", seed=seed)
    run(study, mixed, 2)
    assert len(study.trials) == 2


def test_a_position_is_read_once_until_something_is_drawn_and_draws_go_on_from_a_restored_one():
    sampler = ReseedingSampler(optuna.samplers.RandomSampler(), 1)
    trial = optuna.create_study(sampler=sampler).ask()
    start = sampler.position()
    assert sampler.position() is start
    first = trial.suggest_float("first", 0, 1)
    later = sampler.position()
    assert later is not start
    second = trial.suggest_float("second", 0, 1)

    start.restore()
    assert sampler.position() is start
    assert trial.suggest_float("third", 0, 1) == first
    later.restore()
    assert trial.suggest_float("fourth", 0, 1) == second


def test_reseeding_costs_a_trial_some_microseconds():
    study = study_on(InMemoryStorage(), ONE, "tpe")
    run(study, mixed, 15)
    trial = study.trials[-1]
    plain = TPESampler(seed=1)
    five = functools.partial(timeit.repeat, timer=time.process_time, number=200, repeat=5)
    reseeding = min(five(lambda: study.sampler.before_trial(study, trial)))
    nothing = min(five(lambda: plain.before_trial(study, trial)))
    assert (reseeding - nothing) / 200 < 100e-6  # 25 us on an idle machine


# ------------------------------------------------------------------ custom samplers


class Uniform(BaseSampler):
    """A sampler of a user's own; each kind of generator in another subclass."""

    def __init__(self, generator):
        self.generator = generator

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        draw = self.generator.random() if hasattr(self.generator, "random") else self.generator()
        return param_distribution.low + draw * (param_distribution.high - param_distribution.low)


class Counting(Uniform):
    def sample_independent(self, study, trial, param_name, param_distribution):
        self.count = trial.number
        return super().sample_independent(study, trial, param_name, param_distribution)


class Global(Uniform):
    def sample_independent(self, study, trial, param_name, param_distribution):
        return np.random.rand()  # noqa: NPY002


class Imported(Uniform):
    def sample_independent(self, study, trial, param_name, param_distribution):
        import random as r

        return r.random()  # noqa: S311


class Historian(Uniform):
    def __init__(self, generator):
        super().__init__(generator)
        self.history = []


class Growing(Uniform):
    """It gets its generator after it was made, and another one now and then."""

    def before_trial(self, study, trial):
        if trial.number == 3:
            self.generator = np.random.default_rng(5)
        if trial.number == 5:
            self.table = {"late": np.random.default_rng(6)}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return (self.table["late"] if trial.number > 5 else self.generator).random()


def unit(trial):
    return trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1)


def drawing_from(generator):
    def draw():
        return generator.random()

    return draw


GENERATORS = {
    "RandomState": lambda: np.random.RandomState(1),
    "RandomState on PCG64": lambda: np.random.RandomState(np.random.PCG64(1)),
    "Generator": lambda: np.random.default_rng(1),
    "Philox": lambda: np.random.Generator(np.random.Philox(1)),
    "random.Random": lambda: random.Random(1),  # noqa: S311
    "bound method": lambda: np.random.default_rng(1).random,
    "partial": lambda: functools.partial(np.random.default_rng(1).uniform, 0, 1),
    "closure": lambda: drawing_from(np.random.default_rng(1)),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_each_kind_of_generator_is_reseeded(kind):
    def first_of_trial_3(before):
        study = study_on(InMemoryStorage(), ONE, Uniform(GENERATORS[kind]()))
        for _ in range(3):
            trial = study.ask()
            for index in range(before):
                trial.suggest_float(f"p{index}", 0, 1)
            study.tell(trial, 0)
        return study.ask().suggest_float("x", 0, 1)

    assert first_of_trial_3(before=0) == first_of_trial_3(before=4)


@pytest.mark.slow  # needs torch, which the README's test command does not install
def test_a_generator_of_torch_is_reseeded():
    torch = pytest.importorskip("torch")
    generator = torch.Generator()
    study = optuna.create_study(sampler=ReseedingSampler(Uniform([generator]), 1))
    study.ask()
    first = torch.rand(3, generator=generator).tolist()
    study.sampler.before_trial(study, study.trials[0])
    assert torch.rand(3, generator=generator).tolist() == first


def test_a_generator_that_comes_later_is_reseeded_from_the_next_trial_on():
    def values(skipped):
        study = study_on(InMemoryStorage(), ONE, Growing(np.random.default_rng(1)))
        return [
            [trial.suggest_float(name, 0, 1) for name in "abc"[: 1 if number == skipped else 3]]
            for number in range(9)
            if (trial := study.ask())
        ]

    whole = values(skipped=None)
    for skipped in (4, 7):
        assert values(skipped)[skipped + 1] == whole[skipped + 1]


def test_the_user_keeps_a_sampler_of_their_own():
    mine = TPESampler(seed=1)
    before = mine._rng.rng.get_state()[1].tolist()
    study = study_on(InMemoryStorage(), ONE, mine)
    run(study, mixed, 12)
    assert mine._rng.rng.get_state()[1].tolist() == before
    assert mine._search_space._study_id is None


def test_a_sampler_that_served_another_study_starts_afresh():
    used = TPESampler(multivariate=True)
    with_other = optuna.create_study(sampler=used, directions=TWO)
    with_other.optimize(two, n_trials=12)
    fresh = study_on(InMemoryStorage(), ONE, TPESampler(multivariate=True))
    again = study_on(InMemoryStorage(), ONE, used)
    run(fresh, mixed, 14)
    run(again, mixed, 14)
    assert results(again) == results(fresh)


@pytest.mark.parametrize("case", CASES)
def test_resume_is_promised_for_the_samplers_of_optuna(case):
    _, directions, sampler, *_ = CASES[case]
    made = make_sampler(sampler() if callable(sampler) else sampler, seed=1, directions=directions)
    assert exact_resume(made) == (True, "")


@pytest.mark.parametrize("kind", GENERATORS)
def test_resume_is_promised_for_a_sampler_that_only_holds_generators(kind):
    assert exact_resume(Uniform(GENERATORS[kind]()))


@pytest.mark.parametrize(
    ("sampler", "word"),
    [
        (lambda: Counting(None), "Counting.sample_independent sets 'count'"),
        (lambda: Historian(None), "history is a list"),
        (lambda: Global(None), "numpy.random"),
        (lambda: Imported(None), "Imported.sample_independent draws from random"),
        (lambda: Uniform(random.SystemRandom()), "SystemRandom"),
        (lambda: Uniform(lambda: random.random()), "draws from random"),  # noqa: PLW0108, S311
        (lambda: Uniform(object()), "cannot be looked into"),
        (lambda: quiet(QMCSampler, scramble=True, warn_asynchronous_seeding=False), "QMCSampler"),
        (lambda: quiet(PartialFixedSampler, {"x": 1}, Counting(None)), "Counting"),
    ],
)
def test_a_sampler_with_a_memory_is_told_so(sampler, word):
    told = exact_resume(sampler())
    assert not told
    assert word in told.reason
    assert "\n" not in told.reason


def test_a_seeded_sampler_yields_a_seed_and_an_unseeded_one_none():
    assert own_seed(TPESampler()) is None
    assert own_seed(TPESampler(seed=1)) == own_seed(TPESampler(seed=1)) != own_seed(TPESampler(seed=2))
    assert own_seed(Uniform(np.random.default_rng(1))) == own_seed(Uniform(np.random.default_rng(1)))


# ------------------------------------------------------------------ names and mistakes


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_has_a_name_and_runs(name):
    study = study_on(InMemoryStorage(), ONE, name)
    run(study, finite, 3)
    assert len(study.trials) == 3


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_has_a_name_and_runs(name):
    study = study_on(InMemoryStorage(), ONE, "random", name)
    run(study, steady_curve, 12)
    assert len(study.trials) == 12


def test_names_may_be_written_as_in_the_papers():
    assert str(make_sampler("NSGA-II", seed=1, directions=TWO)) == "NSGAIISampler"
    assert str(make_sampler("CMA-ES", seed=1, directions=ONE)) == "CmaEsSampler"


def test_grid_tries_every_combination_once():
    study = study_on(InMemoryStorage(), ONE, "grid")
    run(study, finite, 100)
    assert len(study.trials) == 3 * 5 * 2
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 30


def test_a_float_of_a_grid_is_a_float_whatever_ran_before():
    study = study_on(InMemoryStorage(), ONE, "grid")
    trial = study.ask()
    assert type(trial.suggest_int("depth", 0, 17)) is int
    assert type(trial.suggest_float("rate", 0, 17, step=1)) is float


def one_line(error):
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("spec", "directions", "words"),
    [
        ("tep", ONE, ["tep", "did you mean 'tpe'"]),
        ("cmae", ONE, ["did you mean 'cmaes'"]),
        ("xyzzy", ONE, ["tpe, random, grid"]),
        (TPESampler, ONE, ["the class TPESampler", "give a name"]),
        (3, ONE, ["a int"]),
        ("cmaes", TWO, ["one objective and there are 2", "nsgaii"]),
        (quiet(PartialFixedSampler, {"x": 1}, CmaEsSampler()), TWO, ["one objective"]),
    ],
)
def test_a_wrong_sampler_is_refused_in_one_line(spec, directions, words):
    with pytest.raises(InvalidOptionError) as error:
        make_sampler(spec, seed=1, directions=directions)
    for word in words:
        assert word in one_line(error)


def test_a_negative_seed_is_refused():
    with pytest.raises(InvalidOptionError, match="0 or more"):
        make_sampler("tpe", seed=-1, directions=ONE)


@pytest.mark.parametrize(
    ("spec", "word"), [("medain", "did you mean 'median'"), (MedianPruner, "the class MedianPruner")]
)
def test_a_wrong_pruner_is_refused_in_one_line(spec, word):
    with pytest.raises(InvalidOptionError) as error:
        make_pruner(spec)
    assert word in one_line(error)


@pytest.mark.parametrize(("name", "package"), [("gp", "torch"), ("cmaes", "cmaes")])
def test_a_missing_package_is_named_with_its_cure(name, package, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted: None if wanted == package else find(wanted)
    )
    with pytest.raises(InvalidOptionError, match=f"pip install {package}"):
        make_sampler(name, seed=1, directions=ONE)


def test_a_grid_without_steps_says_what_to_do():
    study = study_on(InMemoryStorage(), ONE, "grid")
    with pytest.raises(InvalidOptionError, match=r"'rate'.*step="):
        study.ask().suggest_float("rate", 0, 1)


def test_a_pruner_without_guesses_is_used_as_it_is():
    mine = MedianPruner()
    assert make_pruner(mine) is mine


# ------------------------------------------------------------------ nothing from a file is unpickled


class Hostile:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("import builtins; builtins.ran_from_a_file = True",))


@pytest.fixture(autouse=True)
def no_code_ran():
    yield
    assert not vars(builtins).pop("ran_from_a_file", False)


def evolved(kind, **options):
    bounds = np.array([[0.0, 1.0]] * 3)
    optimizer = kind(mean=np.full(3, 0.5), sigma=0.2, bounds=bounds, seed=1, **options)
    solutions = []
    for _ in range(optimizer.population_size):
        asked = optimizer.ask()
        point = asked[1] if isinstance(asked, tuple) else asked
        solutions.append((point, float((point**2).sum())))
    optimizer.tell(solutions)
    return optimizer


OPTIMIZERS = {
    "CMA": lambda: evolved(cmaes.CMA),
    "SepCMA": lambda: evolved(cmaes.SepCMA),
    "CMAwM": lambda: evolved(cmaes.CMAwM, steps=np.array([0, 0.1, 0.25])),
}


def flat(optimizer):
    for name, value in sorted(vars(optimizer).items()):
        if name == "_cma":
            yield from flat(value)
        elif name != "_rng":
            yield name, type(value), value.tobytes() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_stored_optimizer_comes_back_as_it_was(kind, protocol):
    data = pickle.dumps(OPTIMIZERS[kind](), protocol)
    assert list(flat(load_optimizer(data))) == list(flat(pickle.loads(data)))  # noqa: S301 - our own


def hostile_pickles():
    good = pickle.dumps(OPTIMIZERS["CMA"]())
    state = OPTIMIZERS["CMA"]().__getstate__()

    class Fake:
        def __init__(self, inside):
            self.inside = inside

        def __reduce__(self):
            return (cmaes.CMA.__new__, (cmaes.CMA,), self.inside)

    yield "code", pickle.dumps(Hostile())
    yield "code in a list", pickle.dumps([Hostile()])
    yield "code in the state", pickle.dumps(Fake({**state, "_mean": Hostile()}))
    yield "eval", b"c__builtin__\neval\n(S'1/0'\ntR."
    yield (
        "getattr chain",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x05numpy\x8c\x05dtype\x93\x8c\x08__init__\x86R.",
    )
    yield "a dotted name", b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93."
    yield "an object array", pickle.dumps(np.array([Hostile()], dtype=object))
    yield "only an array", pickle.dumps(np.arange(3.0))
    yield "a number", pickle.dumps(3)
    yield "a huge memo", b"\x80\x04K\x01r\xff\xff\xff\x7f."
    yield "a huge bytearray", b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc."
    yield "an extension", b"\x80\x04\x82\x01."
    yield "a persistent id", b"Pabc\n."
    yield "nothing", b""
    yield "cut short", good[: len(good) // 2]
    yield "an array of the wrong size", good.replace(b"C\x18", b"C\x10", 1)
    yield "a wrong type code", good.replace(b"\x8c\x02f8", b"\x8c\x02O8", 1)


@pytest.mark.parametrize("what", [what for what, _ in hostile_pickles()])
def test_a_hostile_state_runs_no_code_and_is_refused(what):
    data = dict(hostile_pickles())[what]
    with pytest.raises(StorageError) as error:
        load_optimizer(data)
    one_line(error)


def test_flipped_bytes_never_do_more_than_fail():
    good = pickle.dumps(OPTIMIZERS["CMAwM"]())
    dice = random.Random(3)  # noqa: S311
    for _ in range(400):
        data = bytearray(good)
        data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            load_optimizer(bytes(data))
        except StorageError:
            continue


@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(lambda: "cmaes", id="by name"),
        pytest.param(CmaEsSampler, id="by variable"),
        pytest.param(lambda: quiet(PartialFixedSampler, {"depth": 3}, CmaEsSampler()), id="inside another"),
    ],
)
def test_a_study_file_with_a_hostile_attribute_runs_no_code(sampler):
    storage, whole, attributes = uninterrupted("cmaes")
    left = survivor(storage, whole, attributes[20], 20)
    left._studies[0].trials[-1].system_attrs["cma:optimizer:0"] = pickle.dumps(Hostile()).hex()
    study = study_on(left, ONE, sampler)
    with pytest.raises(StorageError, match=r"trial 19.*new name") as error:
        numbers(study.ask())
    one_line(error)


def test_the_attack_is_real_in_plain_optuna():
    storage, whole, attributes = uninterrupted("cmaes")
    left = survivor(storage, whole, attributes[20], 20)
    left._studies[0].trials[-1].system_attrs["cma:optimizer:0"] = pickle.dumps(Hostile()).hex()
    study = optuna.load_study(study_name=NAME, storage=left, sampler=CmaEsSampler())
    numbers(study.ask())
    assert vars(builtins).pop("ran_from_a_file")
