"""How far a fingerprint looks: through decorators, modules and fitted estimators, to what counts."""

import contextlib
import functools
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._testing import ignore_warnings
from xgboost import XGBRegressor

from optuna_nb import tune
from optuna_nb.tuning.fingerprint import examine, fingerprint
from optuna_nb.tuning.hashing import ContentHasher

X = np.arange(60.0).reshape(-1, 2)


def tune_parts(cell, setup="", **names):
    namespace = {"__name__": "__main__", **names}
    exec(textwrap.dedent(setup), namespace)  # noqa: S102
    return fingerprint(cell, namespace)


@pytest.mark.parametrize(
    "decorator",
    [
        "@contextlib.contextmanager",
        "@functools.singledispatch",
        "@ignore_warnings()",
        "@contextlib.contextmanager\n@functools.wraps(print)",
        "@functools.cache\n@ignore_warnings()",
    ],
)
def test_what_a_decorator_of_a_library_wraps_counts_and_what_that_reads(decorator):
    setup = f"{decorator}\ndef f(x=1):\n    yield x + A\n"
    names = {"contextlib": contextlib, "functools": functools, "ignore_warnings": ignore_warnings}
    old = tune_parts("f()", setup, A=1, **names)
    assert tune_parts("f()", setup, A=1, **names) == old
    assert tune_parts("f()", setup.replace("x + A", "x - A"), A=1, **names) != old
    assert tune_parts("f()", setup, A=2, **names) != old


def test_what_is_registered_for_a_type_counts():
    setup = "@functools.singledispatch\ndef f(x): ...\n@f.register\ndef _(x: int): return x\n"
    old = tune_parts("f(1)", setup, functools=functools)
    assert tune_parts("f(1)", setup.replace("return x", "return -x"), functools=functools) != old


def test_a_wrapped_function_that_data_holds_counts():
    setup = "@ignore_warnings()\ndef f(x): return x\ntable = {'f': f}\n"
    old = tune_parts("table['f'](1)", setup, ignore_warnings=ignore_warnings)
    other = setup.replace("return x", "return -x")
    assert tune_parts("table['f'](1)", other, ignore_warnings=ignore_warnings) != old


# ------------------------------------------------------------------ modules

FILES = {
    "package/__init__.py": "",
    "package/inner.py": "from . import deep\ndef f(x): return deep.g(x)\n",
    "package/deep.py": "def g(x): return x + 1\n",
    "middle.py": "import core\ndef h(x): return core.g(x)\ndef other(x): return x\n",
    "core.py": "def g(x): return x + 1\n",
}


def in_a_folder(tmp_path, cell, setup, files=FILES, folder="."):
    """Fingerprint in a fresh process that works in a folder."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    program = f"""
        import os, sys
        from optuna_nb.tuning.fingerprint import fingerprint
        names = {{"__name__": "__main__"}}
        exec({setup!r}, names)
        print(fingerprint({cell!r}, names))
    """
    path = [str(Path(__file__).parents[2]), str(tmp_path), str(tmp_path / "src")]
    return subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program)],
        cwd=tmp_path / folder,
        env={"PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("setup", "cell", "changed"),
    [
        ("import package.inner", "package.inner.f(1)", "package/deep.py"),
        ("import package.inner as i", "i.f(1)", "package/inner.py"),
        ("", "from package import inner\ninner.f(1)", "package/deep.py"),
        ("", "import middle as m\nm.h(1)", "core.py"),
        ("", "from middle import h\nh(1)", "core.py"),
        ("import middle", "m = middle\nm.h(1)", "core.py"),
        ("import middle", "middle.h(1)", "core.py"),
    ],
)
def test_modules_of_the_user_count_however_they_are_reached(setup, cell, changed, tmp_path):
    old = in_a_folder(tmp_path, cell, setup)
    assert in_a_folder(tmp_path, cell, setup) == old
    other = FILES | {changed: FILES[changed].replace("return ", "return -")}
    assert in_a_folder(tmp_path, cell, setup, other) != old


def test_a_comment_that_moves_a_function_in_its_file_does_not_count(tmp_path):
    program = """
        import linecache, pathlib
        from optuna_nb.tuning.fingerprint import fingerprint
        import core
        old = fingerprint("core.g(1)", {"core": core})
        file = pathlib.Path("core.py")
        for text, same in ((f"# said\\n\\n{file.read_text()}", True), ("def g(x): return x + 2\\n", False)):
            file.write_text(text)
            linecache.checkcache()
            assert (fingerprint("core.g(1)", {"core": core}) == old) is same, text
    """
    in_a_folder(tmp_path, "1", textwrap.dedent(program))


def test_modules_of_the_repository_count_from_any_of_its_folders(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "notebooks").mkdir()
    files = {"src/outer.py": "def f(x): return x\n"}
    old = in_a_folder(tmp_path, "outer.f(1)", "import outer", files, "notebooks")
    other = {"src/outer.py": "def f(x): return -x\n"}
    assert in_a_folder(tmp_path, "outer.f(1)", "import outer", other, "notebooks") != old


def test_another_working_folder_changes_nothing_that_counts(tmp_path):
    (tmp_path / "sub").mkdir()
    setup = "import core, os\nfrom optuna_nb.tuning.fingerprint import fingerprint\nfingerprint('1', {})\n"
    old = in_a_folder(tmp_path, "core.g(1)", setup)
    assert in_a_folder(tmp_path, "core.g(1)", f"{setup}os.chdir('sub')") == old


# ------------------------------------------------------------------ data

LEARNERS = {
    "scaler": (lambda y: StandardScaler().fit(X * y), "e.transform(X)"),
    "forest": (lambda y: RandomForestRegressor(3, random_state=1).fit(X, X[:, 0] * y), "e.predict(X)"),
    "boosting of scikit-learn": (
        lambda y: HistGradientBoostingRegressor(max_iter=3).fit(X, X[:, 0] * y),
        "e.predict(X)",
    ),
    "XGBoost": (lambda y: XGBRegressor(n_estimators=3).fit(X, X[:, 0] * y), "e.predict(X)"),
    "pipeline": (lambda y: make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0] * y), "e.predict(X)"),
    "attribute": (lambda y: Ridge().fit(X, X[:, 0] * y), "e.coef_.sum()"),
    "search": (
        lambda y: GridSearchCV(Ridge(), {"alpha": [1, 2]}).fit(X, np.sin(X[:, 0]) * y),
        "e.best_score_, e.predict(X)",
    ),
}


@pytest.mark.parametrize("kind", LEARNERS)
def test_what_an_estimator_has_learned_counts_where_a_cell_asks_for_it(kind):
    fit, cell = LEARNERS[kind]
    old = fingerprint(cell, {"e": fit(1)})
    assert fingerprint(cell, {"e": fit(1)}) == old
    assert fingerprint(cell, {"e": fit(-2)}) != old


@pytest.mark.parametrize(
    "cell", ["clone(e)", "e.fit(X).predict(X)", "cross_val_score(e, X)", "e.set_params(a=1)"]
)
def test_what_an_estimator_has_learned_does_not_count_where_it_is_fitted_anew(cell):
    before, after = Ridge(), Ridge().fit(X, X[:, 0])
    assert fingerprint(cell, {"e": before}) == fingerprint(cell, {"e": after})


def test_distributions_and_trials_of_optuna_count_by_what_they_say():
    low, high = (optuna.distributions.FloatDistribution(0, top) for top in (1, 2))
    assert fingerprint("d", {"d": low}) != fingerprint("d", {"d": high})
    one, again, other = (optuna.trial.create_trial(value=value) for value in (1.0, 1.0, 2.0))
    again.datetime_complete = one.datetime_start
    assert fingerprint("t", {"t": one}) == fingerprint("t", {"t": again})
    assert fingerprint("t", {"t": one}) != fingerprint("t", {"t": other})


def test_a_study_of_optuna_is_named_as_it_cannot_be_looked_into():
    assert examine("s.best_value", {"s": optuna.create_study()}).unseen == ("s (optuna.study.study.Study)",)


def test_the_handle_of_another_study_counts_by_the_name_of_that(tmp_path):
    url = f"sqlite:///{tmp_path}/s.db"
    handles = [tune(lambda trial: 1.0, name="other", trials=trials, storage=url) for trials in (2, 3)]
    handles[-1].wait()
    assert handles[0].note != handles[1].note
    one, other = (examine("h.best_value", {"h": handle}) for handle in handles)
    assert one.parts == other.parts
    assert one.unseen == ("h (optuna_nb.StudyHandle)",)


def digest(value):
    return ContentHasher(str).digest(value, "value")


def test_long_nested_data_is_hashed_in_no_time_and_each_value_counts():
    def records():
        return [{"a": i, "b": str(i), "c": [i, i + 0.5, None]} for i in range(100_000)]

    began = time.process_time()
    old = digest(records())
    assert time.process_time() - began < 2
    for change in (
        lambda it: it[7]["c"].append(1),
        lambda it: it[-1].update(a=1.0),
        lambda it: it[3].pop("b"),
    ):
        other = records()
        change(other)
        assert digest(other) != old
    turned = [dict(reversed(it.items())) for it in records()]
    assert digest(turned) == old


def test_a_long_list_that_holds_itself_or_huge_numbers_is_hashed():
    own: list[object] = [[1]] * 40
    own.append(own)
    assert digest(own) == digest(own)
    assert digest([[10**5000]] * 40) != digest([[10**5000 + 1]] * 40)
