"""One line of progress: plain for a notebook and a log, with a bar for a terminal."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from optuna_nb.display import figures, wording
from optuna_nb.records import StudyState, TrialOutcome, base_name

if TYPE_CHECKING:
    from optuna_nb.records import StudySnapshot

_EIGHTHS = " ▏▎▍▌▋▊▉"


def line(snapshot: StudySnapshot) -> str:
    """Say in one line how a study is doing.

    Returns:
        ``churn@1 42/100 best 0.98 12.3 trials/s ETA 5 s``; the state in words
        unless it is running, pruned and failed trials where there are some.
        No line break and no terminal escape, whatever the study is called.
    """
    words = [wording.clip_middle(snapshot.name, 60)]
    if snapshot.state is not StudyState.RUNNING:
        words.append(str(snapshot.state))
    words.append(_count(snapshot))
    apart = [
        f"{snapshot.count(outcome)} {outcome}"
        for outcome in (TrialOutcome.PRUNED, TrialOutcome.FAILED)
        if snapshot.count(outcome)
    ]
    if apart:
        words.append(f"({', '.join(apart)})")
    best = [figures.best_value(snapshot, index) for index in range(len(snapshot.directions))]
    if any(value is not None for value in best):
        words.append(f"best {', '.join(wording.number(value) for value in best)}")
    if snapshot.state is StudyState.PAUSED:  # it may wait for ever: no rate, no end in sight
        words[-1] += f"; `%tune resume {_bare(snapshot)}` goes on"
        return " ".join(words)
    if snapshot.rate and snapshot.state.is_active:
        words.append(wording.rate(snapshot.rate))
    if snapshot.eta is not None:
        words.append(f"ETA {wording.duration(snapshot.eta)}")
    return " ".join(words)


def _count(snapshot: StudySnapshot) -> str:
    if snapshot.target is None:
        return str(snapshot.done)
    if snapshot.done > snapshot.target:
        return wording.progress(snapshot)
    return f"{snapshot.done}/{snapshot.target}"


def _bare(snapshot: StudySnapshot) -> str:
    """Name the study as a verb takes it."""
    return wording.clip_middle(base_name(snapshot.name), 60)


def bar(snapshot: StudySnapshot, width: int | None = None) -> str:
    """Draw one line as tqdm does, for a terminal of ``width`` columns (default: the one at hand).

    Returns:
        ``churn@1  42%|████▏     | 42/100 [12 s<17 s, 3.4 trials/s, best 0.98]``, never
        wider than the terminal; without a total, what ``line`` says.
    """
    columns = (width or shutil.get_terminal_size().columns) - 1
    if not snapshot.target:
        return line(snapshot)[:columns]
    share = min(snapshot.done / snapshot.target, 1.0)
    best = figures.best_value(snapshot, 0)
    facts = [
        *(
            [f"`%tune resume {_bare(snapshot)}` goes on"]
            if snapshot.state is StudyState.PAUSED
            else [
                f"{wording.duration(snapshot.elapsed)}<{wording.duration(snapshot.eta)}",
                wording.rate(snapshot.rate),
            ]
        ),
        *([] if best is None else [f"best {wording.number(best)}"]),
        *([] if snapshot.state is StudyState.RUNNING else [str(snapshot.state)]),
    ]
    left = f"{wording.clip_middle(snapshot.name, 30)} {100 * share:3.0f}%|"
    right = f"| {snapshot.done}/{snapshot.target} [{', '.join(facts)}]"
    room = min(columns - len(left) - len(right), 40)
    if room < 1:
        return (left + right)[:columns]
    eighths = round(share * room * 8)
    full, rest = divmod(eighths, 8)
    drawn = "█" * full + (_EIGHTHS[rest] if rest else "")
    return f"{left}{drawn:<{room}}{right}"
