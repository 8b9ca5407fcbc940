"""How far a fingerprint looks: through decorators, modules and fitted estimators, to what counts."""

import contextlib
import functools
import operator
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
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
from optuna_nb.tuning.meaning import is_same_code

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
    there = "home = os.getcwd(); os.chdir('/'); fingerprint('core.g(1)', {'core': core}); os.chdir(home)"
    assert in_a_folder(tmp_path, "core.g(1)", setup + there) == old


def test_no_module_is_run_or_has_to_be_readable_to_be_looked_at(tmp_path):
    files = {
        "helpers.py": "def f(x): return x\ndef publish():\n    from upload import send, python2, gone\n",
        "upload.py": "raise SystemExit('was run')",
        "python2.py": "print 'old'",
        "package/__init__.py": "raise SystemExit('was run')",
        "package/inner.py": "def send(): ...",
    }
    cell = "from helpers import f\nimport python2\nfrom package.inner import send\nf(1)"
    found = in_a_folder(tmp_path, cell, "", files)
    assert "'import helpers'" in found
    assert "'import upload'" in found
    assert "'import package.inner'" in found


def test_what_a_module_says_counts_where_it_is_handed_on_but_not_what_its_calls_give(tmp_path):
    files = {"config.py": "import time\nRATE = 0.1\nSTAMP = time.time()\n"}
    old = in_a_folder(tmp_path, "build(config)", "import config", files)
    assert in_a_folder(tmp_path, "build(config)", "import config", files) == old
    assert in_a_folder(tmp_path, "build(config)", "import config\nconfig.RATE = 0.2", files) != old
    other = {"config.py": files["config.py"] + "def more(): ..."}
    assert in_a_folder(tmp_path, "build(config)", "import config", other) != old


def test_names_that_a_star_brings_from_the_users_module_are_the_cells_own_loaded_or_not(tmp_path):
    files = {"names.py": "X = 1\ndef f(): return X\n"}
    cell = "from names import *\nf() + X"
    old = in_a_folder(tmp_path, cell, "X = 5", files)
    assert in_a_folder(tmp_path, cell, "X = 5; import names", files) == old
    assert "data X" not in old


def test_a_folder_without_init_is_a_package_of_the_user_too(tmp_path):
    files = {"spaces/inner.py": "def f(x): return x\n"}
    old = in_a_folder(tmp_path, "spaces.inner.f(1)", "import spaces.inner", files)
    other = {"spaces/inner.py": "def f(x): return -x\n"}
    assert in_a_folder(tmp_path, "spaces.inner.f(1)", "import spaces.inner", other) != old


def test_many_functions_that_cannot_be_compiled_alone_take_no_time(tmp_path):
    lines = [f"table.append(lambda x: x + {i})" for i in range(400)]
    lines += [f"class C{i}(dict):\n    def __init__(self): super().__init__()" for i in range(100)]
    files = {"many.py": "\n".join(["table = []", *lines])}
    setup = """
import many, time
from optuna_nb.tuning.fingerprint import fingerprint
began = time.process_time()
fingerprint("[f(1) for f in many.table], many.C1()", {"many": many})
assert time.process_time() - began < 2
"""
    in_a_folder(tmp_path, "1", setup, files)


def test_an_attribute_of_a_function_that_is_called_registry_is_no_hindrance():
    setup = "@ignore_warnings()\ndef f(x): return x\nf.registry = table"
    parts = tune_parts("f(1)", setup, ignore_warnings=ignore_warnings, table=pd.DataFrame({"a": [1]}))
    assert list(parts) == ["cell", "def f"]


@pytest.mark.parametrize(
    ("setup", "part"),
    [
        (
            """
            def memoize(g):
                cache = {}
                def inner(k):
                    cache.setdefault(k, g(k))
                    return cache[k]
                return inner
            @memoize
            def f(k): return k
            """,
            "data f.cache",
        ),
        (
            """
            def counted(g):
                calls = 0
                def inner(k):
                    nonlocal calls
                    calls += 1
                    return g(k)
                return inner
            @counted
            def f(k): return k
            """,
            "data f.calls",
        ),
        ("def f(k, cache={}): cache[k] = k", "data f (default 0)"),
        ("def f(k, *, cache=[]): cache.append(k)", "data f (default cache)"),
        (
            """
            class f:
                calls = 0
                def __init__(self, k): f.calls += 1
            """,
            "data f.calls",
        ),
    ],
)
def test_what_code_keeps_of_its_calls_is_data_and_no_code(setup, part):
    names = {"__name__": "__main__"}
    exec(textwrap.dedent(setup), names)  # noqa: S102
    before = fingerprint("f(1)", names)
    names["f"](1)
    after = fingerprint("f(1)", names)
    assert [name for name in before if before[name] != after[name]] == [part]


def test_closures_that_hold_other_data_cannot_change_places():
    setup = "def make(n):\n    def inner(): return n\n    return inner\n"
    old = tune_parts("f() - g()", setup + "f, g = make(1), make(2)")
    assert tune_parts("f() - g()", setup + "f, g = make(2), make(1)") != old
    listed = tune_parts("[h() for h in table]", setup + "table = [make(1), make(2)]")
    assert tune_parts("[h() for h in table]", setup + "table = [make(2), make(1)]") != listed


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


class Noise(BaseEstimator):
    def __init__(self, random_scale=1):
        self.random_scale = random_scale

    def fit(self, X):
        self.mean_, self._n_threads = X.mean(), 2
        return self

    def transform(self, X):
        return X - self.mean_


def test_parameters_count_beside_what_was_learned_and_apart_from_it():
    old = fingerprint("e.transform(X)", {"e": Noise(1).fit(X)})
    assert fingerprint("e.transform(X)", {"e": Noise(2).fit(X)})["data e"] != old["data e"]
    relearned = fingerprint("e.transform(X)", {"e": Noise(1).fit(X + 1)})
    assert {part for part in old if old[part] != relearned[part]} == {"data e (fitted)"}


def test_how_many_threads_an_estimator_was_given_does_not_count():
    one, other = Noise().fit(X), Noise().fit(X)
    other._n_threads = 8
    assert fingerprint("e.transform(X)", {"e": one}) == fingerprint("e.transform(X)", {"e": other})


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


@pytest.mark.parametrize(
    ("one", "again", "other"),
    [
        (pd.Interval(1, 2), pd.Interval(1, 2), pd.Interval(1, 2, closed="left")),
        (pd.offsets.MonthEnd(2), pd.offsets.MonthEnd(2), pd.offsets.MonthEnd(2, normalize=True)),
        (pd.cut([1, 5], [0, 2, 6]), pd.cut([1, 5], [0, 2, 6]), pd.cut([1, 5], [0, 3, 6])),
        (ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Paris")),
        (operator.itemgetter(1), operator.itemgetter(1), operator.itemgetter(2)),
    ],
)
def test_intervals_offsets_zones_and_getters_count_by_what_they_say(one, again, other):
    first = examine("it", {"it": one})
    assert first.unseen == ()
    assert first.parts == fingerprint("it", {"it": again})
    assert first.parts != fingerprint("it", {"it": other})


def digest(value):
    return ContentHasher(str).digest(value, "value")


def test_long_nested_data_is_hashed_in_no_time_and_each_value_counts():
    def records(count=20_000):
        return [{"a": i, "b": str(i), "c": [i, i + 0.5, None]} for i in range(count)]

    many = records(100_000)
    began = time.process_time()
    digest(many)
    assert time.process_time() - began < 2
    old = digest(records())
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


def test_long_lists_of_tuples_are_hashed_in_no_time_and_each_value_and_kind_counts():
    def pairs(count=2_000, *, text="text", kind=tuple):
        return [kind([f"{text} {i}", i, (i / 7, None, True)]) for i in range(count)]

    many = pairs(100_000)
    began = time.process_time()
    digest(many)
    assert time.process_time() - began < 1
    old = digest(pairs())
    assert digest(pairs()) == old
    for other in (
        pairs(text="other"),
        pairs(1_999),
        pairs(kind=list),
        [*pairs()[:-1], ("text 1999", 1999, ())],
    ):
        assert digest(other) != old
    assert digest([(1, 1)] * 40) != digest([(True, 1)] * 40) != digest([(1.0, 1)] * 40)
    code = """
from optuna_nb.tuning.hashing import ContentHasher
from optuna_nb.tuning.meaning import is_same_code
words = ["".join(it) for it in ("ab", "c d")]
print(ContentHasher(str).digest([(words[0], k, words[1]) for k in range(40)], "value").hex())
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert said == digest([("ab", k, "c d") for k in range(40)]).hex()


def test_a_long_list_that_holds_itself_or_huge_numbers_is_hashed():
    own: list[object] = [[1]] * 40
    own.append(own)
    assert digest(own) == digest(own)
    assert digest([[10**5000]] * 40) != digest([[10**5000 + 1]] * 40)
    deep: list[object] = []
    for _ in range(2_000):
        deep = [deep]
    assert digest([[1]] * 40 + [deep]) != digest([[2]] * 40 + [deep])


# ------------------------------------------------------------------ handed on, imported late, in a text


@pytest.mark.parametrize(
    ("setup", "cell"),
    [
        ("m = fit(1)", "get_scorer('r2')(m, X, X[:, 0])"),
        ("m = [fit(1), fit(2)]", "blend(m, 0.5)"),
        ("m = {'one': fit(1)}", "m['one'].predict(X)"),
        ("m = make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0])", "m[-1].coef_"),
        ("inner = fit(1)\ndef m(): return blend([inner, inner], 1)", "m()"),
    ],
)
def test_what_a_model_has_learned_counts_where_it_is_handed_on_and_nothing_fits_it(setup, cell):
    helpers = """
    def fit(sign): return Ridge().fit(X, X[:, 0] * sign)
    def blend(models, w): return w * models[0].predict(X) + (1 - w) * models[-1].predict(X)
    """
    names = {"X": X, "Ridge": Ridge, "make_pipeline": make_pipeline, "StandardScaler": StandardScaler}
    old = tune_parts(cell, textwrap.dedent(helpers) + setup, **names)
    assert tune_parts(cell, textwrap.dedent(helpers) + setup, **names) == old
    later = setup.replace("fit(1)", "fit(-1)").replace("fit(X, X[:, 0])", "fit(X, -X[:, 0])")
    assert tune_parts(cell, textwrap.dedent(helpers) + later, **names) != old


def test_models_that_change_places_count():
    one, other = Ridge().fit(X, X[:, 0]), Ridge().fit(X, -X[:, 0])
    cell = "blend(models)"
    names = {"__name__": "__main__", "blend": functools.partial(np.average, axis=0)}
    assert fingerprint(cell, {**names, "models": [one, other]}) != fingerprint(
        cell, {**names, "models": [other, one]}
    )


def test_a_fitted_vectorizer_is_the_same_in_every_process():
    fit = "CountVectorizer(stop_words=['the']).fit(['the cat', 'a dog'])"
    code = (
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "from optuna_nb.tuning.fingerprint import fingerprint\n"
        f"print(fingerprint('v.transform(t)', {{'v': {fit}, 't': ['cat']}}))"
    )
    said = {subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(2)}
    assert len(said) == 1
    assert "data v (fitted)" in said.pop()


LATE_IMPORTS = [
    "def f(): from mine.helper import g; return g()",
    "def f():\n    import mine.helper as h\n    return h.g()",
    "def f():\n    def g(): from mine.helper import g; return g()\n    return g()",
    "class f:\n    def __init__(self):\n        from mine.helper import g\n        self.x = g()",
]


def test_modules_that_functions_import_when_they_run_count(tmp_path):
    setup = f"""
from pathlib import Path
from optuna_nb.tuning.fingerprint import fingerprint, project
project()
Path("mine").mkdir()
Path("mine/__init__.py").write_text("")
for function in {LATE_IMPORTS!r}:
    names = {{"__name__": "__main__"}}
    exec(function, names)
    parts = []
    for body in ("def g(): return 1", "def g(): return 2"):
        Path("mine/helper.py").write_text(body)
        parts.append(fingerprint("f()", names))
    assert "import mine.helper" in parts[0], function
    assert parts[0] != parts[1], function
"""
    subprocess.run([sys.executable, "-c", setup], cwd=tmp_path, check=True)


EDITS = [
    ("def g(x):\n    return x + 1", "def g(x):\n    return x + 2"),
    ("RATE = 0.1\ndef g(x): return x * RATE", "RATE = 0.2\ndef g(x): return x * RATE"),
    ("class C:\n    def g(self): return 1", "class C:\n    def g(self): return 2"),
    (
        "def g(x):\n    def inner(): return 1\n    return inner()",
        "def g(x):\n    def inner(): return 3\n    return inner()",
    ),
]


def test_modules_that_were_edited_since_their_import_count_as_other_code_and_are_named(tmp_path):
    setup = f"""
import importlib, os, sys
from pathlib import Path
from optuna_nb.tuning.fingerprint import examine, project
sys.path.insert(0, os.getcwd())
sys.dont_write_bytecode = True
project()
for number, (before, after) in enumerate({EDITS!r}):
    name, part = f"prep{{number}}", f"import prep{{number}}"
    file, cell = Path(f"{{name}}.py"), f"from {{name}} import *"
    file.write_text(before)
    importlib.invalidate_caches()
    unloaded = examine(cell, {{}})
    module = importlib.import_module(name)
    loaded = examine(cell, {{}})
    assert loaded.parts == unloaded.parts and loaded.edited == (), before
    file.write_text('"A docstring."\\n\\n\\n# and a comment\\n' + before)
    assert examine(cell, {{}}).edited == (), before
    file.write_text(after)
    stale = examine(cell, {{}})
    assert stale.edited == (name,), before
    importlib.reload(module)
    fresh = examine(cell, {{}})
    assert fresh.edited == (), before
    assert fresh.parts[part] not in (stale.parts[part], loaded.parts[part]), before
"""
    subprocess.run([sys.executable, "-c", setup], cwd=tmp_path, check=True)


DEFINED_TWICE = [
    "def f(x): return x in {'one', 'two', 'three', 'four', 'five'}",
    """
        from typing import overload
        @overload
        def f(x: int) -> int: ...
        @overload
        def f(x: str) -> str: ...
        def f(x): return x
        """,
    """
        import functools
        @functools.singledispatch
        def f(x): return 0
        @f.register
        def _(x: int): return 1
        @f.register
        def _(x: str): return 2
        """,
    "import sys\nif sys.platform == 'none':\n    def f(): return 1\nelse:\n    def f(): return 2",
    "class C:\n    @property\n    def f(self): return 1\n    @f.setter\n    def f(self, value): pass",
    "DEBUG = False\ndef f(): return DEBUG",
]


def test_what_is_defined_twice_or_set_by_hand_is_not_taken_for_edited(tmp_path):
    cases = [textwrap.dedent(it) for it in DEFINED_TWICE]
    setup = f"""
import importlib, os, sys
from pathlib import Path
from optuna_nb.tuning.fingerprint import examine, project
sys.path.insert(0, os.getcwd())
sys.dont_write_bytecode = True
project()
for number, twice in enumerate({cases!r}):
    name = f"prep{{number}}"
    file, cell = Path(f"{{name}}.py"), f"from {{name}} import loss"
    file.write_text(twice + "\\ndef loss(x): return x + 1\\n")
    os.utime(file, (1, 1))  # long ago
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    module.DEBUG = True
    assert examine(cell, {{}}).edited == (), twice
    del module.DEBUG
    importlib.reload(module)
    os.utime(file)
    assert examine(cell, {{}}).edited == (), twice
    file.write_text(twice + "\\ndef loss(x): return x + 2\\n")
    assert examine(cell, {{}}).edited == (name,), twice
    importlib.reload(module)
    assert examine(cell, {{}}).edited == (), twice
    file.write_text(twice + "\\ndef loss(x):\\n    'Doc.'\\n    return x + 2\\n")
    assert examine(cell, {{}}).edited == (), twice
"""
    subprocess.run([sys.executable, "-c", setup], cwd=tmp_path, check=True)


def test_a_module_that_counts_its_own_calls_is_not_taken_for_edited(tmp_path):
    setup = """
import os, sys
from pathlib import Path
from optuna_nb.tuning.fingerprint import examine, project
sys.path.insert(0, os.getcwd())
project()
Path("prep.py").write_text('''
import functools
COUNT = 0
LEVEL = 1
LEVEL += 1
@functools.cache
def cached(): return 1
def g():
    "Count."
    global COUNT
    COUNT += 1
''')
import prep
prep.g()
assert prep.COUNT == 1
assert examine("from prep import g", {}).edited == ()
"""
    subprocess.run([sys.executable, "-c", setup], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    "cell",
    [
        "get_ipython().run_line_magic('time', 's = f(1 + A)')",
        "get_ipython().run_cell_magic('time', '', 's = f(A)\\n')",
        "get_ipython().system('echo {A}')",
        "v = get_ipython().getoutput('echo $A')",
        "frame.query('a > @A')",
        "def g(): return frame.eval('a + @A')\ng()",
    ],
)
def test_names_in_the_text_of_a_magic_a_command_or_a_query_count(cell):
    names = {"frame": pd.DataFrame({"a": [1]}), "A": 3, "f": abs, "get_ipython": print}
    old = fingerprint(cell, names)
    assert fingerprint(cell, {**names, "A": 8}) != old
    assert fingerprint(cell, {**names, "B": 8}) == old


def test_words_that_are_no_names_of_the_notebook_do_not_count():
    cell = "get_ipython().system('pip list')\nget_ipython().run_line_magic('matplotlib', 'A')\n'@A'.lower()"
    assert fingerprint(cell, {"A": 1}) == fingerprint(cell, {"A": 2, "pip": 3, "list": 4})


def compiled(text):
    names = {}
    exec(text, names)  # noqa: S102
    return names["f"].__code__


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f():\n    'One.'\n    return 1", "def f():\n    'Two.'\n    return 1", True),
        ("def f():\n    return 'one'", "def f():\n    return 'two'", False),
        ("def f():\n    'One.'\n    return 'one'", "def f():\n    'One.'\n    return 'two'", False),
        ("f = lambda: 'one'", "f = lambda: 'two'", False),
        ("def f(x): return x in {'a', 'b'}", "def f(x): return x in {'b', 'a'}", True),
    ],
)
def test_code_is_the_same_whatever_its_docstring_says(one, other, same):
    assert is_same_code(compiled(one), compiled(other)) is same
