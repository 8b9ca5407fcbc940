"""The poller, driven by hand and in its thread."""

import threading
import time

import pytest

from display.example import PlayedStudy, boosting, study
from harness.waiting import until
from optuna_nb.display.poller import Poller
from optuna_nb.errors import StorageError


class Source:
    """Plays back answers: a snapshot, None, or an error that is raised."""

    def __init__(self, answers):
        self.answers, self.asked, self.closed = list(answers), 0, False

    def poll(self):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def snapshot(self):
        return study(boosting(3))

    def close(self):
        self.closed = True


class View:
    """Writes down what it is told."""

    def __init__(self, pace=0.01):
        self.told, self.every = [], pace

    def pace(self):
        return self.every

    def look(self, snapshot):
        self.told.append(("look", None if snapshot is None else snapshot.done))

    def trouble(self, error):
        self.told.append(("trouble", None if error is None else str(error)))

    def broken(self, text):
        self.told.append(("broken", text))


def watch(source, view, seconds=0.2):
    poller = Poller(source, view)
    poller.start()
    time.sleep(seconds)
    poller.stop()
    return poller


def test_what_is_new_is_shown_in_order():
    view = View()
    watch(Source([study(boosting(n)) for n in (1, 2, 3)]), view)
    assert [done for kind, done in view.told if kind == "look" and done] == [1, 2, 3]


def test_a_view_that_nobody_sees_is_not_asked_for_before_it_is_woken():
    source, view = Source([]), View(pace=None)
    poller = Poller(source, view)
    poller.start()
    time.sleep(0.3)
    assert source.asked == 1  # the one look at the start
    poller.wake()
    until(lambda: source.asked == 2, 10)
    poller.stop()


def test_trouble_is_told_and_so_is_its_end(monkeypatch):
    monkeypatch.setattr("optuna_nb.display.poller.RETRY_SECONDS", 0.01)
    view = View()
    watch(Source([StorageError("the file is locked"), None]), view)
    told = [entry for entry in view.told if entry[0] == "trouble"]
    assert told == [("trouble", "the file is locked"), ("trouble", None)]


def test_a_bug_in_the_view_is_shown_in_the_view_and_ends_the_watch():
    view, source = View(), Source([])
    view.look = lambda _snapshot: 1 / 0
    poller = watch(source, view)
    assert view.told == [("broken", "The panel stopped: ZeroDivisionError: division by zero")]
    assert not poller.is_running
    assert source.closed


def test_settle_returns_when_the_newest_state_has_been_shown():
    played, view = PlayedStudy(100, 1000), View(pace=None)
    poller = Poller(played.reader(), view)
    poller.start()
    time.sleep(0.3)
    poller.settle()
    assert ("look", 100) in view.told
    poller.stop()


def test_settle_wakes_a_poller_that_sleeps_and_does_not_sleep_itself():
    source, view = Source([]), View(pace=None)
    poller = Poller(source, view)
    poller.start()
    time.sleep(0.2)
    asked, begin = source.asked, time.monotonic()
    poller.settle()
    assert time.monotonic() - begin < 0.5
    assert source.asked >= asked + 2
    poller.stop()


def test_stop_ends_the_thread_and_closes_the_source():
    source = Source([])
    poller = watch(source, View(pace=None))
    assert source.closed
    assert not poller.is_running
    assert not [t for t in threading.enumerate() if t.name == "optuna_nb-poller"]


@pytest.mark.parametrize("pace", [0.0, 0.01])
def test_an_eager_view_is_served_until_it_is_stopped(pace):
    source = Source([])
    watch(source, View(pace))
    assert source.asked > 5
