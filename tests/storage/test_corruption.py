"""A damaged file gives back the trials as they were, or is refused in one line: never another value."""

import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from harness import lives
from harness.mutants import KINDS, Judge, mutants, pages_of_trials
from optuna_nb.errors import StorageError
from optuna_nb.storage import reader as reader_module
from optuna_nb.storage import soundness
from optuna_nb.storage.reader import Reader
from optuna_nb.storage.studies import StudyStorage


@pytest.fixture
def sound(path, new_file):
    shutil.copy(new_file, path)
    study, storage = lives.open_study(str(path), "everything")
    storage.acquire(study._study_id)
    for _ in range(5):
        lives.one_trial(study, storage, "everything", lambda _: None)
    storage.close()
    return path


def judged(sound, folder, count, seed):
    folder.mkdir()
    judge, chance = Judge(sound), random.Random(seed)  # noqa: S311 - the same ones each time
    for kind, mutant in mutants(sound.read_bytes(), pages_of_trials(sound), chance, count):
        judge.judge(kind, mutant, folder)
    return judge


def test_a_damaged_file_is_refused_or_read_exactly(sound, tmp_path):
    judge = judged(sound, tmp_path / "damaged", 10 * len(KINDS), seed=1)
    assert not judge.findings


@pytest.mark.slow
def test_each_of_1000_damaged_files_is_refused_or_read_exactly(sound, tmp_path):
    judge = judged(sound, tmp_path / "damaged", 1001, seed=2)
    print(dict(sorted(judge.verdicts.items())))
    assert not judge.findings
    for kind in KINDS:
        assert judge.verdicts[f"{kind}: refused"] > 20, f"too few mutants of the kind {kind!r} hurt"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE trial_params SET param_value = param_value + 1e-9", "trial 0 of churn@1 is damaged"),
        ("UPDATE trial_values SET value = -value WHERE trial_id = 2", "trial 1 of churn@1 is damaged"),
        ("DELETE FROM trial_intermediate_values WHERE trial_id = 3", "trial 2 of churn@1 is damaged"),
        ("UPDATE trials SET number = 7 WHERE number = 4", "trial 7 of churn@1 is damaged"),
        ("UPDATE trials SET state = 'FAIL' WHERE number = 4", "trial 4 of churn@1 is damaged"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM trials WHERE number = 3", "1 trials of churn@1 are missing"),
        ("UPDATE study_directions SET direction = 'MAXIMISE'", "'churn@1' is damaged"),
        ("DELETE FROM study_directions", "'churn@1' is damaged"),
        ("UPDATE study_user_attributes SET value_json = '{'", "'churn@1' is damaged"),
    ],
)
def test_a_change_behind_our_back_is_named(sound, damage, message):
    with closing(sqlite3.connect(sound)) as vandal:
        vandal.executescript(damage)
    storage = StudyStorage(f"sqlite:///{sound}")
    with pytest.raises(StorageError, match=message):
        storage.get_all_trials(1)
    with pytest.raises(StorageError, match=message):
        storage.acquire(1)
    storage.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE trial_params SET param_value = param_value + 1e-9", "trial 0 of churn@1 is damaged"),
        ("UPDATE trial_values SET value = -value WHERE trial_id = 2", "trial 1 of churn@1 is damaged"),
        ("UPDATE trial_intermediate_values SET intermediate_value = 7", "trial 0 of churn@1 is damaged"),
        ("UPDATE trials SET state = 'FAIL' WHERE number = 4", "trial 4 of churn@1 is damaged"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM trials WHERE number = 3", "1 trials of churn@1 are missing"),
    ],
)
def test_a_view_names_a_change_behind_our_back_and_the_doctor(sound, damage, message):
    with closing(Reader(f"sqlite:///{sound}", lives.NAME)) as open_before:
        assert len(open_before.snapshot().trials) == 5
        with closing(sqlite3.connect(sound)) as vandal:
            vandal.executescript(damage)
        with closing(Reader(f"sqlite:///{sound}", lives.NAME)) as reader:
            for look in (reader.poll, reader.snapshot, reader.poll):
                with pytest.raises(StorageError, match=f"{message}.*%tune doctor"):
                    look()
        assert len(open_before.snapshot().trials) == 5  # read before, and what was read stays


def test_a_view_with_little_time_finds_the_damage_at_a_later_look(sound, monkeypatch):
    monkeypatch.setattr(soundness, "_SLICE", 1)
    monkeypatch.setattr(reader_module, "_CHECK_SECONDS", 0)
    with closing(sqlite3.connect(sound)) as vandal:
        vandal.executescript("UPDATE trial_values SET value = -value WHERE trial_id = 3")
    with closing(Reader(f"sqlite:///{sound}", lives.NAME)) as reader:
        assert len(reader.poll().trials) == 5
        assert reader.poll() is None
        with pytest.raises(StorageError, match="trial 2 of churn@1 is damaged"):
            reader.poll()
