"""A process that is killed loses no trial that it had told of, and the study ends as if nothing had been."""

import json
import sqlite3
from contextlib import closing

import optuna
import pytest

from harness import stored
from harness.campaign import LIVE, Campaign
from harness.lives import CASES, NAME
from harness.studies import trajectory

WRITTEN = [
    "INSERT INTO trials",
    "INSERT INTO trial_params",
    "INSERT INTO trial_values",
    "INSERT INTO trial_intermediate_values",
    "INSERT INTO trial_user_attributes",
    "INSERT INTO trial_system_attributes",
    "INSERT INTO trial_commits",
    "INSERT INTO study_user_attributes",
    "INSERT INTO study_system_attributes",
    "UPDATE study_status",
    "BEGIN",
    "COMMIT",
    "PRAGMA wal_checkpoint",
]


def test_ten_kills_lose_nothing_and_change_nothing(nursery, tmp_path):
    tally = Campaign(nursery, tmp_path).spread(10, ["random", "tpe", "cmaes in a variable", "nsgaii"])
    assert tally.kills >= 10
    assert tally.is_clean, tally.findings


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_100_kills_over_all_samplers_lose_nothing_and_change_nothing(nursery_with_torch, tmp_path):
    tally = Campaign(nursery_with_torch, tmp_path, seed=1).spread(100)
    print(tally)
    assert tally.kills >= 100
    assert set(tally.kills_of) == set(CASES) - {"everything"}
    assert tally.is_clean, tally.findings


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_before_or_after_any_statement_of_a_study_loses_nothing(nursery, tmp_path):
    campaign = Campaign(nursery, tmp_path, seed=2)
    campaign.reference("everything", 3)
    moment = 1
    while campaign.kill_at(moment, "everything", 3, campaign.new_file()):
        moment += 1
    print(campaign.tally)
    assert campaign.tally.is_clean, campaign.tally.findings
    missed = {f"{when} {what}" for when in ("before", "after") for what in WRITTEN} - set(
        campaign.tally.moments
    )
    assert not missed
    assert {"asked", "evaluated", "told", "acked"} <= set(campaign.tally.moments)


@pytest.mark.slow
def test_a_kill_while_the_file_is_made_leaves_no_file_or_a_whole_one(nursery, tmp_path):
    campaign = Campaign(nursery, tmp_path)
    campaign.reference("everything", 2)
    for moment in range(1, 350, 20):
        campaign.kill_at(moment, "everything", 2, tmp_path / f"made-{moment}.db")
    assert campaign.tally.kills > 10
    assert campaign.tally.is_clean, campaign.tally.findings


def test_plain_optuna_reads_a_killed_study_without_repair(nursery, path):
    child = nursery.spawn(LIVE, path=str(path), case="tpe", kill_at=40, after_acks=4)
    acks = child.hear_all()
    assert "killed" in acks.pop()
    found = trajectory(path, NAME)  # fails on a trial that is not finished
    assert len(found) in {len(acks), len(acks) + 1}


@pytest.mark.parametrize(
    ("durability", "kept"),
    [({"mode": "pooled", "buffer_size": 4, "flush_seconds": 60}, 8), ({"mode": "end"}, 0)],
    ids=["pooled", "end"],
)
def test_a_kill_loses_only_the_trials_that_were_not_to_be_written_yet(nursery, path, durability, kept):
    arguments = {"path": str(path), "case": "random", "trials": 14}
    child = nursery.spawn(LIVE, **arguments, durability=durability, kill_at=1, after_acks=10)
    assert len(child.hear_all()) == 11
    said = nursery.run(LIVE, path=f"{path}.whole", case="random", trials=14)
    found = stored.read(path, NAME)
    assert found.trials == [one["facts"] for one in said[:kept]]
    assert found.integrity == "ok"
    nursery.run(LIVE, **arguments, durability=durability)
    assert stored.read(path, NAME).trials == [one["facts"] for one in said]


@pytest.mark.parametrize("ticks", [True, False], ids=["seen in the live table", "too young for it"])
def test_a_trial_that_was_in_flight_runs_again_under_its_number_and_with_its_parameters(nursery, path, ticks):
    nursery.run(LIVE, path=str(path), case="random", trials=2)
    first = nursery.spawn("harness.deaths:draw_and_wait", path=str(path), ticks=ticks)
    drawn = first.hear()
    first.kill()
    assert drawn[0] == 2
    again = nursery.spawn("harness.deaths:draw_and_wait", path=str(path), ticks=ticks)
    assert again.hear() == drawn
    again.kill()


@pytest.mark.parametrize("ticks", [True, False], ids=["seen in the live table", "too young for it"])
def test_a_trial_that_takes_its_kernel_down_twice_is_failed_and_passed_over(nursery, path, ticks):
    nursery.run(LIVE, path=str(path), case="random", trials=2)
    for number in (2, 2, 3):
        child = nursery.spawn("harness.deaths:draw_and_wait", path=str(path), ticks=ticks)
        assert child.hear()[0] == number
        child.kill()
    nursery.run(LIVE, path=str(path), case="random", trials=5)
    found = stored.read(path, NAME)
    assert [facts[0] for facts in found.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found.in_commits == 5
    with closing(sqlite3.connect(path)) as connection:
        (cause,) = connection.execute(
            "SELECT value_json FROM trial_system_attributes WHERE value_json LIKE '%died%'"
        ).fetchone()
    assert json.loads(cause) == "the kernel died twice in this trial"


@pytest.mark.parametrize("ticks", [True, False], ids=["seen in the live table", "too young for it"])
def test_an_enqueued_trial_that_takes_its_kernel_down_twice_is_failed_and_no_other(nursery, path, ticks):
    nursery.run(LIVE, path=str(path), case="random", trials=2)
    study = optuna.load_study(study_name=NAME, storage=f"sqlite:///{path}")
    for x in (1.5, 2.5):
        study.enqueue_trial({"x": x})
    for number in (2, 2, 3):
        child = nursery.spawn("harness.deaths:draw_and_wait", path=str(path), ticks=ticks)
        assert child.hear() == [number, (number - 0.5).hex()]
        child.kill()
    nursery.run(LIVE, path=str(path), case="random", trials=5)
    trials = optuna.load_study(study_name=NAME, storage=f"sqlite:///{path}").trials
    assert [t.state.name for t in trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert trials[3].params["x"] == 2.5


def test_a_kill_while_a_study_is_opened_is_not_a_death_of_the_trial_that_is_next(nursery, path):
    nursery.run(LIVE, path=str(path), case="random", trials=2)
    arguments = {"path": str(path), "ticks": False}
    child = nursery.spawn("harness.deaths:draw_and_wait", **arguments)
    drawn = child.hear()
    child.kill()
    for _ in range(2):  # it has the lease, and has not begun a trial
        child = nursery.spawn("harness.deaths:own_and_wait", path=str(path))
        child.hear()
        child.kill()
    child = nursery.spawn("harness.deaths:draw_and_wait", **arguments)
    assert child.hear() == drawn
    child.kill()
