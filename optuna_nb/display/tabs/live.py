"""The tab *Live*: the trials in flight with what they have reported, and the workers that run them."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from optuna_nb.display import labels, wording
from optuna_nb.display.tabs.choices import quiet
from optuna_nb.records import StudyState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna_nb.display.tabs.choices import Choices, Source
    from optuna_nb.records import Cluster, LiveTrial, StudySnapshot, WorkerView

_MOST, _PARAMS = 64, 30


def render(snapshot: StudySnapshot, _source: Source, _choices: Choices) -> str:
    """List the trials in flight, and the workers of a cluster."""
    workers = "" if snapshot.cluster is None else _workers(snapshot.cluster, snapshot.live)
    if not snapshot.live:
        if snapshot.state is StudyState.RUNNING:
            return workers + quiet("Just now the study is between two trials")
        none = "No trial is in flight: the" if snapshot.state.is_active else "The"
        return workers + quiet(f"{none} study {wording.state(snapshot.state)}")
    runs = {n: w.name for w in (snapshot.cluster.workers if snapshot.cluster else ()) for n in w.trials}
    rows = "".join(_row(trial, runs.get(trial.number, "")) for trial in list(snapshot.live)[:_MOST])
    heads = _heads(
        ["trial", "for", "step", "last value", "worker", "parameters"], text={"worker", "parameters"}
    )
    return workers + (
        '<div class="onb-scroll onb-tall" data-onb-key="live" tabindex="0" role="region"'
        ' aria-label="Trials in flight"><table class="onb-table">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _workers(cluster: Cluster, live: Sequence[LiveTrial]) -> str:
    """Draw one row a worker: where it is, what it runs, how fast it is."""
    steps = {trial.number: trial.step for trial in live}
    heads = _heads(["worker", "host", "trial", "step", "memory", "done", "rate"], text={"worker", "host"})
    rows = "".join(_worker(worker, steps) for worker in cluster.workers)
    more = cluster.count - len(cluster.workers)
    return (
        '<div class="onb-scroll" data-onb-key="workers" tabindex="0" role="region" aria-label="Workers">'
        f'<table class="onb-table"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        + (quiet(f"and {more} more workers") if more > 0 else "")
        + _link(cluster.dashboard)
    )


def _worker(worker: WorkerView, steps: Mapping[int, int | None]) -> str:
    trials = ", ".join(map(str, worker.trials)) or wording.NOTHING
    at = ", ".join(str(step) for n in worker.trials if (step := steps.get(n)) is not None) or wording.NOTHING
    memory = wording.NOTHING if worker.memory is None else f"{worker.memory / 2**20:,.0f} MiB"
    return (
        f'<tr><th scope="row" class="onb-text">{labels.html(worker.name, 40)}</th>'
        f'<td class="onb-text">{labels.html(worker.host, 40)}</td><td>{trials}</td><td>{at}</td>'
        f"<td>{memory}</td><td>{worker.done}</td><td>{wording.rate(worker.rate)}</td></tr>"
    )


def _link(address: str) -> str:
    """Link to the cluster's own pages; only a click asks for them."""
    if not address.startswith(("http://", "https://")):
        return ""
    target = escape(address, quote=True)
    return (
        '<p class="onb-quiet" style="margin-top:.4em">'
        f'<a href="{target}" target="_blank" rel="noopener noreferrer">'
        "Dask dashboard</a></p>"
    )


def _row(trial: LiveTrial, worker: str) -> str:
    seconds = max((datetime.now(UTC) - trial.started).total_seconds(), 0.0)
    params = ", ".join(
        f"{wording.clip_middle(name, 24)} {wording.parameter(value, 20)}"
        for name, value in list(trial.params.items())[:_PARAMS]
    )
    return (
        f'<tr class="onb-s-running"><th scope="row">{trial.number}</th><td>{wording.duration(seconds)}</td>'
        f"<td>{wording.NOTHING if trial.step is None else trial.step}</td>"
        f"<td>{wording.number(trial.value)}</td>"
        f'<td class="onb-text">{escape(wording.clip_middle(worker or "this kernel", 30))}</td>'
        f'<td class="onb-text">{escape(wording.clip(params or "none yet", 400))}</td></tr>'
    )


def _heads(names: Sequence[str], *, text: set[str]) -> str:
    """Draw the heads of columns; those of text stand to the left."""
    kinds = [(name, ' class="onb-text"' if name in text else "") for name in names]
    return "".join(f'<th scope="col"{left}>{name}</th>' for name, left in kinds)
