"""Damaged copies of a study file, and what the package makes of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

from harness.lives import NAME
from optuna_nb.errors import StorageError
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

HEADER = 100
KINDS = ("header", "truncated", "page zeroed", "page of noise", "page of another", "bit", "bit of a trial")


def mutants(
    original: bytes, trial_pages: list[int], chance: random.Random, count: int
) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies, each kind as often as the others.

    Args:
        original: A database.
        trial_pages: The pages, from 1, that hold trials.
        chance: Decides.
        count: How many.
    """
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        mutant = bytearray(original)
        while mutant == original:
            _damage(mutant, kind, trial_pages, chance)
        yield kind, bytes(mutant)


def _damage(mutant: bytearray, kind: str, trial_pages: list[int], chance: random.Random) -> None:
    page = int.from_bytes(mutant[16:18], "big")
    pages = len(mutant) // page
    start = chance.randrange(pages) * page
    if kind == "header":
        for _ in range(chance.randint(1, 3)):
            mutant[chance.randrange(HEADER)] = chance.randrange(256)
    elif kind == "truncated":
        del mutant[chance.randrange(len(mutant)) :]
    elif kind == "page zeroed":
        mutant[start : start + page] = bytes(page)
    elif kind == "page of noise":
        mutant[start : start + page] = chance.randbytes(page)
    elif kind == "page of another":
        other = chance.randrange(pages) * page
        mutant[start : start + page] = mutant[other : other + page]
    else:
        if kind == "bit of a trial":
            start = (chance.choice(trial_pages) - 1) * page
        at = start + chance.choice([i for i in range(page) if mutant[start + i]] or [0])
        mutant[at] ^= 1 << chance.randrange(8)


def pages_of_trials(path: Path) -> list[int]:
    """Return the first page of each table and index that belongs to trials or studies."""
    query = (
        "SELECT rootpage FROM sqlite_master WHERE rootpage > 0"
        " AND (tbl_name LIKE 'trial%' OR tbl_name LIKE 'studies' OR tbl_name LIKE 'study_%')"
    )
    with closing(sqlite3.connect(path)) as connection:
        return [page for (page,) in connection.execute(query)]


def by_storage(path: Path) -> Any:
    """Read all of a study through the storage."""
    storage = StudyStorage(f"sqlite:///{path}")
    try:
        study_id = storage.get_study_id_from_name(NAME)
        # Attributes of the study are read too, and not compared: no hash covers them, as plain Optuna
        # and its dashboard may change them at any time.
        storage.get_study_user_attrs(study_id)
        storage.get_study_system_attrs(study_id)
        trials = [_plain(trial.__dict__) for trial in storage.get_all_trials(study_id)]
        return trials, storage.get_study_directions(study_id)
    finally:
        storage.close()


def by_reader(path: Path) -> Any:
    """Read all of a study as a view does; no hash covers its metric and how many trials are wanted."""
    reader = Reader(f"sqlite:///{path}", NAME)
    try:
        seen = reader.snapshot()
        curves = reader.curves([trial.number for trial in seen.trials])
        best = seen.best and repr(seen.best)
        return [repr(trial) for trial in seen.trials], seen.directions, best, curves
    finally:
        reader.close()


def _plain(trial: dict[str, Any]) -> str:
    return repr({key: value for key, value in trial.items() if key != "_trial_id"})


WAYS = {"storage": by_storage, "reader": by_reader}


class Judge:
    """Reads damaged files and compares what comes back with the truth."""

    def __init__(self, path: Path) -> None:
        """Read the sound file first."""
        self._truth = {name: way(path) for name, way in WAYS.items()}
        self.verdicts: Counter[str] = Counter()
        self.findings: list[str] = []  # crashes and changed values

    def judge(self, kind: str, mutant: bytes, folder: Path, mark: str = "") -> None:
        """Read one damaged file in each way."""
        for name, way in WAYS.items():
            for old in folder.iterdir():
                old.unlink()
            path = folder / "study.db"
            path.write_bytes(mutant)
            verdict = self._verdict(name, way, path)
            self.verdicts[f"{kind}: {verdict.split(':')[0]}"] += 1
            if verdict not in ("same", "refused"):
                self.findings.append(f"{mark}{kind}, {name}: {verdict}")

    def _verdict(self, name: str, way: Any, path: Path) -> str:
        try:
            found = way(path)
        except StorageError as error:
            return "refused" if "\n" not in str(error) else f"message of several lines: {error}"
        except KeyError as error:
            if "No such study" in str(error) or "No study with" in str(error):  # as Optuna says it
                return "refused"
            return f"crash: {error!r}"
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return f"crash: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return "same" if found == self._truth[name] else "changed"
