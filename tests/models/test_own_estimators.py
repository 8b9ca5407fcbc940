"""The user's own estimators and pipelines: what they say counts in every trial and in the winner."""

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import make_scorer
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import AutotuneOptions, prepare

QUICK = {"trials": 3, "folds": 2}


def rounds(handle):
    return [trial.user_attrs["rounds"] for trial in handle.study.trials if "rounds" in trial.user_attrs]


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "t": rng.choice(list("abcd"), 200)})
    return X, ((X["a"] > 0) | (X["t"] == "a")).astype(int)


@pytest.mark.parametrize("metric", ["auc", ["auc", "logloss"], "aucpr"])
def test_a_score_that_an_estimator_shows_does_not_stop_its_boosting(tuned, cancer, metric):
    assert rounds(tuned(XGBClassifier(eval_metric=metric), *cancer, **QUICK)) == rounds(
        tuned(XGBClassifier(), *cancer, **QUICK)
    )


@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(early_stopping_rounds=5, enable_categorical=True),
        CatBoostClassifier(use_best_model=True, early_stopping_rounds=5, iterations=30),
        XGBClassifier(objective="multi:softmax"),
    ],
)
def test_what_needs_rows_that_stop_the_boosting_is_not_asked_of_the_winner(tuned, iris, model):
    handle = tuned(model, *iris, **QUICK)
    assert "FAIL" not in {trial.state.name for trial in handle.study.trials}
    assert (np.ravel(handle.best_model.predict(iris[0])) == iris[1]).mean() > 0.9


def test_the_number_that_stands_for_a_gap_does_so_in_the_trials_too(tuned, cancer):
    X, y = cancer
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    marked = tuned(XGBClassifier(missing=-999.0), np.where(np.isnan(gaps), -999.0, gaps), y, **QUICK)
    assert [t.value for t in marked.study.trials] == [
        t.value for t in tuned(XGBClassifier(), gaps, y, **QUICK).study.trials
    ]


@pytest.mark.parametrize("own", [{"tree_method": "exact"}, {"booster": "gblinear"}])
def test_what_cannot_share_binned_rows_is_refused_in_one_line(tuned, cancer, own):
    for model, fix in ((XGBClassifier(**own), {}), ("xgboost", own)):
        with pytest.raises(InvalidOptionError, match=r"leave the other tree_method or booster out"):
            tuned(model, *cancer, fix=fix, **QUICK)


def test_the_steps_of_a_pipeline_in_a_pipeline_are_all_there(tuned, iris):
    inner = make_pipeline(PCA(1), LogisticRegression())
    found = tuned(make_pipeline(StandardScaler(), inner), *iris, **QUICK).best_model
    assert [type(step).__name__ for _, step in found.steps] == ["StandardScaler", "PCA", "LogisticRegression"]


def test_categories_that_the_steps_of_a_pipeline_make_numbers_are_numbers_for_catboost(tuned, texts):
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["t"]), remainder="passthrough"
    )
    handle = tuned(make_pipeline(encode, CatBoostClassifier(iterations=20)), *texts, **QUICK)
    assert (handle.best_model.predict(texts[0]) == texts[1]).mean() > 0.9


def test_numbers_that_an_estimator_takes_for_categories_are_named(tuned, iris):
    X = pd.DataFrame(iris[0], columns=list("abcd"))
    for named in (["b"], [1]):
        with pytest.raises(InvalidOptionError, match=r"X\['b'\] = X\['b'\].astype\('category'\)"):
            tuned(CatBoostClassifier(cat_features=named), X, iris[1], **QUICK)


@pytest.mark.parametrize(
    "model",
    [
        lambda **seed: RandomForestClassifier(5, **seed),
        lambda **seed: XGBClassifier(subsample=0.5, n_estimators=5, **seed),
        lambda **seed: CatBoostClassifier(iterations=5, **seed),
    ],
    ids=["forest", "xgboost", "catboost"],
)
def test_the_seed_of_the_study_goes_before_that_of_an_estimator(iris, model):
    bare, seeded = (
        prepare(AutotuneOptions(model=model(**own), X=iris[0], y=iris[1], folds=2)).objective
        for own in ({}, {"random_state": 7})
    )
    assert seeded.fingerprint == bare.fingerprint
    assert seeded.evaluate.learner.code({}, None) == bare.evaluate.learner.code({}, None)
    assert "=33" in bare.evaluate.learner.code({}, None)


def test_a_model_that_decides_between_pairs_of_classes_is_scored_by_what_it_decides(trial, iris):
    model = SVC(decision_function_shape="ovo")
    asked = AutotuneOptions(model=model, X=iris[0], y=iris[1], metric="accuracy", folds=2)
    assert min(prepare(asked).objective.evaluate(trial)) > 0.9


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "accuracy"])
@pytest.mark.parametrize("loss", ["hinge", "modified_huber"])
def test_rows_are_ordered_by_decision_values_however_large_they_are(trial, cancer, loss, metric):
    model = SGDClassifier(loss=loss, random_state=33)
    space = {"tol": (1e-3, 1e-3)}
    asked = AutotuneOptions(model=model, X=cancer[0], y=cancer[1], metric=metric, folds=3, space=space)
    cv = StratifiedKFold(3, shuffle=True, random_state=33)
    known = cross_val_score(model, *cancer, scoring=metric, cv=cv)
    assert prepare(asked).objective.evaluate(trial) == pytest.approx(known)


def widest(y, decided):
    """Score the largest decision value: probabilities would give 1 at most."""
    return float(np.abs(decided).max())


DECIDED = make_scorer(widest, response_method="decision_function")


def by_hand(estimator, X, y):
    """Ask for all that a classifier of scikit-learn may say."""
    assert estimator.predict_proba(X).shape == (len(X), 2)
    assert set(estimator.predict(X)) <= {0, 1}
    return widest(y, estimator.decision_function(X))


@pytest.mark.parametrize("metric", [DECIDED, by_hand])
def test_a_scorer_may_ask_a_known_model_for_its_decision_values(trial, cancer, metric):
    asked = AutotuneOptions(model="logistic", X=cancer[0], y=cancer[1], metric=metric, folds=2)
    assert min(prepare(asked).objective.evaluate(trial)) > 1


@pytest.mark.parametrize("model", ["random_forest", "xgboost", "catboost"])
def test_a_scorer_that_asks_what_a_model_cannot_tell_is_refused_in_one_line(cancer, model):
    with pytest.raises(InvalidOptionError, match=f"widest asks for decision_function, and {model} has none"):
        prepare(AutotuneOptions(model=model, X=cancer[0], y=cancer[1], metric=DECIDED))


def test_a_step_of_a_pipeline_keeps_its_own_seed(iris):
    first, second = (
        prepare(
            AutotuneOptions(
                model=make_pipeline(PCA(1, random_state=seed), LogisticRegression()), X=iris[0], y=iris[1]
            )
        ).objective
        for seed in (1, 2)
    )
    assert first.fingerprint != second.fingerprint
    assert [it.evaluate.learner.recipe.steps[0].random_state for it in (first, second)] == [1, 2]


def test_a_forest_that_samples_no_rows_is_tuned_without_that(tuned, iris):
    handle = tuned(RandomForestClassifier(10, bootstrap=False), *iris, **QUICK)
    assert {trial.state.name for trial in handle.study.trials} <= {"COMPLETE", "PRUNED"}


def test_few_rows_have_few_neighbours_and_rare_classes_are_boosted(tuned):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3))
    y = np.arange(24) % 8
    for model in ("knn", "hist_gradient_boosting"):
        handle = tuned(model, X, y, trials=12, folds=3)
        assert {trial.state.name for trial in handle.study.trials} <= {"COMPLETE", "PRUNED"}
        assert handle.best_model.predict(X).shape == (24,)


@pytest.mark.parametrize(
    "steps",
    [
        [make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(), ["t"]))],
        [make_column_transformer((make_pipeline(StandardScaler(), PCA(1)), ["a"]), remainder="drop")],
    ],
)
def test_the_printed_code_brings_all_that_it_needs(tuned, texts, steps):
    handle = tuned(make_pipeline(*steps, LogisticRegression()), *texts, **QUICK)
    names = {}
    exec(handle.study.user_attrs["code"], names)  # noqa: S102 - it is what a reader would run
    model = names["model"].fit(*texts)
    assert np.array_equal(model.predict(texts[0]), handle.best_model.predict(texts[0]))


def test_the_printed_code_brings_the_estimators_that_are_in_lists(tuned, iris):
    voters = [
        ("tree", DecisionTreeClassifier()),
        ("line", make_pipeline(StandardScaler(), LogisticRegression())),
    ]
    handle = tuned(
        VotingClassifier(voters), *iris, space={"voting": ["soft", "hard"]}, metric="accuracy", **QUICK
    )
    names = {}
    exec(handle.study.user_attrs["code"], names)  # noqa: S102 - it is what a reader would run
    assert names["model"].fit(*iris).score(*iris) > 0.9


def test_numbers_that_a_step_makes_objects_are_no_categories_for_catboost(tuned, texts):
    fill = SimpleImputer(strategy="most_frequent").set_output(transform="pandas")
    handle = tuned(make_pipeline(fill, CatBoostClassifier(iterations=5)), *texts, **QUICK)
    assert {trial.state.name for trial in handle.study.trials} <= {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize(
    "step",
    [OrdinalEncoder(categories=[np.arange(3)] * 4), FunctionTransformer(np.log1p)],
    ids=["array", "ufunc"],
)
def test_what_has_no_text_needs_no_name_that_is_not_there(step):
    from optuna_nb.models.python import written

    codes, imports = written([step, OrdinalEncoder(unknown_value=np.nan, handle_unknown="use_encoded_value")])
    assert codes[0] == "step_1"
    names = {"step_1": step}
    exec("\n".join(imports), names)  # noqa: S102 - it is what a reader would run
    assert np.isnan(eval(codes[1], names).unknown_value)  # noqa: S307 - likewise


def test_a_parameter_that_has_no_text_is_a_name_in_the_printed_code(tuned, iris, cancer):
    def weights(distances):
        return 1 / (1 + distances)

    code = tuned(KNeighborsClassifier(weights=weights), *iris, **QUICK).study.user_attrs["code"]
    assert "# weights is that of your own KNeighborsClassifier: it has no text" in code
    names = {"weights": weights}
    exec(code, names)  # noqa: S102 - it is what a reader would run
    assert names["model"].fit(*iris).weights is weights
    y = np.exp(cancer[0].iloc[:, 0] / 10)
    model = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)
    code = tuned(model, cancer[0], y, name="t", space={"regressor__alpha": (0.1, 1.0)}, trials=1).study
    names = {}
    exec(code.user_attrs["code"], names)  # noqa: S102 - it is what a reader would run
    assert names["model"].func is np.log1p


def test_a_step_that_has_no_text_is_a_name_in_the_printed_code(tuned, iris):
    steps = [("log", FunctionTransformer(np.log1p)), ("model", HistGradientBoostingClassifier())]
    code = tuned(Pipeline(steps), *iris, **QUICK).study.user_attrs["code"]
    assert code.startswith("# step_1 is the FunctionTransformer of your own pipeline")
    assert "model = make_pipeline(step_1, HistGradientBoostingClassifier(" in code
    compile(code, "best", "exec")


@pytest.mark.parametrize(
    "model", ["logistic", "random_forest", "xgboost", "hist_gradient_boosting", "catboost"]
)
def test_columns_of_text_may_mix_types_have_gaps_of_pandas_or_be_empty(tuned, texts, model):
    X, y = texts
    mixed = X["t"].astype(object).where(X["a"] < 1, 7)
    X = X.assign(t=X["t"].where(X["a"] < 1, pd.NA).astype("string"), mixed=mixed, empty=None)
    few_rounds = {"depth": 2, "learning_rate": 0.3} if model == "catboost" else None
    handle = tuned(model, X, y, **QUICK, fix=few_rounds)
    assert "FAIL" not in {trial.state.name for trial in handle.study.trials}
    assert len(handle.best_model.predict(X)) == 200


@pytest.mark.parametrize("kind", ["Int64", "Float64"])
def test_a_forest_takes_numbers_with_gaps_of_pandas_beside_text_and_prints_their_code(tuned, texts, kind):
    X, y = texts
    X = X.assign(n=pd.array([1, None] * 100, dtype=kind))
    handle = tuned("random_forest", X, y, **QUICK, fix={"n_estimators": 5})
    names = {}
    exec(handle.study.user_attrs["code"], names)  # noqa: S102 - it is what a reader would run
    model = names["model"].fit(X, y)
    assert np.array_equal(model.predict_proba(X), handle.best_model.predict_proba(X))
    assert handle.best_model.predict(X.assign(n=1)).shape == (200,)


def test_the_printed_code_says_that_rows_had_weights_and_writes_numbers_that_are_none(tuned, cancer):
    X, y = cancer
    model = XGBClassifier(missing=float("inf"))
    code = tuned(model, X, y, sample_weight=np.ones(len(y)), **QUICK).study.user_attrs["code"]
    assert (
        "# it was fitted with sample_weight: model.fit(X, y,"
        " sample_weight=sample_weight / np.mean(sample_weight))\nmodel = XGB" in code
    )
    assert "    missing=float('inf')," in code


class Remembering(FunctionTransformer):
    """A step that looks its rows up in a table of the user's."""

    table = pd.Series(dtype=float)

    def transform(self, X):
        return np.column_stack([X["a"], self.table[X.index]])


def test_scorers_splitters_and_steps_see_the_users_index(trial):
    class Halves:
        def split(self, X, y=None, groups=None):
            even = X.index.to_numpy() % 2 == 0
            yield np.flatnonzero(even), np.flatnonzero(~even)

    def is_odd_and_known(estimator, X, y):
        return float((X.index % 2 == 1).all()) * float((estimator.predict(X) == y).mean())

    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200)}, index=rng.permutation(200) + 1000)
    y = rng.integers(0, 2, 200)
    Remembering.table = pd.Series(y, index=X.index)
    model = make_pipeline(Remembering(), LogisticRegression(C=100.0))
    asked = AutotuneOptions(model=model, X=X, y=y, metric=is_odd_and_known, cv=Halves())
    assert prepare(asked).objective.evaluate(trial) == [1.0]


@pytest.mark.parametrize("model", ["xgboost", "catboost", "logistic", "random_forest"])
def test_an_index_with_duplicates_changes_no_score(tuned, texts, model):
    X, y = texts
    groups, weights = np.arange(200) % 7, np.linspace(1, 2, 200)
    few_rounds = {"depth": 2, "learning_rate": 0.3} if model == "catboost" else None
    options = {**QUICK, "trials": 2, "fix": few_rounds, "groups": groups, "sample_weight": weights}
    plain = tuned(model, X, y, name="plain", **options)
    doubled = X.set_axis(np.arange(200)[::-1] // 3, axis=0)
    found = tuned(model, doubled, pd.Series(y.to_numpy()), name="doubled", **options)
    assert [it.value for it in found.study.trials] == [it.value for it in plain.study.trials]
    assert np.array_equal(found.best_model.predict(doubled), plain.best_model.predict(X))


@pytest.mark.parametrize(
    ("model", "fix", "space"),
    [
        (SGDClassifier(random_state=0), {"loss": "log_loss"}, {"alpha": (1e-5, 1.0, "log")}),
        ("svm", {"probability": True}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
def test_a_fixed_parameter_lets_a_model_give_probabilities(tuned, cancer, model, fix, space):
    options = {} if space is None else {"space": space}
    assert tuned(model, *cancer, **QUICK, metric="log_loss", fix=fix, **options).best_value < 10


@pytest.mark.parametrize("form", [np.asarray, pd.DataFrame])
def test_a_column_without_a_value_is_refused_where_histograms_cannot_take_it(tuned, form):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    X[:, 1] = np.nan
    y = X[:, 0] + 0.1 * rng.normal(size=60)
    with pytest.raises(
        InvalidOptionError, match=r"column '?1'? has no value in the rows that fold 1 learns from"
    ):
        tuned("hist_gradient_boosting", form(X), y, **QUICK)
    assert np.isfinite(tuned("xgboost", form(X), y, **QUICK, fix={"n_estimators": 10}).best_value)
