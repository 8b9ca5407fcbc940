"""The flags of ``%%tune``: what they mean, and what is refused."""

import dataclasses

import optuna
import pytest

from optuna_nb.cell.options import read_line, tune_parser
from optuna_nb.cell.parser import HelpAsked
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import PRUNERS, SAMPLERS, TuneOptions
from optuna_nb.tuning.naming import RESERVED

URL = "sqlite:///here.db"


def read(line, **namespace):
    return read_line(line, namespace, URL)


def test_a_name_alone_gives_the_defaults():
    asked = read("churn")
    assert asked.options == TuneOptions(name="churn", storage=URL)
    assert (asked.wait, asked.out, asked.quiet) == (False, None, False)


def test_every_flag_reaches_its_option():
    asked = read(
        "churn --trials 200 --timeout 10m --maximize --sampler RANDOM --pruner none --seed 7 --jobs 2 --wait"
        " --metric auc --model SVC --experiment winter --notes 'two words' --tag a --tag b --warm-start 3"
        " --storage sqlite:///other.db -o study -q"
    )
    assert asked.options == TuneOptions(
        name="churn",
        storage="sqlite:///other.db",
        trials=200,
        timeout=600.0,
        directions=("maximize",),
        sampler="random",
        pruner="none",
        seed=7,
        jobs=2,
        metric="auc",
        model="SVC",
        experiment="winter",
        notes="two words",
        tags=("a", "b"),
        warm_start=3,
        user_directions=True,
    )
    assert (asked.wait, asked.out, asked.quiet) == (True, "study", True)


def test_more_and_continue_reach_their_options():
    options = read("churn --more 5 --continue").options
    assert (options.more, options.trials, options.continue_old) == (5, None, True)


def test_short_flags_and_flags_before_the_name_work():
    assert read("-n 5 churn").options.trials == 5
    assert read("-n5 churn").options.trials == 5
    assert read("--trials=5 churn").options.trials == 5


@pytest.mark.parametrize(
    ("line", "directions"),
    [
        ("churn --minimize", ("minimize",)),
        ("churn --direction maximize", ("maximize",)),
        ("churn --direction maximize --direction minimize", ("maximize", "minimize")),
    ],
)
def test_directions_keep_their_order(line, directions):
    options = read(line).options
    assert options.directions == directions
    assert options.user_directions


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600", 600), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("0.5h", 1800)],
)
def test_a_timeout_is_seconds_or_has_units(text, seconds):
    assert read(f"churn --timeout {text}").options.timeout == seconds


@pytest.mark.parametrize(
    ("line", "notes"),
    [
        ("churn -n 3  # don't stop", None),
        ("churn --notes 'try #3'", "try #3"),
        ("churn --notes try#3", "try#3"),
        ('churn --notes "it\'s" # --trials 4', "it's"),
    ],
)
def test_a_comment_begins_at_a_free_standing_hash(line, notes):
    assert read(line).options.notes == notes


def test_a_backslash_is_a_letter_of_a_windows_path():
    assert read(r"churn --storage sqlite:///C:\data\a.db").options.storage == r"sqlite:///C:\data\a.db"


def test_a_sampler_and_a_pruner_may_be_given_by_the_name_of_a_variable():
    sampler, pruner = optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
    options = read("churn --sampler mine --pruner cut", mine=sampler, cut=pruner).options
    assert options.sampler is sampler
    assert options.pruner is pruner


def test_a_variable_that_holds_a_sampler_wins_over_a_name_of_ours():
    sampler = optuna.samplers.GridSampler({"x": [1, 2]})
    assert read("churn --sampler grid", grid=sampler).options.sampler is sampler
    import random

    assert read("churn --sampler random", random=random).options.sampler == "random"


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_name_is_known_to_tuning(name):
    from optuna_nb.tuning.sampling import make_sampler

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *a, **k: None)
        assert make_sampler(name, seed=1, directions=("minimize",)) is not None


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_name_is_known_to_tuning(name):
    from optuna_nb.tuning.sampling import make_pruner

    assert make_pruner(name) is not None


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "the study has no name"),
        ("# churn", "the study has no name"),
        ("''", "the study has no name"),
        ("--trials 5", "the study has no name"),
        ("churn@2", "write 'churn', and --continue"),
        ("churn@", "write 'churn'"),
        ("x" * 600, "take a shorter one"),
        ("churn --trails 5", "%%tune has no flag --trails; did you mean --trials?"),
        ("churn --trails=5", "%%tune has no flag --trails; did you mean --trials?"),
        ("churn --maximise", "did you mean --maximize?"),
        ("churn --zzz", "`%%tune -h` lists them"),
        ("churn -z", "has no flag -z"),
        ("churn model", "'model' is one word too many"),
        ("churn --trials", "expected one argument"),
        (
            "churn --trials many",
            "--trials: takes a whole number, not 'many'; for the value of a variable write {many}",
        ),
        ("churn --trials 0", "above 0, not '0'"),
        ("churn --trials -5", "above 0, not '-5'"),
        ("churn --jobs 0", "above 0"),
        ("churn --seed -1", "from 0, not '-1'"),
        ("churn --timeout soon", "takes a time, as 90s, 10m, 2h or 600"),
        ("churn --timeout 0", "above 0"),
        ("churn --timeout nan", "above 0"),
        ("churn --trials 5 --more 5", "give one of them"),
        ("churn --continue --warm-start 2", "give one of them"),
        ("churn --minimize --maximize", "say each with --direction"),
        ("churn --direction up", "write minimize or maximize"),
        ("churn --direction maximise", "did you mean maximize?"),
        ("churn --sampler tpee", "did you mean tpe?"),
        ("churn --sampler zzzzzz", "take one of tpe, random"),
        ("churn --sampler number", "the variable number holds a int, not a sampler"),
        ("churn --sampler TPESampler", "make one, `my_sampler = TPESampler()`"),
        ("churn --pruner medain", "did you mean median?"),
        ("churn -o 2x", "cannot be the name of a variable"),
        ("churn -o class", "cannot be the name of a variable"),
        ("churn --notes 'open", "a quote is not closed"),
    ],
)
def test_a_mistake_is_refused_in_one_line_that_names_the_fix(line, part):
    with pytest.raises(InvalidOptionError) as caught:
        read(line, number=3, TPESampler=optuna.samplers.TPESampler)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", RESERVED)
def test_a_study_cannot_be_called_like_a_verb(verb):
    with pytest.raises(InvalidOptionError, match=f"'{verb}' is a verb of %tune"):
        read(verb)


def test_help_names_every_flag():
    with pytest.raises(HelpAsked) as asked:
        read("churn --whatever -h")
    for flag in tune_parser().flags():
        assert flag in str(asked.value)
    assert "%%tune churn --trials 200 --maximize" in str(asked.value)


def test_every_option_has_its_flag():
    others = {
        "name",
        "directions",
        "user_directions",
        "continue_old",
        "going_on",
        "tags",
        "notebook",
        "keep_log",
    }
    flags = tune_parser().flags()
    for field in dataclasses.fields(TuneOptions):
        if field.name not in others:
            assert f"--{field.name.replace('_', '-')}" in flags


@pytest.mark.parametrize("url", ["{URL}", "sqlite:///{path}.db", "runs/{name}/s.db"])
def test_a_name_in_braces_is_no_file(url):
    with pytest.raises(InvalidOptionError, match=r"there is no variable (URL|path|name); set it first"):
        read(f"churn --storage {url}")
