"""Threads that change the filters of warnings for a moment leave those of the kernel as they were."""

import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import optuna_nb
from optuna_nb.tuning.warning_filters import in_order

pytestmark = pytest.mark.skipif(
    bool(getattr(sys.flags, "context_aware_warnings", 0)), reason="Python keeps them apart itself"
)


@pytest.fixture
def actors():
    """Two threads that do one thing after the other, as they are told."""
    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(2)]
        yield [
            lambda act, *given, pool=pool, **named: pool.submit(act, *given, **named).result(10)
            for pool in pools
        ]


def overlap(actors, block_of_a, block_of_b):
    """Enter two blocks and leave them in the order in which they were entered."""
    a, b = actors
    a(block_of_a.__enter__)
    b(block_of_b.__enter__)
    a(block_of_a.__exit__, None, None, None)
    b(block_of_b.__exit__, None, None, None)


def test_blocks_of_two_threads_that_overlap_leave_the_filters_as_they_were(actors):
    before, content = warnings.filters, list(warnings.filters)
    with in_order():
        overlap(actors, warnings.catch_warnings(action="ignore"), warnings.catch_warnings(action="error"))
    assert warnings.filters is before
    assert warnings.filters == content


def test_without_that_they_do_not_which_is_what_it_is_for(actors):
    with warnings.catch_warnings():
        before = warnings.filters
        overlap(actors, warnings.catch_warnings(action="ignore"), warnings.catch_warnings(action="error"))
        assert warnings.filters is not before


def test_a_thread_changes_the_filters_of_its_own_block_only(actors):
    a, b = actors
    content = list(warnings.filters)
    with in_order():
        first, second = warnings.catch_warnings(), warnings.catch_warnings()
        a(first.__enter__)
        b(second.__enter__)
        own = warnings.filters
        a(warnings.resetwarnings)
        a(warnings.simplefilter, "error", UserWarning)
        assert own == content
        b(second.__exit__, None, None, None)
        assert [it[:3] for it in warnings.filters] == [("error", None, UserWarning)]
        a(first.__exit__, None, None, None)
        assert warnings.filters == content


def test_what_is_set_outside_of_blocks_counts_at_once_and_stays(actors):
    a, _ = actors
    with warnings.catch_warnings():
        with in_order():
            block = warnings.catch_warnings()
            a(block.__enter__)
            warnings.filterwarnings("ignore", "mine")
            assert warnings.filters[0][1].pattern == "mine"
            a(block.__exit__, None, None, None)
            assert [it[1].pattern for it in warnings.filters if it[1]].count("mine") == 1
        assert warnings.filters[0][1].pattern == "mine"


def test_a_block_sees_the_filters_of_the_block_around_it_in_its_own_thread(actors):
    a, b = actors
    with in_order():
        outer, other, inner = (warnings.catch_warnings() for _ in range(3))
        a(outer.__enter__)
        a(warnings.simplefilter, "ignore", ResourceWarning)
        b(other.__enter__)
        b(warnings.simplefilter, "error", ResourceWarning)
        a(inner.__enter__)
        assert warnings.filters[0][:3] == ("ignore", None, ResourceWarning)
        for act, block in ((a, inner), (b, other), (a, outer)):
            act(block.__exit__, None, None, None)


def test_recording_in_one_thread_ends_also_where_another_thread_leaves_last(actors):
    shows = warnings.showwarning
    with in_order():
        overlap(actors, warnings.catch_warnings(record=True), warnings.catch_warnings())
    assert warnings.showwarning is shows
    with warnings.catch_warnings(record=True, action="always") as seen:
        warnings.warn("heard", UserWarning, stacklevel=1)
    assert [str(it.message) for it in seen] == ["heard"]


def test_a_function_of_the_users_own_that_shows_warnings_stays(actors, monkeypatch):
    a, _ = actors
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def own(*_, **__):
        pass

    with in_order():
        block = warnings.catch_warnings()
        a(block.__enter__)
        warnings.showwarning = own
        a(block.__exit__, None, None, None)
    assert warnings.showwarning is own


def test_a_block_that_was_entered_before_a_study_may_be_left_during_it(actors):
    a, _ = actors
    before = warnings.filters
    around, within = warnings.catch_warnings(action="ignore"), warnings.catch_warnings()
    around.__enter__()
    with in_order():
        a(within.__enter__)
        around.__exit__(None, None, None)
        a(within.__exit__, None, None, None)
        assert warnings.filters is before
    assert warnings.filters is before


def test_a_block_whose_thread_was_ended_in_it_is_left_at_the_end_of_the_study():
    before = warnings.filters
    block = warnings.catch_warnings(action="ignore")
    with in_order():
        thread = threading.Thread(target=block.__enter__)
        thread.start()
        thread.join(10)
        assert warnings.filters is not before
    assert warnings.filters is before


def test_pythons_own_functions_are_back_after_the_last_study_and_the_last_block():
    own = (warnings.catch_warnings.__enter__, warnings.simplefilter, warnings.resetwarnings)
    with in_order():
        with in_order():
            assert warnings.simplefilter is not own[1]
        assert warnings.simplefilter is not own[1]
        block = warnings.catch_warnings()
        block.__enter__()
    assert warnings.simplefilter is not own[1]
    block.__exit__(None, None, None)
    assert (warnings.catch_warnings.__enter__, warnings.simplefilter, warnings.resetwarnings) == own


def test_a_forest_whose_folds_are_fitted_by_two_threads_leaves_the_filters_alone(tmp_path):
    from sklearn.datasets import load_wine

    before, content = warnings.filters, list(warnings.filters)
    study = optuna_nb.autotune(
        "random_forest",
        *load_wine(return_X_y=True),
        trials=3,
        fold_jobs=2,
        race=False,
        refit=False,
        fix={"n_estimators": 10},
        storage=f"sqlite:///{tmp_path}/t.db",
    )
    study.wait()
    study._background()._thread.join(10)
    assert len(study.study.trials) == 3
    assert warnings.filters is before
    assert warnings.filters == content
