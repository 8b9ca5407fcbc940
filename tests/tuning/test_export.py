"""A study as a file, and studies from elsewhere."""

import builtins
import json
import os
import sqlite3
from dataclasses import replace

import optuna
import pandas as pd
import pytest
from optuna.samplers import NSGAIISampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import optuna_nb
from optuna_nb.errors import InvalidOptionError, StorageError, StudyNotFoundError
from optuna_nb.records import Objective, TuneOptions
from optuna_nb.storage.studies import StudyStorage
from optuna_nb.tuning import api
from optuna_nb.tuning.export import export
from optuna_nb.tuning.importing import import_studies
from optuna_nb.tuning.transfer import transfer


def two(trial):
    x = trial.suggest_float("x", 0, 1)
    kind = trial.suggest_categorical("kind", ["a", 1, None])
    trial.set_constraint("enough", 0.3 - x)
    trial.set_user_attr("list", [1, 2])
    print("seen")
    return x, 1 - x + (kind == "a")


def one(trial):
    if trial.number == 2:
        raise optuna.TrialPruned
    if trial.number == 3:
        return float("inf")
    return trial.suggest_float("x", 0, 1)


def make(evaluate):
    return Objective(evaluate, "code", {"cell": "1"})


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=20, seed=1)


@pytest.fixture
def single(options):
    return api.start(make(one), replace(options, metric="auc", directions=("maximize",))).wait()


@pytest.fixture
def several(options):
    return api.start(make(two), replace(options, directions=("minimize", "minimize"))).wait()


def hexes(study):
    return [(t.number, t.state, t.values, t.params, t.user_attrs, t.datetime_start) for t in study.trials]  # noqa: PD011 - trials


def test_a_csv_holds_every_finished_trial_by_number_with_its_rank(single, tmp_path):
    said = f"wrote 20 trials of s@1 to {tmp_path / 's.csv'}"
    assert single.export(tmp_path / "s.csv") == said
    assert single.export(tmp_path / "s.csv") == f"{said}, in place of an earlier export"
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame.columns[:5]) == ["rank", "number", "state", "values_auc", "feasible"]
    assert list(frame["number"]) == list(range(20))
    assert frame["state"][2] == "pruned"
    assert frame["values_auc"][3] == float("inf")
    assert frame.set_index("rank").loc[2, "values_auc"] == max(frame["values_auc"].drop(3))
    assert list(frame["params_x"].dropna()) == [t.params["x"] for t in single.study.trials if t.params]


def test_top_gives_the_best_ones_in_order(single, tmp_path):
    single.export(tmp_path / "s.json", top=3)
    found = json.loads((tmp_path / "s.json").read_text())
    assert [trial["rank"] for trial in found["trials"]] == [1, 2, 3]
    assert found["trials"][0]["values"] == {"auc": "inf"}
    assert found["metrics"] == ["auc"]
    assert found["directions"] == ["maximize"]


def test_the_pareto_set_is_ranked_and_feasible(several, tmp_path):
    several.export(tmp_path / "p.json", pareto=True, top=200)
    found = json.loads((tmp_path / "p.json").read_text())["trials"]
    assert {t["number"] for t in found} == {t.number for t in several.study.best_trials}
    assert all(t["feasible"] and t["constraints"]["enough"] <= 0 for t in found)
    assert [t["rank"] for t in found] == list(range(1, len(found) + 1))
    several.export(tmp_path / "top.csv", pareto=True, top=1)
    assert list(pd.read_csv(tmp_path / "top.csv")["number"]) == [found[0]["number"]]


def test_a_table_spells_out_lists_and_mixed_choices(several, tmp_path):
    several.export(tmp_path / "s.csv")
    frame = pd.read_csv(tmp_path / "s.csv")
    assert frame["user_attrs_list"][0] == "[1, 2]"
    assert {"values_value_0", "values_value_1", "params_kind", "constraints_enough"} <= set(frame.columns)


def test_a_choice_that_reads_like_an_infinity_stays_a_text(options, tmp_path):
    handle = api.start(make(lambda t: len(t.suggest_categorical("kind", ["inf", "nan"]))), options).wait()
    handle.export(tmp_path / "s.csv")
    assert set(pd.read_csv(tmp_path / "s.csv", keep_default_na=False)["params_kind"]) == {"inf", "nan"}


def test_two_objectives_of_one_name_are_two_columns(options, tmp_path):
    objective = make(lambda trial: (trial.suggest_float("x", 0, 1), 9.0))
    handle = api.start(objective, replace(options, directions=("minimize",) * 2)).wait()
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        handle.study.set_metric_names(["loss", "loss"])  # as plain Optuna lets its user
    handle.export(tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert list(table["values_value_0"]) == [trial.params["x"] for trial in handle.study.trials]
    assert set(table["values_value_1"]) == {9.0}


def test_a_csv_holds_nothing_that_a_spreadsheet_takes_for_a_formula(options, tmp_path):
    formula = "=cmd|' /C calc'!A0"
    handle = api.start(
        make(lambda trial: trial.suggest_float("x", -1, 0) + len(trial.suggest_categorical("c", [formula]))),
        replace(options, trials=2, directions=("maximize",)),
    ).wait()
    for kind in ("csv", "json"):
        handle.export(tmp_path / f"s.{kind}")
    frame = pd.read_csv(tmp_path / "s.csv")
    assert list(frame["params_c"]) == [f"'{formula}"] * 2
    assert list(frame["params_x"]) == [trial.params["x"] for trial in handle.study.trials]
    assert json.loads((tmp_path / "s.json").read_text())["trials"][0]["params"]["c"] == formula


def test_parquet_without_pyarrow_says_what_to_install(single, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] in ("pyarrow", "fastparquet"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidOptionError, match="needs pyarrow"):
        single.export(tmp_path / "s.parquet")
    assert [path.suffix for path in tmp_path.iterdir() if "export" in path.name] == []


@pytest.mark.parametrize(
    ("target", "asked", "message"),
    [
        ("s.xlsx", {}, "one of .csv, .parquet"),
        ("nowhere/s.csv", {}, "does not exist"),
        ("copy.db", {"top": 3}, "holds the whole study"),
        ("s.csv", {"top": 0}, "at least 1"),
        ("s.db", {}, "the database of the study itself"),
        ("taken.db", {}, "not an export of s@1"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(single, tmp_path, target, asked, message):
    (tmp_path / "taken.db").write_text("precious")
    with pytest.raises((InvalidOptionError, StorageError), match=message):
        single.export(tmp_path / target, **asked)
    assert (tmp_path / "taken.db").read_text() == "precious"


def test_a_database_is_a_copy_that_plain_optuna_reads_and_that_goes_on_exactly(options, tmp_path):
    genetic = replace(options, sampler=NSGAIISampler(population_size=4), trials=20)
    objective = make(lambda trial: trial.suggest_float("x", 0, 1))
    handle = api.start(objective, genetic).wait()
    api.start(objective, replace(genetic, name="other", trials=2)).wait()
    assert "wrote 20 trials" in handle.export(tmp_path / "copy.db")
    handle.export(tmp_path / "copy.db")  # an earlier export is replaced
    assert {path.name for path in tmp_path.glob("*copy.db*")} == {"copy.db"}
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    copy = optuna.load_study(study_name="s@1", storage=url)
    assert hexes(copy) == hexes(handle.study)
    assert [t._trial_id for t in copy.trials] == [t._trial_id for t in handle.study.trials]
    assert optuna.get_all_study_names(url) == ["s@1"]
    further = [
        api.start(objective, replace(genetic, storage=where, trials=40)).wait().study
        for where in (options.storage, url)
    ]
    assert [t.params for t in further[0].trials] == [t.params for t in further[1].trials]


@pytest.mark.parametrize("kind", ["csv", "json", "db", "html"])
def test_only_an_earlier_export_of_the_study_is_replaced(options, tmp_path, kind):
    for name in ("s", "other"):
        api.start(make(one), replace(options, name=name)).wait()
    handle, other = (optuna_nb.load(name, options.storage) for name in ("s", "other"))
    target = tmp_path / f"copy.{kind}"
    handle.export(target)
    handle.more(1).wait()
    handle.export(target)
    mine = tmp_path / f"mine.{kind}"
    mine.write_text('{"study": 1}' if kind == "json" else "my,own,data\n")
    for file, strange in ((mine, handle), (target, other)):
        if (file, kind) == (target, "csv"):  # a table says nothing of its study
            break
        before = file.read_bytes()
        with pytest.raises(InvalidOptionError, match=f"is not an export of {strange.name}: name another"):
            strange.export(file)
        assert file.read_bytes() == before


def test_a_study_that_was_deleted_and_begun_again_is_exported_to_its_files_again(options, tmp_path):
    for _ in range(2):
        api.start(make(one), options).wait()
        handle = optuna_nb.load("s", options.storage)
        for kind in ("csv", "json", "html"):
            assert (tmp_path / f"s.{kind}").name in handle.export(tmp_path / f"s.{kind}")
        api.delete("s", options.storage)


def test_a_table_is_replaced_by_one_of_a_newer_version_or_with_fewer_trials(single, options, tmp_path):
    newer = api.start(Objective(one, "new", {"cell": "2"}), replace(options, directions=("maximize",))).wait()
    assert newer.name == "s@2"
    for name in ("s.csv", "s.json"):
        for handle, top in ((single, None), (newer, None), (single, 2)):
            assert f"of {handle.name}" in handle.export(tmp_path / name, top=top)


def test_what_a_killed_process_left_of_an_export_is_no_hindrance(single, tmp_path):
    for name in ("copy.db", "copy.csv"):
        single.export(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / f".{name}.{os.getpid()}.export").write_bytes(whole)
        single.export(tmp_path / name)
    assert {path.name for path in tmp_path.glob("*copy*")} == {"copy.db", "copy.csv"}


# Import


def genetic_study(storage, name="evolution", trials=20):
    sampler = NSGAIISampler(population_size=4, seed=1)
    study = optuna.create_study(storage=storage, study_name=name, sampler=sampler)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), trials)
    return study


@pytest.fixture
def journal(tmp_path):
    folder = tmp_path / "journals"
    folder.mkdir()
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = genetic_study(storage)
    study.set_user_attr("who", "me")
    study.enqueue_trial({"x": 0.5})
    study.ask()  # takes the enqueued one and stays in flight
    study.enqueue_trial({"x": 0.75})
    return study, folder / "journal.log"


def test_a_journal_becomes_a_study_with_the_ids_that_samplers_remember(journal, options, single):
    study, path = journal
    lines = import_studies(str(path), options.storage)
    assert lines == ["imported evolution: 21 trials; 1 that ran are left out"]
    copy = optuna.load_study(study_name="evolution", storage=options.storage)
    assert hexes(copy)[:20] == hexes(study)[:20]
    assert copy.trials[-1].system_attrs["fixed_params"] == {"x": 0.75}
    assert copy.user_attrs == {"who": "me"}
    attrs = copy._storage.get_study_system_attrs(copy._study_id)
    parents = [ids for key, ids in attrs.items() if ":parent:" in key]
    assert parents
    ids = {t._trial_id for t in copy.trials}
    assert all(set(found) <= ids for found in parents)
    assert ids.isdisjoint(t._trial_id for t in single.study.trials)


def test_an_imported_study_goes_on_under_its_own_name(journal, options):
    import_studies(str(journal[1]), options.storage)
    cell = make(lambda trial: trial.suggest_float("x", 0, 1))
    handle = api.start(cell, replace(options, name="evolution", trials=25)).wait()
    assert handle.name == "evolution"
    assert "(made by Optuna)" in handle.note
    assert handle.snapshot().done == 25
    assert [t.params["x"] for t in handle.study.trials].count(0.75) == 1


def test_a_folder_with_a_journal_is_found_and_a_new_name_is_given(journal, options):
    lines = import_studies(str(journal[1].parent), options.storage, name="mine")
    assert lines[0].startswith("imported mine: 21 trials")


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_journal_where_a_database_is_expected_names_the_command(journal, options, place):
    path = journal[1] if place == "file" else journal[1].parent
    with pytest.raises(StorageError) as caught:
        api.start(make(one), replace(options, storage=f"sqlite:///{path}"))
    assert f"`%tune import {journal[1]}`" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_plain_optuna_is_imported_study_by_study(options, tmp_path):
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    studies = [genetic_study(url, name, 6) for name in ("a", "b")]
    before = (tmp_path / "plain.db").read_bytes()
    assert import_studies(url, options.storage, study="b") == ["imported b: 6 trials"]
    lines = import_studies(str(tmp_path / "plain.db"), options.storage)
    assert lines[0] == "imported a: 6 trials"
    assert lines[1].startswith("left out b: there is a study 'b' already")
    for study in studies:
        assert hexes(optuna.load_study(study_name=study.study_name, storage=options.storage)) == hexes(study)
    assert (tmp_path / "plain.db").read_bytes() == before


def test_a_study_of_ours_keeps_its_version_and_goes_on_exactly(several, options, tmp_path):
    here = f"sqlite:///{tmp_path / 'here.db'}"
    assert import_studies(options.storage, here) == ["imported s@1: 20 trials"]
    assert import_studies(options.storage, here, name="t") == ["imported t@1: 20 trials"]
    pair = ("minimize", "minimize")
    runs = [
        api.start(
            make(two), replace(options, storage=where, name=name, directions=pair, seed=None, trials=30)
        )
        for where, name in ((options.storage, "s"), (here, "s"), (here, "t"))
    ]
    drawn = [[t.params for t in run.wait().study.trials] for run in runs]
    assert drawn[0] == drawn[1] == drawn[2]
    connection = sqlite3.connect(tmp_path / "here.db")
    assert connection.execute("SELECT count(*) FROM trial_logs WHERE text LIKE 'seen%'").fetchone() == (60,)
    connection.close()


@pytest.mark.parametrize(
    ("source", "wanted", "error", "message"),
    [
        ("nothing.log", {}, StorageError, "there is no"),
        ("text.log", {}, StorageError, "not an SQLite database"),
        ("empty.db", {}, StorageError, "no Optuna study"),
        ("broken.log", {}, StorageError, "damaged"),
        ("two.db", {"name": "x"}, InvalidOptionError, "choose one with --study"),
        ("two.db", {"study": "c"}, StudyNotFoundError, "the studies in it: a, b"),
        ("two.db", {"study": "a", "name": "x@3"}, InvalidOptionError, "names one version"),
        ("two.db", {"study": "a", "name": "s"}, InvalidOptionError, "choose another name with --name"),
        ("nodb://host/x", {}, StorageError, "check the URL"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line(  # noqa: PLR0917 - the columns of the table
    single, options, tmp_path, monkeypatch, source, wanted, error, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.log").write_text("hello")
    (tmp_path / "broken.log").write_text('{"op_code": 0}\n{"op_code": 77}\n')
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (x)").connection.close()
    for name in ("a", "b") if source == "two.db" else ():
        optuna.create_study(storage=f"sqlite:///{tmp_path / 'two.db'}", study_name=name)
    with pytest.raises(error, match=message) as caught:
        import_studies(source, options.storage, **wanted)
    assert "\n" not in str(caught.value)
    assert list(api.list_studies(options.storage)["name"]) == ["s@1"]


IMPOSSIBLE = ["list", "churn@", "x" * 501, "two\nlines", "old@2"]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_name_that_no_cell_can_write_is_refused_wherever_a_name_is_given(single, options, tmp_path, name):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    optuna.create_study(storage=other, study_name="a")
    for give in (
        lambda: import_studies(other, options.storage, name=name),
        lambda: api.rename("s", name, options.storage),
        lambda: single.push(other, name=name),
    ):
        with pytest.raises(InvalidOptionError):
            give()


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_study_from_elsewhere_whose_name_cannot_be_one_here_needs_another(options, tmp_path, name):
    source = f"sqlite:///{tmp_path / 'plain.db'}"
    optuna.create_study(storage=source, study_name=name)
    for move in (
        lambda **new: import_studies(source, options.storage, **new),
        lambda **new: transfer(name, source, f"sqlite:///{tmp_path / 'pushed.db'}", new_name=new.get("name")),
    ):
        with pytest.raises(InvalidOptionError, match="choose another name with --name") as caught:
            move()
        assert str(caught.value).count("\n") == 0
        assert len(str(caught.value)) < 250
        assert "fine" in str(move(name="fine"))
    optuna.create_study(storage=source, study_name="good")
    lines = import_studies(source, options.storage)
    assert sorted(line.partition(" ")[0] for line in lines) == ["imported", "left"]
    assert not any("\n" in line for line in lines)


def test_export_reads_a_study_that_runs_elsewhere(tmp_path):
    storage = StudyStorage(f"sqlite:///{tmp_path / 's.db'}")
    study = optuna.create_study(storage=storage, study_name="s", sampler=RandomSampler(seed=1))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 3)
    study.ask()
    assert "wrote 3 trials" in export("s", f"sqlite:///{tmp_path / 's.db'}", str(tmp_path / "s.csv"))
    storage.close()
