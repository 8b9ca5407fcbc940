"""What the study storage costs, against memory and against what Optuna offers.

python benchmarks/storage.py            print the tables
python benchmarks/storage.py --publish  and put them into BENCHMARKS.md
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from measure import publish, table, take_turns
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from optuna_nb.storage.ledger import Durability
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning.fast_random import FastRandomSampler
from optuna_nb.tuning.fast_tpe import FastTPESampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

Row = list[object]
TRIALS = 10_000  # of the large study


def main() -> None:
    """Run all, print, and publish when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--publish", action="store_true", help="write the tables into BENCHMARKS.md")
    parser.add_argument("--only", help="run one part", choices=[bench.__name__ for bench in BENCHES])
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    heads = ["what", "ours, ms", "CPU", "compared with", "ms", "CPU", "ratio of CPU", "target"]
    with tempfile.TemporaryDirectory() as folder:
        benches = [bench for bench in BENCHES if options.only in (None, bench.__name__)]
        rows = [row for bench in benches for row in bench(Path(folder))]
    text = table(heads, rows)
    print(text)
    if options.publish and not options.only:
        publish("Storage", "python benchmarks/storage.py --publish", text)


def objective(params: int) -> Callable[[optuna.Trial], float]:
    """Return an objective that costs next to nothing."""
    return lambda trial: sum(trial.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(params))


def new_study(storage: BaseStorage | None, sampler: BaseSampler, ready: int, params: int) -> optuna.Study:
    """Return a study that has some trials."""
    study = optuna.create_study(storage=storage, sampler=sampler)
    study.optimize(objective(params), n_trials=ready)
    return study


def ours(folder: Path, name: str, *, full: bool = False) -> StudyStorage:
    """Open our storage on a new file."""
    storage = StudyStorage(f"sqlite:///{folder / name}.db")
    storage.database.sync_fully(full)
    return storage


def compare(
    what: str,
    target: str,
    contestants: dict[str, optuna.Study],
    *,
    params: int,
    trials: int,
    repeats: int,
) -> list[Row]:
    """Time trials of ours (the first contestant) against those of the others."""
    work = {
        name: partial(study.optimize, objective(params), n_trials=trials)
        for name, study in contestants.items()
    }
    samples = take_turns(work, repeats, trials)
    first, *others = samples.values()
    return [
        [what, first.wall_ms, first.cpu_ms, name, s.wall_ms, s.cpu_ms, first.cpu_ms / s.cpu_ms, target]
        for name, s in zip(list(samples)[1:], others, strict=True)
    ]


def durable_trial(folder: Path) -> list[Row]:
    """Five parameters, random sampler, NORMAL: as we are, and the storage's part alone."""
    rows: list[Row] = []
    theirs = partial(RandomSampler, seed=1)
    for kind, mine in (("", partial(FastRandomSampler, seed=1)), (", Optuna's sampler in both", theirs)):
        what = f"durable trial, 5 params, random, NORMAL{kind}"
        studies = {
            "ours": new_study(ours(folder, f"random{kind}"), mine(), 100, 5),
            "in memory": new_study(None, theirs(), 100, 5),
        }
        rows += compare(what, "<= 2", studies, params=5, trials=300, repeats=15)
        slow = {
            "ours": new_study(ours(folder, f"random-slow{kind}"), mine(), 100, 5),
            "Optuna's SQLite": new_study(RDBStorage(f"sqlite:///{folder}/rdb{kind}.db"), theirs(), 100, 5),
            "Optuna's journal file": new_study(
                JournalStorage(JournalFileBackend(f"{folder}/journal{kind}.log")), theirs(), 100, 5
            ),
        }
        rows += compare(what, "<= 1/50", slow, params=5, trials=100, repeats=9)
    return rows


def durable_tpe(folder: Path) -> list[Row]:
    """Five parameters, TPE, after 300 and after 3,000 trials: as we are, and the storage's part alone."""
    rows: list[Row] = []
    for ready in (300, 3000):
        for kind, mine, theirs, target in (
            ("", FastTPESampler, TPESampler, "<= 1.1"),
            (", Optuna's TPE in both", TPESampler, TPESampler, "<= 1.1"),
            (", our TPE in both", FastTPESampler, FastTPESampler, ""),
        ):
            studies = {}
            for name, storage, sampler in (
                ("ours", ours(folder, f"tpe{ready}{kind}"), mine(seed=1)),
                ("in memory", None, theirs(seed=1)),
            ):
                study = new_study(storage, RandomSampler(seed=1), ready, 5)
                study.sampler = sampler
                study.optimize(objective(5), n_trials=3)
                studies[name] = study
            what = f"the same with TPE at {ready} trials{kind}"
            rows += compare(what, target, studies, params=5, trials=10, repeats=15)
    return rows


def full_sync(folder: Path) -> list[Row]:
    """Ten parameters, WAL with FULL: what a power cut survives."""
    studies = {
        "ours": new_study(ours(folder, "full", full=True), RandomSampler(seed=1), 50, 10),
        "in memory": new_study(None, RandomSampler(seed=1), 50, 10),
    }
    return compare(
        "durable trial, 10 params, random, FULL", "+1 ms at most", studies, params=10, trials=50, repeats=15
    )


def report_and_prune(folder: Path) -> list[Row]:
    """One ``report`` with ``should_prune``."""
    contestants = {}
    steps = 200
    for name, storage in (
        ("ours", ours(folder, "report")),
        ("in memory", None),
        ("Optuna's SQLite", RDBStorage(f"sqlite:///{folder}/report-rdb.db")),
    ):
        study = new_study(storage, RandomSampler(seed=1), 20, 5)
        contestants[name] = partial(report_steps, study, steps if "Optuna" not in name else 20)
    samples = take_turns(contestants, 9, 1)
    per_step = {"ours": steps, "in memory": steps, "Optuna's SQLite": 20}
    first = samples["ours"]
    return [
        [
            "one report and should_prune",
            first.wall_ms / steps,
            first.cpu_ms / steps,
            name,
            samples[name].wall_ms / per_step[name],
            samples[name].cpu_ms / per_step[name],
            first.cpu_ms / steps / (samples[name].cpu_ms / per_step[name]),
            "<= 0.15 ms",
        ]
        for name in ("in memory", "Optuna's SQLite")
    ]


def report_steps(study: optuna.Study, steps: int) -> None:
    """Report so many steps of one trial."""
    trial = study.ask()
    for step in range(steps):
        trial.report(1.0, step)
        trial.should_prune()
    study.tell(trial, 1.0)


def tpe_itself(_: Path) -> list[Row]:
    """TPE in memory, ten parameters: ours against Optuna's own, by default and univariate."""
    rows: list[Row] = []
    for kind, work, multivariate in (
        ("10 floats", objective(10), None),
        ("10 params of all kinds", all_kinds, None),
        ("10 floats, univariate", objective(10), False),
        ("10 params of all kinds, univariate", all_kinds, False),
    ):
        for ready in (100, 1000, 3000):
            contestants = {}
            for name, sampler in (("ours", FastTPESampler), ("Optuna's TPE", TPESampler)):
                study = optuna.create_study(sampler=RandomSampler(seed=1))
                study.optimize(work, n_trials=ready)
                study.sampler = sampler(seed=1, multivariate=multivariate)
                study.optimize(work, n_trials=2)
                contestants[name] = partial(study.optimize, work, n_trials=5)
            a, b = take_turns(contestants, 7, 5).values()
            what = f"TPE itself, {kind}, {ready} trials"
            rows.append([what, a.wall_ms, a.cpu_ms, name, b.wall_ms, b.cpu_ms, a.cpu_ms / b.cpu_ms, "<= 0.5"])
    return rows


def all_kinds(trial: optuna.Trial) -> float:
    """Ten parameters as a model has them."""
    return (
        sum(trial.suggest_float(f"x{i}", -1, 1) ** 2 for i in range(3))
        + trial.suggest_float("rate", 1e-5, 1, log=True)
        + trial.suggest_float("penalty", 1e-8, 10, log=True)
        + trial.suggest_float("share", 0.5, 1, step=0.05)
        + trial.suggest_int("depth", 1, 12)
        + trial.suggest_int("rounds", 10, 1000)
        + trial.suggest_int("width", 1, 512, log=True)
        + (trial.suggest_categorical("kind", ["a", "b", "c"]) == "a")
    )


def open_and_poll(folder: Path) -> list[Row]:
    """10,000 trials with ten parameters: open and resume, poll, memory."""
    storage = ours(folder, "large")
    study = optuna.create_study(storage=storage, sampler=RandomSampler(seed=1), study_name="s")
    study_id = storage.get_study_id_from_name("s")
    storage.acquire(study_id).durability = Durability("end")
    study.optimize(objective(10), n_trials=10_000)
    storage.close()
    url = f"sqlite:///{folder / 'large.db'}"

    def resume() -> None:
        opened = StudyStorage(url)
        opened.acquire(study_id)
        assert len(optuna.load_study(study_name="s", storage=opened).get_trials(deepcopy=False)) == TRIALS  # noqa: S101
        opened.close()

    def plain() -> None:
        assert len(optuna.load_study(study_name="s", storage=url).trials) == TRIALS  # noqa: S101

    samples = take_turns({"ours": resume, "optuna.load_study": plain}, 3)
    a, b = samples.values()
    rows: list[Row] = [
        [
            "open and resume 10,000 trials, 10 params",
            a.wall_ms,
            a.cpu_ms,
            "optuna.load_study and trials",
            b.wall_ms,
            b.cpu_ms,
            a.cpu_ms / b.cpu_ms,
            "<= 1 s",
        ]
    ]
    return rows + polls(url) + memory(url)


def polls(url: str) -> list[Row]:
    """One poll of the reader on that study: nothing new, ten new trials."""
    writer = StudyStorage(url)
    study = optuna.load_study(study_name="s", storage=writer)
    reader = Reader(url, "s")
    reader.poll()
    idle = take_turns({"idle": lambda: look(reader, 1000)}, 5, 1000)["idle"]
    new = take_turns({"write": lambda: add(study, 10), "poll": lambda: look(reader, 1)}, 21)["poll"]
    reader.close()
    writer.close()
    return [
        ["poll, nothing new", idle.wall_ms, idle.cpu_ms, "", "", "", "", "<= 1 ms"],
        ["poll, 10 new trials", new.wall_ms, new.cpu_ms, "", "", "", "", "<= 5 ms"],
    ]


def look(reader: Reader, times: int) -> None:
    """Ask for news so many times."""
    for _ in range(times):
        reader.poll()


def add(study: optuna.Study, count: int) -> None:
    """Finish so many trials."""
    study.optimize(objective(10), n_trials=count)


def memory(url: str) -> list[Row]:
    """Memory of 10,000 trials, as loaded, against Optuna's in-memory storage."""
    sizes = []
    for make in (lambda: loaded(url), lambda: new_study(None, RandomSampler(seed=1), 10_000, 10)):
        gc.collect()
        tracemalloc.start()
        kept = make()
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0] / 1e6)
        tracemalloc.stop()
        del kept
    mine, theirs = sizes
    return [
        [
            "memory of 10,000 trials, MB",
            mine,
            "",
            "in memory",
            theirs,
            "",
            mine / theirs,
            "<= 1.2",
        ]
    ]


def loaded(url: str) -> StudyStorage:
    """Open and own the large study."""
    storage = StudyStorage(url)
    storage.acquire(storage.get_study_id_from_name("s"))
    return storage


BENCHES = (durable_trial, durable_tpe, full_sync, report_and_prune, tpe_itself, open_and_poll)

if __name__ == "__main__":
    main()
