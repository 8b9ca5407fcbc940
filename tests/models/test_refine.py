"""The second step around the best, and several models in one call."""

import threading

import optuna
import pytest

from harness.waiting import until
from optuna_nb.cell.api import load, tune
from optuna_nb.cell.autotune import autotune, refine_study, summary
from optuna_nb.errors import InvalidOptionError, StudyNotFoundError
from optuna_nb.models.winner import HOLDOUT
from optuna_nb.records import StudyState
from optuna_nb.tuning import background


@pytest.fixture
def storage(tmp_path):
    yield f"sqlite:///{tmp_path}/tuning.db"
    background.shut_down_all()


def test_the_child_tries_nine_tenths_to_eleven_tenths_of_the_best_and_keeps_the_rest(storage, iris):
    parent = autotune("xgboost", *iris, name="flowers", trials=4, folds=2, storage=storage, wait=True)

    child = refine_study(parent, ["learning_rate"], trials=5).wait()

    centre = parent.best_params
    values = {t.params["learning_rate"] / centre["learning_rate"] for t in child.study.trials}
    assert child.name == "flowers_refined@1"
    assert all(min(abs(v - f) for f in (0.9, 0.95, 1, 1.05, 1.1)) < 1e-9 for v in values)
    assert all(t.params["max_depth"] == centre["max_depth"] for t in child.study.trials)
    assert child.study.trials[0].params["learning_rate"] == centre["learning_rate"]
    assert child.study.user_attrs["refines"]["study"] == parent.name
    assert child.best_model.predict(iris[0][:1]).shape == (1,)


def test_a_study_of_optunas_own_is_no_refinement(storage):
    optuna.create_study(storage=storage, study_name="bowl_refined")
    parent = tune(
        lambda trial: trial.suggest_float("x", 0, 1), name="bowl", trials=2, storage=storage, wait=True
    )
    with pytest.raises(InvalidOptionError, match="bowl_refined is a study of Optuna's"):
        refine_study(parent)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("shift", [-1, 1])
def test_the_child_is_kept_only_if_it_is_better(storage, direction, shift):
    def objective(trial):  # its values move by more than the grid can
        is_child = "refined" in trial.study.study_name
        return trial.suggest_float("x", 0.1, 0.2) + (shift if is_child else 0)

    parent = tune(objective, name="f", trials=3, seed=1, directions=(direction,), storage=storage, wait=True)
    kept = refine_study(parent, trials=3, wait=True)

    child_is_better = (shift < 0) == (direction == "minimize")
    assert kept.name == ("f_refined@1" if child_is_better else "f@1")


@pytest.mark.slow
def test_another_centre_is_another_version_of_the_child(storage, iris):
    parent = autotune("logistic", *iris, name="f", trials=1, folds=2, storage=storage, wait=True)
    first = refine_study(parent, trials=2).wait()
    parent = autotune("logistic", *iris, name="f", trials=15, folds=2, storage=storage, wait=True)
    second = refine_study(parent, trials=2).wait()

    assert (first.name, second.name) == ("f_refined@1", "f_refined@2")
    assert "centre changed" in second.note


def refined_later(caplog):
    """Wait for the thread that refines, and return what it warned of."""
    for thread in threading.enumerate():
        if thread.name == "optuna_nb refine":
            thread.join(30)
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_refinement_that_cannot_begin_later_is_warned_of(storage, iris, caplog):
    optuna.create_study(storage=storage, study_name="f_refined")
    autotune("knn", *iris, name="f", trials=2, folds=2, storage=storage, refine=True)
    (said,) = refined_later(caplog)
    assert said.startswith("f@1 is not refined: f_refined is a study of Optuna's, not a refinement")


def test_a_parent_that_ends_by_its_timeout_is_refined(storage, iris, caplog):
    autotune("logistic", *iris, name="f", trials=9999, timeout=1, folds=2, storage=storage, refine=True)
    assert refined_later(caplog) == []
    assert load("f_refined", storage).wait().snapshot().done > 1


def test_a_parent_that_was_stopped_is_not_refined(storage, iris, caplog):
    parent = autotune("knn", *iris, name="f", trials=9999, folds=2, storage=storage, refine=True)
    until(lambda: parent.snapshot().done, 20)
    parent.stop()
    assert refined_later(caplog) == []
    with pytest.raises(StudyNotFoundError):
        load("f_refined", storage)


def test_any_study_can_be_refined(storage):
    def objective(trial):
        return (trial.suggest_float("x", -5, 5) - 1) ** 2 + trial.suggest_int("k", 10, 90)

    parent = tune(objective, name="parabola", trials=12, seed=1, storage=storage, wait=True)

    better = refine_study(parent, wait=True)

    assert better.best_value < parent.best_value
    with pytest.raises(InvalidOptionError, match="no numeric parameter"):
        refine_study(parent, ["depth"])


def test_a_grid_of_many_parameters_is_drawn_from_and_never_made_whole(storage):
    def objective(trial):
        return sum(trial.suggest_float(f"x{i}", -5, 5) for i in range(20))  # 5**20 points

    parent = tune(objective, name="many", trials=2, seed=1, storage=storage, wait=True)

    child = refine_study(parent).wait()

    points = {tuple(trial.params.values()) for trial in child.study.trials}
    assert len(points) == child.snapshot().done == 25
    for name, best in parent.best_params.items():
        near = {round(trial.params[name] / best, 9) for trial in child.study.trials}
        assert near <= {0.9, 0.95, 1, 1.05, 1.1}


def test_a_parameter_that_was_fixed_stays_as_it_is_unless_it_is_named(storage):
    def objective(trial):
        return (trial.suggest_float("x", -5, 5) - 1) ** 2 + trial.suggest_int("k", 10, 90)

    parent = tune(objective, name="parabola", trials=6, seed=1, fix={"k": 40}, storage=storage, wait=True)

    child = refine_study(parent).wait()
    assert {trial.params["k"] for trial in child.study.trials} == {40}
    assert len({trial.params["x"] for trial in child.study.trials}) == child.snapshot().done - 1 == 5
    named = refine_study(parent, ["k"]).wait()
    assert {trial.params["k"] for trial in named.study.trials} == {36, 38, 40, 42, 44}


@pytest.mark.parametrize("space", [(1, 1), (2, 3)])
def test_a_grid_of_one_point_is_refused(storage, space):
    def objective(trial):
        return trial.suggest_int("k", *space)

    parent = tune(objective, name="flat", trials=2, seed=1, storage=storage, wait=True)
    with pytest.raises(InvalidOptionError, match="no number that could be finer"):
        refine_study(parent)


def test_a_value_outside_of_its_range_is_not_tried():
    from optuna_nb.models.refine import _values

    assert _values(1.0, optuna.distributions.FloatDistribution(0.5, 1.0)) == (0.9, 0.95, 1.0)
    assert _values(20, optuna.distributions.IntDistribution(1, 21)) == (18, 19, 20, 21)
    assert _values(2, optuna.distributions.IntDistribution(1, 9)) == (2,)
    assert _values(192, optuna.distributions.IntDistribution(32, 512, step=32)) == (160, 192, 224)
    assert _values(2.0, optuna.distributions.FloatDistribution(0.5, 3.0, step=0.25)) == (1.75, 2.0, 2.25)


@pytest.mark.slow
def test_several_models_share_one_budget_and_the_best_gets_most(storage, iris):
    found = autotune(
        ["logistic", "decision_tree", "knn"],
        *iris,
        name="iris",
        trials=24,
        folds=3,
        storage=storage,
        wait=True,
    )

    table = found.table
    assert table["trials"].sum() == 24
    assert table["trials"].iloc[0] == table["trials"].max()
    assert list(table["log_loss"]) == sorted(table["log_loss"])
    assert found.winner.name == table["study"].iloc[0]
    assert found.winner.best_model.predict(iris[0][:1]).shape == (1,)


@pytest.mark.parametrize("wait", [True, False])
def test_a_refinement_of_which_no_trial_completes_leaves_the_parent_the_best(storage, wait):
    def objective(trial):
        if "refined" in trial.study.study_name:
            raise optuna.TrialPruned
        return trial.suggest_float("x", 0.1, 0.2)

    parent = tune(objective, name="f", trials=3, seed=1, storage=storage, wait=True)
    kept = refine_study(parent, trials=3, wait=wait)

    assert kept.name == ("f@1" if wait else "f_refined@1")
    child = load("f_refined", storage).wait()
    assert child.snapshot().state is StudyState.COMPLETED
    assert list(child.runs["status"]) == ["completed"]


def test_a_refinement_counts_the_looks_of_its_parent_at_the_held_out_rows(storage, iris):
    parent = autotune("logistic", *iris, name="f", trials=3, folds=2, holdout=0.3, storage=storage, wait=True)
    assert parent.study.user_attrs[HOLDOUT]["looks"] == 1
    child = refine_study(parent, trials=2).wait()
    assert child.study.user_attrs[HOLDOUT]["looks"] == 2
    assert "looked at 2 times" in summary(child.study)


def test_where_the_defaults_won_the_centre_of_a_refinement_is_what_they_do(storage, iris):
    parent = autotune("random_forest", *iris, name="f", trials=1, folds=2, storage=storage, wait=True)
    assert "the best trial is the library's defaults" in summary(parent.study)
    child = refine_study(parent, trials=1).wait()
    assert child.study.trials[0].value == parent.best_value
