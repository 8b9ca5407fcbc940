"""What Tab offers inside our magics."""

import optuna
import pytest
from IPython.core.completer import provisionalcompleter

from optuna_nb.records import PRUNERS, SAMPLERS


@pytest.fixture
def complete(shell):
    """Press Tab at the end of a text, and give the texts that it could become."""
    shell.run_line_magic("load_ext", "optuna_nb")

    def press(text):
        with provisionalcompleter():
            found = list(shell.Completer.completions(text, len(text)))
        return [text[: it.start] + it.text + text[it.end :] for it in found]

    press.shell = shell
    return press


def test_verbs_complete(complete):
    assert complete("%tune sh") == ["%tune show"]
    assert "%tune wait" in complete("%tune ")


def test_flags_complete(complete):
    assert complete("%%tune churn --sam") == ["%%tune churn --sampler"]
    assert complete("%%tune churn --trials 5 --min") == ["%%tune churn --trials 5 --minimize"]
    assert complete("%tune delete churn --y") == ["%tune delete churn --yes"]


def test_samplers_and_pruners_complete_with_the_users_own(complete):
    complete.shell.user_ns.update(my_sampler=optuna.samplers.RandomSampler(), my_number=3)
    names = [it.rpartition(" ")[2] for it in complete("%%tune churn --sampler ")]
    assert sorted(names) == sorted([*SAMPLERS, "my_sampler"])
    assert complete("%%tune churn --pruner med") == ["%%tune churn --pruner median"]
    assert len(complete("%%tune churn --pruner ")) == len(PRUNERS)
    assert complete("%%tune churn --direction ma") == ["%%tune churn --direction maximize"]


def test_study_names_complete_from_the_database(complete):
    complete.shell.run_line_magic("config", 'OptunaNB.storage = "sqlite:///plain.db"')
    for name in ("churn@1", "churn@2", "fraud@1", "plain"):
        optuna.create_study(study_name=name, storage="sqlite:///plain.db")
    assert complete("%tune best ch") == ["%tune best churn"]
    assert complete("%tune best ") == ["%tune best churn", "%tune best fraud", "%tune best plain"]
    assert sorted(complete("%tune best churn@")) == ["%tune best churn@1", "%tune best churn@2"]
    assert complete("%%tune fr") == ["%%tune fraud"]


def test_what_stands_behind_an_at_in_a_name_completes_unless_it_is_a_version(complete):
    complete.shell.run_line_magic("config", 'OptunaNB.storage = "sqlite:///plain.db"')
    for name in ("team@exp", "crew@exp@2"):
        optuna.create_study(study_name=name, storage="sqlite:///plain.db")
    assert complete("%tune best ") == ["%tune best crew@exp", "%tune best team@exp"]
    assert complete("%%tune te") == ["%%tune team@exp"]


def test_without_a_database_nothing_completes_and_no_file_is_made(complete, tmp_path):
    before = set(tmp_path.iterdir())
    complete("%tune best ")
    assert set(tmp_path.iterdir()) == before


def test_the_trial_completes_inside_a_tune_cell(complete):
    cell = "%%tune churn -n 5\nx = 1\ny = trial.suggest_f"
    assert complete(cell) == [cell + "loat"]
    assert any(it.endswith("trial.report") for it in complete("%%tune churn\ntrial."))


def test_a_trial_of_the_users_own_is_left_to_ipython(complete):
    complete.shell.user_ns["trial"] = "text"
    assert "trial.upper" in complete("trial.upp")
    assert complete("%%tune churn\nmy_trial.suggest_f") == []


def test_other_cells_complete_as_before(complete):
    complete.shell.user_ns["some_long_name"] = 1
    assert "some_long_name" in complete("some_long")
    assert "%%tune churn\nsome_long_name" in complete("%%tune churn\nsome_long")
