"""The timeline: every run and kind has its place and its words, however many there are."""

import re
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from display.example import BEGIN, PlayedReader, PlayedStudy, boosting, study
from display.test_tabs import Elements
from optuna_nb.display.document import document
from optuna_nb.display.tabs.catalogue import TABS
from optuna_nb.display.tabs.choices import Choices
from optuna_nb.display.time_axis import TimeAxis
from optuna_nb.display.timeline import in_words, timeline
from optuna_nb.records import EventView, RunEvents, RunView

OURS = (
    *("started", "paused", "resumed", "stopped", "killed", "retried", "pruned"),
    *("worker joined", "worker lost"),
)


def run(index=1, seconds=100.0, begin=BEGIN, **fields):
    end = begin + timedelta(seconds=seconds)
    made = RunView(
        index, "churn@1", "completed", "bayesian", 9, begin, end, {}, {}, 0.5, "", "", (), None, seconds
    )
    return replace(made, **fields)


def happened(*events, begin=BEGIN):
    """Make events of (kind, seconds after the begin, payload)."""
    found = [
        EventView(kind, begin + timedelta(seconds=at), "kernel", dict(payload))
        for kind, at, *payload in events
    ]
    counts = {kind: sum(e.kind == kind for e in found) for kind in dict.fromkeys(e.kind for e in found)}
    return RunEvents(counts, found)


def titles(html):
    return re.findall(r"<title>(.*?)</title>", html, flags=re.DOTALL)


def places(html):
    return [float(x) for x in re.findall(r'<g transform="translate\(([\d.]+) [\d.]+\)"><title>', html)]


def test_every_kind_has_a_shape_of_its_own_and_is_named_and_counted():
    html = timeline([run()], {1: happened(*((kind, 9 * i) for i, kind in enumerate(OURS)))}, active=False)
    legend = re.findall(r'<g transform="[^"]+"><path d="([^"]+)"[^>]*/><text[^>]*>(.*?)</text>', html)
    assert sorted(text for _, text in legend) == sorted(f"{kind} 1" for kind in OURS)
    assert len({path for path, _ in legend}) == len(OURS)
    for kind in OURS:
        assert any(said.startswith(f"{kind} at ") for said in titles(html))


def test_the_user_s_kinds_are_told_apart_by_letters():
    events = happened(("exchange", 5), ("swap", 50), ("exchange", 90))
    text = Elements(timeline([run()], {1: events}, active=False)).text
    assert "A exchange 2" in text
    assert "B swap 1" in text


def test_the_words_under_the_pointer_say_trial_and_payload():
    events = happened(("exchange", 5, ("trial", 7), ("temperature", 0.25)))
    (said,) = [t for t in titles(timeline([run()], {1: events}, active=False)) if "exchange" in t]
    assert "trial 7" in said
    assert "temperature 0.25" in said


def test_what_would_lie_upon_each_other_becomes_one_mark_and_loses_no_words():
    events = happened(*(("exchange", 50 + i / 100, ("trial", i)) for i in range(5)))
    html = timeline([run()], {1: events}, active=False)
    assert len(places(html)) == 1
    assert [said.count("exchange") for said in titles(html) if "exchange" in said] == [5]


def test_marks_of_different_kinds_at_one_moment_stand_side_by_side():
    html = timeline([run()], {1: happened(("retried", 5), ("worker joined", 5))}, active=False)
    first, second = places(html)
    assert second - first >= 9


def test_time_without_a_run_is_cut_out_and_said():
    later = BEGIN + timedelta(days=3)
    html = timeline([run(), run(2, begin=later)], {}, active=False)
    bars = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', html)]
    assert min(bars) > 300
    assert "2 d 23 h without a run" in titles(html)
    assert "cut out" in html


def test_a_run_whose_kernel_died_ends_where_it_was_last_at_work():
    found = run(1, 86400 * 3, status="failed", error="kernel ended")
    events = happened(("started", 0), ("killed", 86400 * 3))
    html = timeline([replace(found, seconds=60.0)], {1: events}, active=False)
    assert any("1 min 00 s" in said and "kernel ended" in said for said in titles(html))
    assert any(said.startswith("killed") for said in titles(html))


def test_the_table_says_how_long_a_killed_run_was_at_work():
    class Source(PlayedReader):
        def runs(self):
            return [replace(run(1, 86400 * 3, status="failed", error="kernel ended"), seconds=60.0)]

        def events(self):
            return {1: happened(("started", 0), ("killed", 86400 * 3))}

    text = Elements(TABS["runs"][1](study(boosting(9)), Source(PlayedStudy(9, 1e9)), Choices())).text
    assert "1 min 00 s" in text.partition("tuning run")[2]
    assert "3 d" not in text.partition("tuning run")[2]


def test_a_run_in_progress_reaches_to_this_moment():
    going = run(status="running", completed=None)
    now = BEGIN + timedelta(seconds=754)
    assert "12 min 34 s" in timeline([going], {}, active=True, now=now)
    assert "12 min 34 s" not in timeline([going], {}, active=False, now=now)


def test_thousands_of_pruned_trials_are_a_few_ticks_and_the_full_count():
    few = happened(*(("pruned", i / 4) for i in range(390)), ("paused", 50))
    events = RunEvents({"pruned": 12_345, "paused": 1}, few.events)
    html = timeline([run()], {1: events}, active=False)
    assert "pruned 12,345" in html
    assert "391 of 12,346 events are drawn" in html
    assert len(html) < 12_000
    assert in_words(events) == "12,345 pruned, 1 paused"


def test_where_nothing_is_recorded_words_say_so():
    assert "No event of these runs is recorded" in timeline([run()], {}, active=False)
    assert "No timeline" in timeline([run(started=None)], {}, active=False)
    assert in_words(None) == "\N{EN DASH}"


def test_many_runs_show_the_newest():
    runs = [run(i, begin=BEGIN + timedelta(hours=i)) for i in range(1, 101)]
    html = timeline(runs, {}, active=False)
    assert html.count("<rect") == 30
    assert "newest 30 of 100 runs" in html
    assert "run 100 " in html


def test_an_axis_keeps_order_and_stays_on_the_drawing():
    spans = [(0.0, 0.0), (5.0, 6.0), (1e6, 1e6 + 30), (1e6 + 20, 1e6 + 50), (3e6, 3e6)]
    axis = TimeAxis(spans, 100, 800)
    moments = sorted(moment for span in spans for moment in span)
    xs = [axis.x(moment) for moment in moments]
    assert xs == sorted(xs)
    assert xs[0] >= 100
    assert xs[-1] <= 800
    assert all(b - a >= 96 for (a, _), (b, _) in zip(axis.ticks(0), axis.ticks(0)[1:], strict=False))


def test_the_labels_of_the_axis_stay_on_the_drawing_and_apart():
    runs = [run(i, 3.0 * i, begin=BEGIN + timedelta(hours=i * i)) for i in range(1, 31)]
    html = timeline(runs, {}, active=False)
    found = [
        (float(x), text) for x, text in re.findall(r'<text x="([\d.]+)" [^>]*>([^<]*:\d\d)</text>', html)
    ]
    assert len(found) > 2
    assert all(x + 7 * len(text) <= 827 for x, text in found)  # as wide as letters of a broad font
    assert all(x + 7 * len(text) <= after for (x, text), (after, _) in pairwise(found))


def test_the_tab_says_which_workers_joined_but_of_no_thread_of_the_kernel():
    class Source(PlayedReader):
        def events(self):
            found = happened(("started", 0), *(("worker joined", i) for i in range(4)), ("pruned", 9))
            workers = ("kernel", "kernel", "job 2", "host-a 1", "host-b 1", "kernel")
            events = [replace(e, worker=w) for e, w in zip(found.events, workers, strict=True)]
            return {1: replace(found, events=events)}

    text = Elements(TABS["runs"][1](study(boosting(9)), Source(PlayedStudy(9, 1e9)), Choices())).text
    assert "worker joined 2" in text
    assert "host-a 1" in text
    assert "job 2" not in text


def test_the_tab_and_the_report_show_it():
    reader = PlayedStudy(40, 1e9).reader()
    html = TABS["runs"][1](study(boosting(9)), reader, Choices())
    assert "Timeline of 2 tuning runs with 7 events" in html  # that its own thread joined is none
    assert "worker joined" not in html
    assert "1 paused, 1 resumed, 1 exchange" in Elements(html).text
    assert "Timeline of 2 tuning runs" in document(study(boosting(9)), reader)


def test_it_is_drawn_in_a_moment():
    runs = [run(i, begin=BEGIN + timedelta(hours=i)) for i in range(1, 31)]
    events = {
        r.index: happened(*(("pruned" if n % 2 else f"k{n}", n * 7) for n in range(14)), begin=r.started)
        for r in runs
    }
    begin = time.thread_time()
    html = timeline(runs, events, active=False)
    assert time.thread_time() - begin < 0.2
    assert len(html) < 150_000
