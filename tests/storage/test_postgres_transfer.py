"""A study with all that belongs to it goes to a server and comes back, and goes on as if it had stayed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from optuna.samplers import NSGAIISampler

import optuna_nb
from harness import servers, stored
from harness.record_bases import new_database
from optuna_nb.cell.verbs import run_verb
from optuna_nb.errors import InvalidOptionError, StorageError, StudyNotFoundError
from optuna_nb.tuning import api
from optuna_nb.tuning.transfer import transfer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import optuna

    from optuna_nb.tuning.handle import StudyHandle

URL_ELSEWHERE = "postgresql+psycopg://ann:hunter2@127.0.0.1:1/team"


@pytest.fixture
def url() -> Iterator[str]:
    """A database of its own on the server."""
    with new_database() as url:
        yield url


def two_scores(trial: optuna.Trial) -> tuple[float, float]:
    x = trial.suggest_float("x", 0, 2)
    y = trial.suggest_float("y", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    trial.set_constraint("small", x - 1.5)
    optuna_nb.log_metrics(1, norm=math.hypot(x, y))
    print(f"trial {trial.number} \0 printed this")
    return x**2 + y, (x - 2) ** 2 - y + (kind == "b")


def tune(storage: str, trials: int, **flags: object) -> StudyHandle:
    return optuna_nb.tune(
        two_scores,
        name="pair",
        trials=trials,
        directions=["minimize", "minimize"],
        sampler=NSGAIISampler(population_size=5),
        seed=5,
        storage=storage,
        wait=True,
        **flags,
    )


@pytest.mark.postgres
def test_nsga2_goes_on_over_two_databases_as_if_it_had_stayed_in_one(url, tmp_path):
    whole = tune(f"sqlite:///{tmp_path / 'whole.db'}", 36)
    here, back = f"sqlite:///{tmp_path / 'here.db'}", f"sqlite:///{tmp_path / 'back.db'}"
    other = {"name": "other", "trials": 9, "wait": True}  # so that ids there are not those here
    optuna_nb.tune(lambda trial: trial.suggest_float("x", 0, 1), **other, storage=url)
    first = tune(here, 13)
    assert "13 trials, 1 run" in first.push(url)
    assert tune(url, 25).snapshot().done == 25
    there = servers.read(url, "pair@1")
    assert "25 trials, 2 runs" in optuna_nb.pull("pair", url, storage=back).note
    last = tune(back, 36)
    expected = stored.read(tmp_path / "whole.db", "pair@1")
    assert there.trials == expected.trials[:25]
    found = stored.read(tmp_path / "back.db", "pair@1")
    assert (found.trials, found.attributes) == (expected.trials, expected.attributes)
    assert found.in_commits == 36
    assert sorted(last.best_values) == sorted(whole.best_values)  # the Pareto set, under its constraint


@pytest.mark.postgres
def test_logs_records_versions_and_their_order_come_along(url, tmp_path):
    here = f"sqlite:///{tmp_path / 'here.db'}"

    def score(trial: optuna.Trial) -> float:
        optuna_nb.log_metrics(3, loss=math.nan)
        optuna_nb.trial_event("exchange", step=1)
        print("a \0 in the log")
        return trial.suggest_float("x", 0, 1)

    flags = {"name": "s", "storage": here, "seed": 1, "experiment": "ours", "tags": ["a", "b"], "wait": True}
    optuna_nb.tune(score, trials=4, notes="first", **flags)

    def score(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 2)

    optuna_nb.tune(score, trials=3, **flags)
    optuna_nb.tune(score, trials=5, **flags)
    said = transfer("s", here, url)
    assert said == f"copied s@1, s@2 to {url}: 9 trials, 3 runs"
    assert servers.ask(
        url,
        "SELECT studies.study_name, parents.study_name FROM study_versions JOIN studies USING (study_id)"
        " LEFT JOIN studies AS parents ON parents.study_id = parent_study_id ORDER BY version",
    ) == [("s@1", None), ("s@2", "s@1")]
    runs = servers.ask(
        url,
        "SELECT study_name, status, n_iterations, best_score IS NOT NULL, parent_tuning_run_id IS NULL, tags"
        " FROM tuning_runs ORDER BY created_at",
    )
    assert [row[:5] for row in runs] == [
        ("s@1", "completed", 4, True, True),
        ("s@2", "completed", 3, True, True),
        ("s@2", "completed", 2, True, False),
    ]
    assert runs[0][5] == ["a", "b"]
    assert servers.ask(url, "SELECT count(*) FROM metric_history WHERE value IS NULL") == [(4,)]
    assert servers.ask(url, "SELECT count(*) FROM run_events WHERE kind = 'exchange'") == [(4,)]
    assert servers.ask(url, "SELECT name FROM experiments") == [("ours",)]
    listed = api.list_studies(url)
    assert listed["name"].tolist() == ["s@2", "s@1"]
    assert listed["best"].tolist() == [optuna_nb.load(name, url).best_value for name in listed["name"]]
    back = optuna_nb.pull("s@1", url, storage=f"sqlite:///{tmp_path / 'back.db'}", as_name="mine")
    assert back.name == "mine@1"
    assert len(back.runs) == 1
    from optuna_nb.storage.reader import Reader

    reader = Reader(back.storage, "mine")
    assert reader.log(2) == "a \0 in the log\n"
    reader.close()


@pytest.mark.postgres
def test_what_is_there_already_is_not_mixed_and_nothing_is_half_copied(url, tmp_path):
    here = f"sqlite:///{tmp_path / 'here.db'}"
    tune(here, 5)
    transfer("pair", here, url)
    with pytest.raises(InvalidOptionError, match="there is a study 'pair' already"):
        transfer("pair", here, url)
    assert transfer("pair", here, url, new_name="second").startswith("copied second@1 to ")
    with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).begin() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE metric_history ADD CONSTRAINT none CHECK (value > 99) NOT VALID"
        )
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        transfer("pair", here, url, new_name="third")
    assert sorted(api.list_studies(url)["name"]) == ["pair@1", "second@1"]
    assert servers.ask(url, "SELECT count(*) FROM tuning_runs") == [(2,)]


@pytest.mark.postgres
def test_the_verbs_push_and_pull_and_the_line_they_print_hides_the_password(url, tmp_path, capsys):
    here, back = f"sqlite:///{tmp_path / 'here.db'}", f"sqlite:///{tmp_path / 'back.db'}"
    tune(here, 5)
    secret = sqlalchemy.make_url(url).set(password="hunter2").render_as_string(hide_password=False)  # noqa: S106
    run_verb(f"push pair {secret}", here)
    run_verb(f"pull pair {secret} --name mine", back)
    run_verb("list", secret)
    out = capsys.readouterr().out
    assert "copied pair@1 to postgresql+psycopg://postgres:***@" in out
    assert "copied mine@1 to sqlite:///" in out
    assert "hunter2" not in out


def test_a_study_goes_from_file_to_file_as_well(tmp_path):
    here, there = f"sqlite:///{tmp_path / 'here.db'}", f"sqlite:///{tmp_path / 'there.db'}"
    handle = tune(here, 6)
    assert handle.push(there) == f"copied pair@1 to {there}: 6 trials, 1 run"
    found, expected = (stored.read(tmp_path / name, "pair@1") for name in ("there.db", "here.db"))
    assert (found.trials, found.attributes) == (expected.trials, expected.attributes)


@pytest.mark.parametrize(
    ("name", "other", "error", "part"),
    [
        ("pair", "sqlite:///{here}", InvalidOptionError, "is where pair is already"),
        ("other", "sqlite:///{there}", StudyNotFoundError, "there is no study 'other'"),
        pytest.param(
            *("pair", URL_ELSEWHERE, StorageError, "PostgreSQL at 127.0.0.1/team cannot be used"),
            marks=pytest.mark.slow,  # needs a driver, which the README's test command does not install
        ),
        ("pair", "mysql://ann:hunter2@db/team", StorageError, "mysql:// is not supported"),
    ],
)
def test_what_cannot_be_pushed_is_refused_in_one_line(tmp_path: Path, name, other, error, part):
    here = tmp_path / "here.db"
    tune(f"sqlite:///{here}", 2)
    if other == URL_ELSEWHERE:
        pytest.importorskip("psycopg")
    with pytest.raises(error) as caught:
        run_verb(f"push {name} {other.format(here=here, there=tmp_path / 'there.db')}", f"sqlite:///{here}")
    assert part in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_push_without_a_url_names_the_one_that_is_missing(tmp_path):
    with pytest.raises(InvalidOptionError, match=r"as `%tune push pair postgresql\+psycopg://"):
        run_verb("push pair", f"sqlite:///{tmp_path / 'here.db'}")
