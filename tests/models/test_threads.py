"""Folds in threads, read in order."""

import contextlib
import threading
import time

import pytest

from optuna_nb.models import threads
from optuna_nb.models.shared import Shared
from optuna_nb.models.threads import fitting_threads, in_order
from optuna_nb.tuning.dropping import Droppable, TrialDropped, asked_to_end


class Polite:
    ends_when_asked = True


@pytest.mark.parametrize(
    ("cells", "expected"), [(10, 1), (249_999, 1), (250_000, 2), (10**6, 8), (10**9, 16)]
)
def test_a_fit_gets_as_many_threads_as_its_cells_keep_busy(monkeypatch, cells, expected):
    monkeypatch.setattr(threads, "usable_cores", lambda: 16)
    assert fitting_threads(cells) == expected


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_order_whatever_ends_first(workers):
    def fit(number, _):
        time.sleep(0.02 * (3 - number % 3))
        return number

    assert list(in_order(fit, 6, workers)) == [0, 1, 2, 3, 4, 5]


def test_closing_tells_those_at_work_and_waits_for_them():
    ended = []

    def fit(number, cancelled):
        if number:
            cancelled.wait(10)
            ended.append(number)
        return number

    with contextlib.closing(in_order(fit, 4, 2)) as results:
        assert next(results) == 0
    assert ended == [1]


def test_no_more_than_so_many_are_at_work():
    at_work, most, lock = set(), [], threading.Lock()

    def fit(number, _):
        with lock:
            at_work.add(number)
            most.append(len(at_work))
        time.sleep(0.01)
        with lock:
            at_work.discard(number)

    list(in_order(fit, 8, 2))
    assert max(most) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_fold_is_raised_where_it_is_read(workers):
    def fit(number, _):
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(in_order(fit, 3, workers))


def test_shared_data_are_made_once_also_when_several_threads_ask():
    shared, made = Shared(1), []

    def make():
        time.sleep(0.02)
        made.append(1)
        return object()

    found = []
    threads = [threading.Thread(target=lambda: found.append(shared.get("k", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert len(set(map(id, found))) == 1


def test_shared_data_beyond_the_most_make_room():
    shared = Shared(most=2)
    for key in (1, 2, 1, 3):
        shared.get(key, lambda key=key: [key])
    made = []
    shared.get(1, lambda: made.append("1 again"))
    shared.get(2, lambda: made.append("2 again"))

    assert made == ["2 again"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_end_of_the_folds_does_not_say_that_their_trial_is_dropped(workers):
    with Droppable().evaluating(Polite()):
        assert list(in_order(lambda number, _: number, 3, workers)) == [0, 1, 2]
        assert not asked_to_end().is_set()


@pytest.mark.parametrize("workers", [1, 2])
def test_stop_now_reaches_the_folds_at_work_and_ends_their_trial(workers):
    droppable, seen = Droppable(), []

    def fit(number, cancelled):
        if number == 1:
            droppable.drop_all()
            seen.append(cancelled.is_set())
        return number

    with pytest.raises(TrialDropped), droppable.evaluating(Polite()):
        for _ in in_order(fit, 50, workers):
            pass
    assert seen == [True]
