"""However many processes want a study, one writes it; who has lost its lease in its sleep does not."""

import signal
import sqlite3
import threading
import time
from contextlib import closing

import optuna
import pytest

from optuna_nb.errors import LeaseLostError, LockedStudyError, StudyNotFoundError
from optuna_nb.storage import lease
from optuna_nb.storage.studies import StudyStorage


def numbers_in(path):
    with closing(sqlite3.connect(path)) as connection:
        return [n for (n,) in connection.execute("SELECT number FROM trials ORDER BY trial_id")]


def everything_in(path):
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump())


def race(nursery, path, rounds):
    rivals = [nursery.spawn("harness.rivals:contend", path=str(path), seed=seed) for seed in range(2)]
    for rival in rivals:  # one after the other, as both make the study
        assert rival.hear() == "ready"
    slowest, wins = 0.0, [0, 0]
    for number in range(rounds):
        first = number % 2
        for rival in (rivals[first], rivals[1 - first]):
            rival.say("go")
        said = [rival.hear() for rival in rivals]
        assert sum(one["won"] for one in said) == 1, f"race {number}: {said}"
        winner = said[1]["won"]
        wins[winner] += 1
        slowest = max(slowest, said[1 - winner]["seconds"])
        rivals[winner].say("write")
        assert rivals[winner].hear() == number
        assert rivals[winner].hear() == "released"
    for rival in rivals:
        rival.say("end")
        assert rival.hear_all() == []
    assert numbers_in(path) == list(range(rounds))
    return slowest, wins


def test_of_two_kernels_one_gets_the_study_and_the_other_is_refused_at_once(nursery, path):
    slowest, _ = race(nursery, path, 40)
    assert slowest < 1


@pytest.mark.slow
def test_in_1000_races_no_number_is_given_twice_and_the_loser_waits_less_than_a_second(nursery, path):
    slowest, wins = race(nursery, path, 1000)
    print(f"slowest refusal {slowest:.3f} s, wins {wins}")
    assert slowest < 1
    assert min(wins) > 20  # or it was no race


@pytest.mark.slow
def test_two_kernels_that_make_the_same_study_at_once_make_one(nursery, tmp_path):
    for number in range(30):
        path = tmp_path / f"{number}.db"
        rivals = [
            nursery.spawn("harness.rivals:make_and_own", path=str(path), seed=seed) for seed in range(2)
        ]
        assert [rival.hear() for rival in rivals] == ["ready", "ready"]
        for rival in rivals:
            rival.say("go")
        assert sorted(rival.hear() for rival in rivals) == [False, True]
        for rival in rivals:
            nursery.bury(rival)
        assert numbers_in(path) == [0]
    assert sorted(file.name for file in tmp_path.iterdir() if file.name.endswith(".new")) == []


LEASE = 0.1


def test_an_owner_that_slept_for_ten_leases_cannot_write(nursery, path):
    owner = nursery.spawn("harness.rivals:own", path=str(path))
    assert owner.hear() == "owned"
    owner.say("tell")
    assert owner.hear() == "done"
    owner.signal(signal.SIGSTOP)
    asleep = time.monotonic()
    heir = nursery.spawn("harness.rivals:succeed", path=str(path), lease_seconds=LEASE)
    assert heir.hear()["seconds"] < 10 * LEASE + 1
    assert heir.hear() == [1, 2]
    time.sleep(max(0.0, asleep + 10 * LEASE - time.monotonic()))
    before = everything_in(path)
    owner.signal(signal.SIGCONT)
    for order in ("tell", "set", "show"):
        owner.say(order)
        assert (order, owner.hear()) == (order, "lost")
    for order in ("tick", "release"):  # which need not write anything
        owner.say(order)
        assert owner.hear() in {"done", "lost"}
    assert everything_in(path) == before
    assert numbers_in(path) == [0, 1, 2]


def test_an_owner_that_runs_is_never_succeeded_however_short_the_lease(nursery, path):
    owner = nursery.spawn("harness.rivals:own", path=str(path))
    assert owner.hear() == "owned"
    heir = nursery.spawn("harness.rivals:succeed", path=str(path), lease_seconds=0.01)
    refused = heir.hear()
    assert "another kernel is running this study" in refused["refused"]
    assert f"process {owner.pid}" in refused["refused"]
    assert refused["seconds"] < 1


def test_an_owner_that_sleeps_within_a_commit_keeps_the_study(nursery, path):
    owner = nursery.spawn("harness.rivals:own", path=str(path))
    assert owner.hear() == "owned"
    owner.say("stop before the next commit")
    assert owner.hear() == "done"
    owner.say("tell")
    with pytest.raises(TimeoutError):
        owner.hear(timeout=0.5)
    heir = nursery.spawn("harness.rivals:succeed", path=str(path), lease_seconds=LEASE, busy_seconds=0.2)
    assert "locked by another program" in heir.hear()["refused"]
    owner.signal(signal.SIGCONT)
    assert owner.hear() == "done"
    assert numbers_in(path) == [0]


def test_the_study_of_a_killed_owner_is_free_at_once(nursery, path):
    owner = nursery.spawn("harness.rivals:own", path=str(path))
    assert owner.hear() == "owned"
    owner.kill()
    heir = nursery.spawn("harness.rivals:succeed", path=str(path), lease_seconds=60)
    assert heir.hear()["seconds"] < 1
    assert heir.hear() == [0, 1]


def owned_in_another_container(storage):
    """Make a study whose owner only its heartbeat can tell alive."""
    study = optuna.create_study(storage=storage, study_name="s")
    storage.acquire(study._study_id)
    node, boot, _ = lease.host_name().split(" ")
    storage.database.connection.execute(
        "UPDATE study_status SET host = ?, pid = 1", (f"{node} {boot} pid:[1]",)
    )
    return study


def test_an_owner_in_another_container_of_this_machine_is_asked_by_its_heartbeat(storage, path):
    study = owned_in_another_container(storage)
    ended = threading.Event()

    def beat():
        while not ended.wait(0.05):
            list(storage.tick(study._study_id))

    beats = threading.Thread(target=beat)
    with closing(StudyStorage(f"sqlite:///{path}")) as other:
        beats.start()
        try:
            with pytest.raises(LockedStudyError, match="another kernel"):
                lease.acquire(other.database, study._study_id, lease_seconds=2 * lease.BEAT_SECONDS)
        finally:
            ended.set()
            beats.join()
        assert lease.acquire(other.database, study._study_id, lease_seconds=0.2).succeeded_dead_owner
        with pytest.raises(LeaseLostError):
            study.tell(study.ask(), 1.0)
    storage._owned.clear()


def test_a_study_that_is_deleted_while_its_owner_is_watched_is_not_found(storage, path):
    study = owned_in_another_container(storage)
    with closing(StudyStorage(f"sqlite:///{path}")) as other:
        gone = threading.Timer(0.1, lambda: storage.database.connection.execute("DELETE FROM study_status"))
        gone.start()
        with pytest.raises(StudyNotFoundError, match="deleted meanwhile"):
            lease.acquire(other.database, study._study_id, lease_seconds=5)
        gone.join()
    storage._owned.clear()


def test_an_owner_before_this_machine_was_started_anew_is_gone():
    node, _, space = lease.host_name().split(" ")
    assert lease.is_alive(lease.Owner(f"{node} another-boot {space}", 1, 0.0)) is False
    assert lease.is_alive(lease.Owner("elsewhere another-boot pid:[1]", 1, 0.0)) is None
