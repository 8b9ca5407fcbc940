"""Fixed parameters, enqueued ones, and constraints: they hold, and they survive a resume."""

from dataclasses import replace

import optuna
import pytest

from optuna_nb.errors import InvalidOptionError, ObjectiveError, StudyNotFoundError
from optuna_nb.records import Objective, StudyState, TuneOptions
from optuna_nb.tuning import api, background


def mixed(trial):
    x = trial.suggest_float("x", -1, 1)
    depth = trial.suggest_int("depth", 2, 10, step=2)
    kind = trial.suggest_categorical("kind", ["a", "b", "1"])
    return x**2 + depth + len(kind)


def make(evaluate=mixed, fingerprint="1"):
    return Objective(evaluate, f"code {fingerprint}", {"cell": fingerprint})


@pytest.fixture
def options(tmp_path):
    return TuneOptions(name="s", storage=f"sqlite:///{tmp_path / 's.db'}", trials=8, seed=1)


def column(handle, name):
    return [trial.params[name] for trial in handle.study.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "nsgaii", "qmc"])
def test_a_fixed_parameter_keeps_its_value_and_the_others_vary(options, sampler):
    handle = api.start(make(), replace(options, fix={"depth": 4, "kind": "b"}, sampler=sampler)).wait()
    assert set(column(handle, "depth")) == {4}
    assert set(column(handle, "kind")) == {"b"}
    assert len(set(column(handle, "x"))) == 8
    assert "fixed: depth=4, kind='b'" in handle.note


def test_a_resume_keeps_what_is_fixed_and_ends_as_if_it_had_never_stopped(options, tmp_path):
    whole = replace(options, storage=f"sqlite:///{tmp_path / 'whole.db'}", fix={"depth": 4})
    expected = column(api.start(make(), whole).wait(), "x")
    api.start(make(), replace(options, trials=3, fix={"depth": 4})).wait()
    background.shut_down_all()
    handle = api.start(make(), options)
    assert handle.note == "resumed s@1: 3 of 8 done, 5 to go; fixed: depth=4"
    handle.wait()
    assert set(column(handle, "depth")) == {4}
    assert column(handle, "x") == expected


def test_what_is_fixed_can_be_changed_and_lifted_in_the_same_version(options):
    api.start(make(), replace(options, trials=3, fix={"depth": 4})).wait()
    handle = api.start(make(), replace(options, trials=6, fix={"depth": 6}))
    assert "fixed: depth=6 (before: depth=4)" in handle.note
    handle.wait()
    assert column(handle, "depth") == [4, 4, 4, 6, 6, 6]
    handle = api.start(make(), replace(options, trials=20, fix={}))
    assert "no longer fixed: depth=6" in handle.note
    assert len(set(column(handle.wait(), "depth"))) > 2
    assert handle.name == "s@1"


def test_a_new_version_of_the_code_begins_without_what_was_fixed(options):
    api.start(make(), replace(options, fix={"depth": 4})).wait()
    handle = api.start(make(fingerprint="2"), options).wait()
    assert handle.name == "s@2"
    assert len(set(column(handle, "depth"))) > 1


@pytest.mark.parametrize(
    ("fix", "fragment"),
    [
        ({"depth": 5}, "a number from 2 to 10 in steps of 2"),
        ({"depth": "deep"}, "a number from 2 to 10"),
        ({"x": 3.0}, "a number from -1"),
        ({"kind": "c"}, "one of 'a', 'b', '1'"),
    ],
)
def test_a_value_that_the_objective_does_not_suggest_is_refused_in_one_line(options, fix, fragment):
    with pytest.raises(ObjectiveError) as caught:
        api.start(make(), replace(options, fix=fix)).wait()
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    api.start(make(), replace(options, fix={}, trials=2)).wait()
    with pytest.raises(InvalidOptionError, match=fragment):  # known now, so before anything runs
        api.start(make(), replace(options, fix=fix))


def test_a_number_stands_for_the_choice_that_is_written_so(options):
    handle = api.start(make(), replace(options, fix={"kind": 1, "depth": 4.0})).wait()
    assert set(column(handle, "kind")) == {"1"}
    assert [type(value) for value in column(handle, "depth")] == [int] * 8


def test_a_grid_goes_once_through_what_is_not_fixed(options):
    def grid(trial):
        a = trial.suggest_int("a", 0, 2)
        b = trial.suggest_int("b", 0, 3)
        return a + b + trial.suggest_int("c", 0, 1)

    handle = api.start(make(grid), replace(options, sampler="grid", trials=50, fix={"b": 2})).wait()
    assert sorted(zip(column(handle, "a"), column(handle, "c"), strict=True)) == [
        (a, c) for a in range(3) for c in range(2)
    ]
    assert handle.snapshot().state is StudyState.COMPLETED


# Enqueued


def test_enqueued_sets_are_tried_first_and_in_order(options):
    api.start(make(), replace(options, trials=2)).wait()
    handle = api.load("s", options.storage)
    handle.enqueue([{"x": 0.25, "depth": 8}, {"x": 0.5}])
    assert "2 parameter sets queued" in handle.note
    api.start(make(), options).wait()
    assert column(handle, "x")[2:4] == [0.25, 0.5]
    assert column(handle, "depth")[2] == 8
    assert [t.number for t in handle.study.trials] == list(range(8))


def test_a_study_that_runs_takes_in_what_is_enqueued(options):
    import threading

    gate, reached = threading.Event(), threading.Event()

    def evaluate(trial):
        if trial.number == 3:
            reached.set()
            assert gate.wait(20)
        return mixed(trial)

    handle = api.start(make(evaluate), options)
    assert reached.wait(20)
    handle.enqueue({"x": 0.25})
    assert "they run next" in handle.note
    gate.set()
    handle.wait()
    assert column(handle, "x")[4] == 0.25
    assert [t.number for t in handle.study.trials] == list(range(8))
    assert optuna.load_study(study_name="s@1", storage=options.storage).trials[4].params["x"] == 0.25


def test_an_enqueued_value_goes_before_a_fixed_one(options):
    api.start(make(), replace(options, trials=2, fix={"depth": 4})).wait()
    api.load("s", options.storage).enqueue({"depth": 8})
    handle = api.start(make(), replace(options, trials=4)).wait()
    assert column(handle, "depth") == [4, 4, 8, 4]


@pytest.mark.parametrize("wrong", [[], {}, "x", 3, [3], [{}], {1: 2}, [{"x": 1}, None]])
def test_what_is_no_parameter_set_cannot_be_enqueued(options, wrong):
    handle = api.start(make(), replace(options, trials=1)).wait()
    with pytest.raises(InvalidOptionError, match="a dict of values by parameter name"):
        handle.enqueue(wrong)


def test_an_enqueued_value_is_compared_with_what_trials_were_asked_for(options):
    handle = api.start(make(), replace(options, trials=1)).wait()
    with pytest.raises(InvalidOptionError, match="x=7 is not what the objective suggests"):
        handle.enqueue([{"x": 0.5}, {"x": 7}])
    assert "no trial has asked for rate so far" in handle.enqueue({"rate": 1}).note


# Constraints


def constrained(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.set_constraint("enough", 0.5 - x)
    return x


def test_the_best_trial_is_the_best_feasible_one_everywhere(options):
    handle = api.start(make(constrained), replace(options, trials=30)).wait()
    feasible = min(t.value for t in handle.study.trials if t.params["x"] >= 0.5)
    assert min(t.value for t in handle.study.trials) < 0.5 <= feasible
    assert handle.best_value == feasible
    assert handle.best_params == {"x": feasible}
    snapshot = handle.snapshot()
    assert snapshot.best is not None
    assert snapshot.best.values == (feasible,)
    assert f"best value {feasible:.6g}" in snapshot.note
    share = sum(t.params["x"] >= 0.5 for t in handle.study.trials) / 30
    assert f"{100 * share:.3g}% feasible" in snapshot.note
    assert handle.runs["best_score"].iloc[0] == feasible


def test_constraints_and_metric_names_survive_a_resume(options, tmp_path):
    whole = replace(options, storage=f"sqlite:///{tmp_path / 'whole.db'}", trials=16, metric="loss")
    expected = column(api.start(make(constrained), whole).wait(), "x")
    api.start(make(constrained), replace(options, trials=12, metric="loss")).wait()
    handle = api.start(make(constrained), replace(options, trials=16)).wait()
    assert column(handle, "x") == expected
    assert handle.study.metric_names == ["loss"]
    assert handle.snapshot().metric == "loss"
    assert all(trial.constraints for trial in handle.study.trials)


def test_without_a_feasible_trial_there_is_no_best_one(options):
    def never(trial):
        trial.set_constraint("never", 1.0)
        return trial.suggest_float("x", 0, 1)

    handle = api.start(make(never), options).wait()
    assert handle.snapshot().best is None
    assert "0% feasible" in handle.snapshot().note
    assert "best" not in handle.snapshot().note
    with pytest.raises(StudyNotFoundError, match="feasible"):
        _ = handle.best_value


def test_the_pareto_set_holds_feasible_trials_only(options):
    def two(trial):
        x = trial.suggest_float("x", 0, 1)
        y = trial.suggest_float("y", 0, 1)
        trial.set_constraint("enough", 0.3 - x)
        return x, 1 - x + y

    several = replace(options, directions=("minimize", "minimize"), metric="cost,loss", trials=20)
    handle = api.start(make(two), several).wait()
    assert handle.study.metric_names == ["cost", "loss"]
    assert min(values[0] for values in handle.best_values) >= 0.3
    assert f"Pareto set of {len(handle.best_values)}, best cost" in handle.snapshot().note
