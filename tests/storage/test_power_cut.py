"""A power cut may take back whatever was not synced; an acknowledged trial under FULL was."""

import random

import pytest

from harness import stored, straced
from harness.campaign import LIVE
from harness.lives import NAME
from harness.powercut import images, lay_out

pytestmark = pytest.mark.skipif(straced.WHY_NOT is not None, reason=straced.WHY_NOT or "")
CASE = "everything"


def recorded(folder, *, full, trials):
    path = folder / "study.db"
    straced.run(folder, LIVE, path=str(path), case=CASE, trials=trials, full=full)
    said = straced.said(folder)
    assert len(said) == trials
    calls = straced.record(folder, path)
    assert sum(call.name == "ack" for call in calls) == trials
    return said, calls


def after_each_cut(said, calls, folder, *, every, variants, seed=0):
    """Cut the power and read what is left; yield how many trials were acknowledged and how many are there."""
    folder.mkdir()
    chance = random.Random(seed)  # noqa: S311 - the same ones each time
    for number, acks, files in images(calls, chance, every=every, variants=variants):
        path = lay_out(files, folder, "study.db")
        count = 0
        if path.exists():
            found = stored.read(path, NAME, mode="rw")  # a journal may have to be rolled back
            count = len(found.trials)
            assert found.integrity == "ok", f"after call {number}: {found.integrity}"
            assert found.trials == [one["facts"] for one in said[:count]], f"torn after call {number}"
            assert found.orphans == 0
            assert found.in_commits == count
            assert count == 0 or found.attributes == said[count - 1]["attributes"]
        yield acks, count, path


@pytest.mark.parametrize("full", [True, False], ids=["FULL", "NORMAL"])
def test_a_power_cut_leaves_a_whole_study(tmp_path, full):
    said, calls = recorded(tmp_path, full=full, trials=4)
    cuts = list(after_each_cut(said, calls, tmp_path / "cut", every=9, variants=1))
    assert len(cuts) > 50
    assert not full or all(count >= acks for acks, count, _ in cuts)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("full", [True, False], ids=["FULL", "NORMAL"])
def test_every_power_cut_leaves_a_whole_study_and_with_full_every_acknowledged_trial(tmp_path, nursery, full):
    said, calls = recorded(tmp_path, full=full, trials=6)
    cuts = lost = opened = 0
    for acks, count, path in after_each_cut(said, calls, tmp_path / "cut", every=1, variants=3):
        cuts += 1
        lost += count < acks
        if cuts % 150 == 0:  # the study goes on from there to the same end
            nursery.run(LIVE, path=str(path), case=CASE, trials=6, full=full)
            assert stored.read(path, NAME).trials == [one["facts"] for one in said]
            opened += 1
    print(f"{len(calls)} calls, {cuts} power cuts, {lost} with acknowledged trials lost, {opened} resumed")
    assert opened > 5
    if full:
        assert lost == 0
    else:
        assert lost > 0  # NORMAL promises no more than a suffix, or this replay would be too kind
