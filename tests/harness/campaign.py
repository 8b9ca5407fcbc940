"""Kills a study's processes again and again, and compares what is left with a run that was left alone."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness import stored
from harness.lives import CASES, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from harness.nursery import Child, Nursery
    from harness.stored import Stored

LIVE = "harness.lives:live"
MOMENTS = 70  # of a trial with its commit there are about 30


@dataclass
class Tally:
    """What a campaign found."""

    kills: int = 0
    studies: int = 0
    acknowledged: int = 0  # trials whose ``tell`` had returned when the process was killed
    lost: int = 0  # of these
    torn: int = 0  # files that are not the study as it was after one of its trials
    different: int = 0  # studies that did not end like the one that was left alone
    findings: list[str] = field(default_factory=list)  # what was wrong, one line each
    moments: Counter[str] = field(default_factory=Counter)
    kills_of: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.studies} studies in {self.seconds:.0f} s:"
            f" {self.lost} of {self.acknowledged} acknowledged trials lost, {self.torn} torn,"
            f" {self.different} ended differently; {len(self.moments)} different moments"
        )

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, torn or different."""
        return self.lost == self.torn == self.different == 0


class Campaign:
    """Kills studies in one folder."""

    def __init__(self, nursery: Nursery, folder: Path, seed: int = 0) -> None:
        """Prepare; the seed decides about the moments."""
        self.tally = Tally()
        self._nursery = nursery
        self._folder = folder
        self._random = random.Random(seed)  # noqa: S311 - which moments, and the same ones each time
        self._references: dict[tuple[str, int | None], tuple[list[Any], float]] = {}

    def reference(self, case: str, trials: int | None = None) -> tuple[list[Any], float]:
        """Return what an uninterrupted process says of each trial, and its seconds."""
        if (case, trials) not in self._references:
            path = self.new_file()
            begin = time.monotonic()
            said = self._nursery.run(LIVE, path=str(path), case=case, trials=trials)
            self._references[case, trials] = said, time.monotonic() - begin
            path.unlink()
        return self._references[case, trials]

    def new_file(self) -> Path:
        """Return a file with a database in it that has no study yet."""
        template = self._folder / "template.db"
        if not template.exists():
            self._nursery.run("harness.campaign:make", path=str(template))
        path = self._folder / f"{self.tally.studies}-{self._random.getrandbits(40)}.db"
        shutil.copy(template, path)
        return path

    def kill_study(self, case: str, *, at_random_times: bool, most: int = 1000) -> None:
        """Tune one study to its end through so many kills, at most one in each trial."""
        said, seconds = self.reference(case)
        begin = time.monotonic()
        path = self.new_file()
        acks: list[Any] = []
        for life in range(most + 1):
            if life == most:
                child = self._nursery.spawn(LIVE, path=str(path), case=case)
                survived = self._listen(child, acks)
            elif at_random_times:
                child = self._nursery.spawn(LIVE, path=str(path), case=case)
                survived = self._kill_later(child, acks, self._random.uniform(0, seconds))
            else:
                moment = self._random.randint(1, MOMENTS)
                child = self._nursery.spawn(LIVE, path=str(path), case=case, kill_at=moment, after_acks=1)
                survived = self._listen(child, acks)
            self._nursery.bury(child)
            if survived:
                break
            self.tally.kills += 1
            self.tally.kills_of[case] += 1
            self.check(case, path, said, acks)
        self.finish(case, path, said, acks)
        self.tally.seconds += time.monotonic() - begin

    def kill_at(self, moment: int, case: str, trials: int, path: Path) -> bool:
        """Kill a study once, at one moment of a life, and then let it end; False if it ended before."""
        said, _ = self.reference(case, trials)
        begin = time.monotonic()
        acks: list[Any] = []
        arguments = {"path": str(path), "case": case, "trials": trials}
        child = self._nursery.spawn(LIVE, **arguments, kill_at=moment)
        survived = self._listen(child, acks)
        self._nursery.bury(child)
        if not survived:
            self.tally.kills += 1
            if path.exists():
                self.check(case, path, said, acks)
            else:
                self.tally.lost += len(acks)
            acks += self._nursery.run(LIVE, **arguments)
        self.finish(case, path, said, acks)
        self.tally.seconds += time.monotonic() - begin
        return not survived

    def _kill_later(self, child: Child, acks: list[Any], delay: float) -> bool:
        """Kill a child so many seconds after its first trial; tell whether it ended by itself before."""
        first = child.hear()
        if first is None:
            return True
        acks.append(first)
        deadline = time.monotonic() + delay
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = child.hear(left)
            except TimeoutError:
                break
            if message is None:
                return True
            acks.append(message)
        child.kill()
        acks.extend(child.hear_all())  # what it had said before
        self.tally.moments["at random"] += 1
        return False

    def _listen(self, child: Child, acks: list[Any]) -> bool:
        """Hear a child out; tell whether it ended by itself."""
        messages = child.hear_all()
        if messages and "killed" in messages[-1]:
            self.tally.moments[re.sub(r"\d+", "", messages.pop()["killed"])] += 1
            acks += messages
            return False
        acks += messages
        return True

    def check(self, case: str, path: Path, said: list[Any], acks: list[Any]) -> Stored:
        """Compare a file right after a kill with the uninterrupted run as it was after so many trials."""
        tally = self.tally
        found = stored.read(path, NAME)
        count = len(found.trials)
        tally.acknowledged += len(acks)
        kept = dict(zip(found.numbers, found.trials, strict=True))
        tally.lost += sum(kept.get(ack["number"]) != ack["facts"] for ack in acks)
        whole = {
            "numbers": found.numbers == list(range(count)),
            "trials": found.trials == [one["facts"] for one in said[:count]],
            "more than one unacknowledged": count <= len(acks) + 1,
            "integrity": found.integrity == "ok",
            "orphans": found.orphans == 0,
            "commits": found.in_commits == count,
            "attributes": count == 0 or found.attributes == said[count - 1]["attributes"],
        }
        wrong = [name for name, holds in whole.items() if not holds]
        if wrong:
            tally.torn += 1
            tally.findings.append(f"{case} after {count} of {len(said)} trials: {', '.join(wrong)}")
        acks[:] = said[:count]  # one that was committed and not acknowledged is part of the study from now on
        return found

    def finish(self, case: str, path: Path, said: list[Any], acks: list[Any]) -> None:
        """Compare a study at its end with the uninterrupted one."""
        tally = self.tally
        tally.studies += 1
        before = tally.torn
        found = self.check(case, path, said, acks)
        tally.different += tally.torn > before or len(found.trials) != len(said)
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)

    def spread(self, kills: int, cases: list[str] | None = None) -> Tally:
        """Kill studies of all cases in turn, half at random times, until there were so many kills."""
        names = cases or [name for name in CASES if name != "everything"]
        most = kills // (2 * len(names)) + 1
        turn = 0
        while self.tally.kills < kills:
            name = names[turn % len(names)]
            self.kill_study(name, at_random_times=turn // len(names) % 2 == 1, most=most)
            turn += 1
        return self.tally


def make(_: object, *, path: str) -> None:
    """Make a database, as the job of a child."""
    from optuna_nb.storage.studies import StudyStorage

    StudyStorage(f"sqlite:///{path}").close()
