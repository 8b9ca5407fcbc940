"""What makes an objective another one, and what does not."""
# ruff: noqa: E501 - a table of pairs is read line by line

import ctypes
import dataclasses
import enum
import functools
import linecache
import pathlib
import random
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, make_scorer, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from optuna_nb.tuning.changes import describe_change
from optuna_nb.tuning.fingerprint import examine, fingerprint


class Notebook:
    """Cells that run one after the other in one namespace, as in a kernel."""

    def __init__(self):
        self.names = {"__name__": "__main__"}
        self.count = 0

    def run(self, cell):
        self.count += 1
        name = f"<cell {id(self)} {self.count}>"
        source = textwrap.dedent(cell).strip("\n") + "\n"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), self.names)  # noqa: S102
        return self

    def tune(self, cell):
        return fingerprint(textwrap.dedent(cell).strip("\n"), self.names)


def notebook(*cells):
    made = Notebook()
    for cell in cells:
        made.run(cell)
    return made


def of_data(value):
    return fingerprint("X", {"X": value})["data X"]


# ------------------------------------------------------------------ the cell


def test_a_comment_does_not_change_the_fingerprint():
    names = {"X": 1}
    old = fingerprint("a = X\na + 1", names)
    new = fingerprint("# more\n\na   =  (X)  # said\na +   \\\n  1\n", names)
    assert old == new


def test_a_docstring_does_not_change_the_fingerprint():
    old = fingerprint("def f(x):\n    return x\nf(1)", {})
    new = fingerprint('def f(x):\n    """Return it."""\n    return x\nf(1)', {})
    assert old == new


def test_a_text_that_is_the_score_counts():
    assert fingerprint("'a'", {}) != fingerprint("'b'", {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "True"),
        ("x = 1", "y = 1"),
        ("'1'", "b'1'"),
        ("None", "..."),
        ("a < b", "a <= b"),
        ("f'{x}'", "f'{x!r}'"),
        ("0.0", "-0.0"),
    ],
)
def test_another_meaning_changes_the_cell(one, other):
    assert fingerprint(one, {})["cell"] != fingerprint(other, {})["cell"]


def test_the_cell_comes_first_and_hashes_are_text():
    parts = notebook("X = 1", "def a(): return X").tune("a()")
    assert next(iter(parts)) == "cell"
    assert all(len(digest) == 32 and int(digest, 16) >= 0 for digest in parts.values())


def test_code_that_is_no_python_raises():
    with pytest.raises(SyntaxError):
        fingerprint("a b", {})


# ------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("X", "X"),
        ("X.mean()", "X"),
        ("len(X)", "X"),
        ("trial.suggest_int('a', 1, X)", "X"),
        ("f = lambda: X\nf()", "X"),
        ("[X for _ in range(3)]", "X"),
        ("[x for x in X]", "X"),
        ("[[X for x in y] for y in Y]", "X Y"),
        ("{k: v for k, v in X.items() if k in Y}", "X Y"),
        ("sum(x for x in X)", "X"),
        ("def f(a=X): return a\nf()", "X"),
        ("def f():\n    def g():\n        return X\n    return g()\nf()", "X"),
        ("def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = Y\n    g()\nf()", "Y"),
        ("class A(X):\n    b = Y\n    def c(self): return Z\nA().c()", "X Y Z"),
        ("@X\ndef f(): return Y\nf()", "X Y"),
        ("X = X + 1\nX", "X"),
        ("X += 1\nX", "X"),
        ("X[0] = 1\nX", "X"),
        ("X.a = 1", "X"),
        ("del X\n1", ""),
        ("if Y:\n    X = 1\nX", "X Y"),
        ("for i in Y:\n    X = i\nX", "Y"),
        ("while Y:\n    X = 1\n    break\nX", "Y"),
        ("for X in X: X", "X"),
        ("for i in range(3): X = X + i\nX", "X"),
        ("if (X := Y) > 1: X\nX", "Y"),
        ("while (X := Y): X", "Y"),
        ("if (X := X + 1) > 1: X", "X"),
        ("X + (X := 1)", "X"),
        ("f = lambda: (X := 1)\nf() + X", "X"),
        ("X = 1\n(X := X + 1)", ""),
        ("[Z for Z in Y if (X := Z)]\nX", "Y"),
        ("from math import *\npi", ""),
        ("try:\n    X = 1\nexcept Y:\n    pass\nX", "X Y"),
        ("try:\n    Y\n    X = 1\nfinally:\n    X", "X Y"),
        ("with X as f:\n    f", "X"),
        ("match X:\n    case [Y, *Z]: Y\n    case {'a': 1, **V}: V", "X"),
        ("match X:\n    case Y() if Z: 1", "X Y Z"),
        ("match 1:\n    case 2: X = 1\nX", "X"),
        ("await X", "X"),
        ("async for i in X: i", "X"),
        ("x = yield_ = X", "X"),
        ("x: X = 1", "X"),
        ("f'{X:{Y}}'", "X Y"),
        ("def f(): return X\nX = 1\nf()", ""),
        ("def f(): return X\nf()\nX = 1", "X"),
        ("def f(): return X", "X"),
        ("def f(): return g()\ndef g(): return X\nf()", "X"),
        ("def f(): return f() + X\nf()", "X"),
        ("def f(X): return X\nf(1)", ""),
        ("def f():\n    X = 1\n    return X\nf()", ""),
        ("X = 1\nX", ""),
        ("X, Y = 1, 2\nX + Y", ""),
        ("for X in range(3): X", ""),
        ("import numpy as X\nX", ""),
        ("from numpy import log as X\nX", ""),
        ("if 1:\n    X = 1\nelse:\n    X = 2\nX", ""),
        ("with open('f') as X: X", ""),
        ("try:\n    X = 1\nexcept ValueError as Y:\n    X = 2\n    Y\nX", ""),
        ("X = [Z := 1]\nX", ""),
        ("lambda X: X", ""),
        ("[X for X in range(3)]", ""),
        ("class X:\n    def f(self): return X\nX()", ""),
        ("print(max(1, 2))", ""),
        ("In, Out, _, __name__, get_ipython", ""),
    ],
)
def test_names_count_when_they_are_read_from_outside(code, read):
    names = {
        name: f"the {name}"
        for name in ["X", "Y", "Z", "V", "In", "Out", "_", "__name__", "get_ipython", "trial"]
    }
    parts = fingerprint(code, names)
    assert set(parts) == {"cell", *(f"data {name}" for name in read.split())}


def test_a_builtin_that_the_user_replaced_counts():
    assert "def max" in notebook("def max(a): return a").tune("max(1)")
    assert "data sum" in fingerprint("sum", {"sum": 3})


def test_a_name_that_means_nothing_is_left_out():
    assert set(fingerprint("X", {})) == {"cell"}


def test_a_model_that_another_cell_left_behind_does_not_count():
    cell = "model = RandomForestClassifier(max_depth=trial.suggest_int('d', 1, 3))\nscore(model)"
    names = {"RandomForestClassifier": RandomForestClassifier, "score": len}
    assert fingerprint(cell, names) == fingerprint(
        cell, {**names, "model": RandomForestClassifier(max_depth=9)}
    )


# ------------------------------------------------------------------ functions and classes


def test_helpers_count_through_helpers():
    cells = [
        "LIMIT = 3",
        "def inner(x):\n    return x < LIMIT",
        "def outer(x):\n    return [inner(i) for i in x]",
    ]
    old = notebook(*cells).tune("outer(X)")
    assert set(old) == {"cell", "def outer", "def inner", "data LIMIT"}
    assert (
        describe_change(old, notebook(cells[0], cells[1].replace("<", ">"), cells[2]).tune("outer(X)"))
        == "def inner changed"
    )
    assert describe_change(old, notebook("LIMIT = 4", *cells[1:]).tune("outer(X)")) == "data LIMIT changed"


def test_a_comment_in_a_helper_does_not_count():
    one = notebook("def f(x):\n    return x + 1")
    other = notebook("\n\n# said\ndef f(x):  # more\n    '''Doc.'''\n\n    return (x  +  1)")
    assert one.tune("f(1)") == other.tune("f(1)")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def f(x): return x", "def f(x): return -x"),
        ("def f(x, y=1): return x", "def f(x, y=2): return x"),
        ("def f(x, *, y=1): return x", "def f(x, *, y=2): return x"),
        ("f = lambda x: x", "f = lambda x: -x"),
        ("f = [lambda x: x, lambda x: 1][0]", "f = [lambda x: -x, lambda x: 1][0]"),
        (
            "def make(n):\n    def f(x): return x + n\n    return f\nf = make(1)",
            "def make(n):\n    def f(x): return x + n\n    return f\nf = make(2)",
        ),
        (
            "from functools import partial\ndef g(x, n): return x\nf = partial(g, n=1)",
            "from functools import partial\ndef g(x, n): return x\nf = partial(g, n=2)",
        ),
        (
            "from functools import partial\ndef g(x, n): return x\nf = partial(g, n=1)",
            "from functools import partial\ndef g(x, n): return -x\nf = partial(g, n=1)",
        ),
        (
            "from functools import lru_cache\n@lru_cache\ndef f(x): return x",
            "from functools import lru_cache\n@lru_cache\ndef f(x): return -x",
        ),
        (
            "from functools import wraps\ndef d(g):\n    @wraps(g)\n    def w(x): return g(x)\n    return w\n@d\ndef f(x): return x",
            "from functools import wraps\ndef d(g):\n    @wraps(g)\n    def w(x): return g(x)\n    return w\n@d\ndef f(x): return -x",
        ),
        (
            "class f:\n    def __init__(self, x): self.x = x",
            "class f:\n    def __init__(self, x): self.x = -x",
        ),
        (
            "class f:\n    a = 1\n    def __init__(self, x): pass",
            "class f:\n    a = 2\n    def __init__(self, x): pass",
        ),
        ("class f:\n    a = 1", "class f:\n    a = 2"),
        ("class B:\n    a = 1\nclass f(B): pass", "class B:\n    a = 2\nclass f(B): pass"),
        ("class f(int): pass", "class f(float): pass"),
        (
            "class f:\n    @property\n    def a(self): return 1",
            "class f:\n    @property\n    def a(self): return 2",
        ),
        (
            "class f:\n    @staticmethod\n    def a(): return 1",
            "class f:\n    @staticmethod\n    def a(): return 2",
        ),
        (
            "class f:\n    @staticmethod\n    def a(): return 1",
            "class f:\n    @classmethod\n    def a(): return 1",
        ),
        ("class f:\n    def a(self): return super().a()", "class f:\n    def a(self): return super().a"),
        (
            "import functools\nclass f:\n    @functools.cached_property\n    def a(self): return 1",
            "import functools\nclass f:\n    @functools.cached_property\n    def a(self): return 2",
        ),
        (
            "class C:\n    def __call__(self, x): return x\nf = C()",
            "class C:\n    def __call__(self, x): return -x\nf = C()",
        ),
        (
            "class C:\n    def m(self, x): return x\nf = C().m",
            "class C:\n    def m(self, x): return -x\nf = C().m",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass f:\n    x: int = 1",
            "from dataclasses import dataclass\n@dataclass\nclass f:\n    x: int = 2",
        ),
        ("import enum\nclass f(enum.Enum):\n    A = 1", "import enum\nclass f(enum.Enum):\n    A = 2"),
        ("from math import sin as f", "from math import cos as f"),
        ("import math as f", "import cmath as f"),
        ("import numpy as np\nf = np.sin", "import numpy as np\nf = np.cos"),
    ],
)
def test_a_change_in_what_a_name_stands_for_is_noticed(old, new):
    assert notebook(old).tune("f(X)") != notebook(new).tune("f(X)")
    assert notebook(old).tune("f(X)") == notebook("# said", *([] if "\n" in old else ["pass"]), old).tune(
        "f(X)"
    )


def test_functions_inside_data_count():
    old = notebook("def loss(x): return x", "LOSSES = {'a': [loss]}").tune("LOSSES['a'][0](1)")
    new = notebook("def loss(x): return -x", "LOSSES = {'a': [loss]}").tune("LOSSES['a'][0](1)")
    assert describe_change(old, new) == "def loss changed"


def test_mutual_recursion_ends():
    cells = ["def even(n): return n == 0 or odd(n - 1)", "def odd(n): return n > 0 and even(n - 1)"]
    assert set(notebook(*cells).tune("even(4)")) == {"cell", "def even", "def odd"}


def test_a_function_whose_source_is_gone_counts_by_its_bytecode():
    def tune(source):
        names = {"__name__": "__main__"}
        exec(source, names)  # noqa: S102
        return fingerprint("f(1)", names)

    assert tune("def f(x): return x") == tune("\n\ndef f(x):\n    'Doc.'\n    return x")
    assert tune("def f(x): return x") != tune("def f(x): return -x")
    assert tune("def f(x): return x in {1, 2}") != tune("def f(x): return x in {1, 3}")
    assert tune("def f(x): return [x for y in x]") != tune("def f(x): return [y for y in x]")


def load(path, names):
    exec(compile(path.read_text(), str(path), "exec"), names)  # noqa: S102


def test_a_file_that_was_edited_after_its_import_counts_as_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text("def f(x):\n    return x\n")
    names = {"__name__": "__main__"}
    load(path, names)
    old = fingerprint("f(1)", names)
    path.write_text("def f(x):\n    return -x\n")
    edited = fingerprint("f(1)", names)
    assert edited == {**old, "def f": edited["def f"]}
    load(path, names)
    reloaded = fingerprint("f(1)", names)
    assert reloaded["def f"] not in {old["def f"], edited["def f"]}


MODULE = "LIMIT = 1\nOTHER = 1\ndef helper(x):\n    return inner(x)\ndef inner(x):\n    return x < LIMIT\n"


def in_a_folder(tmp_path, module, cell, setup):
    """Fingerprint in a fresh process, whose working folder holds ``mine.py``."""
    (tmp_path / "mine.py").write_text(module)
    program = f"""
        import sys; sys.path.insert(0, '.')
        from optuna_nb.tuning.fingerprint import fingerprint
        names = {{"__name__": "__main__"}}
        exec({setup!r}, names)
        print(fingerprint({cell!r}, names))
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("setup", "cell"),
    [
        ("from mine import helper", "helper(1)"),
        ("import mine", "mine.helper(1)"),
        ("", "from mine import helper\nhelper(1)"),
    ],
)
def test_a_module_in_the_working_folder_is_code_of_the_user(setup, cell, tmp_path):
    old = in_a_folder(tmp_path, MODULE, cell, setup)
    assert in_a_folder(tmp_path, "# said\n" + MODULE, cell, setup) == old
    assert in_a_folder(tmp_path, MODULE.replace("<", ">"), cell, setup) != old
    assert in_a_folder(tmp_path, MODULE.replace("LIMIT = 1", "LIMIT = 2"), cell, setup) != old


def test_what_a_cell_does_not_use_of_a_module_does_not_count(tmp_path):
    old = in_a_folder(tmp_path, MODULE, "mine.helper(1)", "import mine")
    assert (
        in_a_folder(tmp_path, MODULE.replace("OTHER = 1", "OTHER = 2"), "mine.helper(1)", "import mine")
        == old
    )


def test_libraries_count_by_name():
    parts = fingerprint("np.mean(roc_auc_score)", {"np": np, "roc_auc_score": roc_auc_score})
    assert set(parts) == {"cell", "import np", "import roc_auc_score"}
    other = fingerprint("np.mean(roc_auc_score)", {"np": np, "roc_auc_score": accuracy_score})
    assert describe_change(parts, other) == "import roc_auc_score changed"


# ------------------------------------------------------------------ data


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Point:
    x: float
    y: object = None


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Rows(list):
    pass


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"a": [1, 2, 3], "b": [1.0, np.nan, 3], "c": ["x", "y", None], "d": pd.Categorical(["u", "v", "u"])}
)


def changed(frame, row, column, value):
    other = frame.copy()
    other.loc[row, column] = value
    return other


DIFFERENT = {
    "None and False": (None, False),
    "0 and False": (0, False),
    "1 and 1.0": (1, 1.0),
    "signs of zero": (0.0, -0.0),
    "text and bytes": ("a", b"a"),
    "numbers": (1, 2),
    "large numbers": (2**70, 2**70 + 1),
    "huge numbers": (10**5000, 10**5000 + 1),
    "complex": (1j, 2j),
    "list and tuple": ([1], (1,)),
    "order of a list": ([1, 2], [2, 1]),
    "borders of a list": (["ab", "c"], ["a", "bc"]),
    "nesting": ([[1], 2], [[1, 2]]),
    "values of a dict": ({"a": 1}, {"a": 2}),
    "keys of a dict": ({"a": 1}, {"b": 1}),
    "sets": ({1, 2}, {1, 3}),
    "long lists of numbers": ([*range(100)], [*range(99), 7]),
    "long lists of texts": (["ab", "c"] * 50, ["a", "bc"] * 50),
    "long lists of floats": ([0.5] * 100, [0.5] * 99 + [1.5]),
    "range": (range(3), range(4)),
    "slice": (slice(3), slice(4)),
    "path": (pathlib.Path("a"), pathlib.Path("b")),
    "enum": (Color.RED, Color.BLUE),
    "dataclass": (Point(1.0), Point(2.0)),
    "nested dataclass": (Point(1.0, [1]), Point(1.0, [2])),
    "kinds of text": (Text("a"), Text("b")),
    "kinds of integers": (Number(1), Number(2)),
    "kinds of lists": (Rows([1]), Rows([2])),
    "slots": (Slotted(1), Slotted(2)),
    "partial": (functools.partial(max, 1), functools.partial(max, 2)),
    "partial function": (functools.partial(max, 1), functools.partial(min, 1)),
    "builtin functions in a list": ([len], [sum]),
    "array": (np.arange(3), np.array([0, 1, 3])),
    "dtype": (np.arange(3), np.arange(3.0)),
    "shape": (np.arange(4), np.arange(4).reshape(2, 2)),
    "transposed": (np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2).T),
    "scalar and array": (np.float64(1), np.array(1.0)),
    "text array": (np.array(["a"]), np.array(["b"])),
    "object array": (np.array(["a", 1], dtype=object), np.array(["a", 2], dtype=object)),
    "datetime array": (np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-02"], "M8[D]")),
    "structured array": (np.array([(1, 2.0)], dtype="i4,f8"), np.array([(1, 3.0)], dtype="i4,f8")),
    "long double": (np.longdouble(1) / 3, np.longdouble(1) / 3 + np.finfo(np.longdouble).eps),
    "masked array": (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[0, 0])),
    "frame value": (FRAME, changed(FRAME, 0, "a", 7)),
    "frame gap": (FRAME, changed(FRAME, 1, "b", 2.0)),
    "frame text": (FRAME, changed(FRAME, 2, "c", "z")),
    "frame category": (FRAME, changed(FRAME, 1, "d", "u")),
    "frame categories": (FRAME, FRAME.assign(d=FRAME["d"].cat.add_categories("w"))),
    "frame ordered": (FRAME, FRAME.assign(d=FRAME["d"].cat.as_ordered())),
    "frame dtype": (FRAME, FRAME.astype({"a": "int32"})),
    "frame columns": (FRAME, FRAME.rename(columns={"a": "z"})),
    "frame order": (FRAME, FRAME[["b", "a", "c", "d"]]),
    "frame rows": (FRAME, FRAME[::-1]),
    "frame index": (FRAME, FRAME.set_axis([7, 8, 9])),
    "series name": (FRAME["a"], FRAME["a"].rename("z")),
    "series and list": (FRAME["a"], [1, 2, 3]),
    "nullable": (pd.array([1, None], dtype="Int64"), pd.array([1, 0], dtype="Int64")),
    "zones": (pd.Series(pd.date_range("2020", periods=2, tz="UTC")), pd.Series(pd.date_range("2020", periods=2, tz="Asia/Tokyo"))),
    "multi index": (pd.MultiIndex.from_product([[1, 2], ["a"]]), pd.MultiIndex.from_product([[1, 3], ["a"]])),
    "sparse": (scipy.sparse.csr_matrix([[0, 1]]), scipy.sparse.csr_matrix([[1, 0]])),
    "sparse vector": (scipy.sparse.coo_array([0, 1]), scipy.sparse.coo_array([1, 0])),
    "estimator": (RandomForestClassifier(), RandomForestClassifier(max_depth=3)),
    "estimators": (RandomForestClassifier(), StandardScaler()),
    "pipeline": (make_pipeline(StandardScaler(), RandomForestClassifier()), make_pipeline(StandardScaler(), RandomForestClassifier(max_depth=3))),
    "splitter": (KFold(5), KFold(10)),
    "scorer": (make_scorer(roc_auc_score), make_scorer(accuracy_score)),
    "types": (int, float),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENT)
def test_other_data_has_another_hash(what):
    one, other = DIFFERENT[what]
    assert fingerprint("X", {"X": one}) != fingerprint("X", {"X": other})


ARRAY = RNG.normal(size=(40, 30, 7))
WIDE = RNG.normal(size=(600, 700))

EQUAL = {
    "dicts in another order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "sets in another order": ({*range(0, 100, 8)}, {*reversed(range(0, 100, 8))}),
    "NaN": (float("nan"), -float("nan")),
    "Fortran order": (WIDE, np.asfortranarray(WIDE)),
    "a strided view": (WIDE, np.repeat(WIDE, 2, axis=1)[:, ::2]),
    "a reversed view": (WIDE, WIDE[::-1][::-1].copy()),
    "a permuted view": (ARRAY.transpose(2, 0, 1).copy(), ARRAY.transpose(2, 0, 1)),
    "a broadcast": (np.ones((300, 700)), np.broadcast_to(1.0, (300, 700))),
    "a read-only array": (WIDE, np.frombuffer(WIDE.tobytes()).reshape(600, 700)),
    "frames of one block and of many": (pd.DataFrame(WIDE), pd.concat([pd.DataFrame(WIDE[:, :9]), pd.DataFrame(WIDE[:, 9:])], axis=1).set_axis(range(700), axis=1)),
    "sparse formats": (scipy.sparse.csr_matrix([[0, 1], [2, 0]]), scipy.sparse.csr_matrix(([2, 1], ([1, 0], [0, 1])))),
    "fitted and not": (StandardScaler(), StandardScaler().fit([[1.0], [2.0]])),
    "a copy": (FRAME, FRAME.copy(deep=True)),
    "a list that holds one thing twice": ([FRAME, FRAME], [FRAME.copy(), FRAME.copy()]),
}  # fmt: skip


@pytest.mark.parametrize("what", EQUAL)
def test_equal_data_has_an_equal_hash(what):
    one, other = EQUAL[what]
    assert of_data(one) == of_data(other)


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_plain_data_can_be_hashed_again(value):
    assert of_data(value) == of_data(eval(repr(value), {"nan": float("nan"), "inf": float("inf")}))  # noqa: S307


def test_data_that_holds_itself_ends():
    loop = [1]
    loop.append({"again": loop})
    other = [1]
    other.append({"again": other})
    assert of_data(loop) == of_data(other) != of_data([1, {"again": 1}])


def test_deep_data_ends():
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert of_data(deep)


class Awkward:
    """It answers everything with an error."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __hash__(self):
        raise RuntimeError

    def __eq__(self, other):
        raise RuntimeError

    def __repr__(self):
        raise RuntimeError


class Estimator:
    def get_params(self, deep=True):
        raise RuntimeError


class Liar:
    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self


WEIRD = {
    "awkward": Awkward,
    "awkward in a list": lambda: [Awkward()],
    "awkward in dicts": lambda: {1: {2: {3: Awkward()}}},
    "awkward class": lambda: Awkward,
    "class with an awkward attribute": lambda: type("Holder", (), {"a": Awkward(), "__module__": "__main__"}),
    "estimator that fails": Estimator,
    "liar": Liar,
    "lock": threading.Lock,
    "generator": lambda: iter([1]),
    "stream": lambda: sys.stdout,
    "builtin": lambda: open,
    "random": lambda: random.Random(1),  # noqa: S311
    "array that is none": type("Made", (), {"__array__": None}),
    "memoryview": lambda: memoryview(b"abc"),
    "object": object,
    "module": lambda: sys,
    "type": lambda: type,
    "constant": lambda: NotImplemented,
    "exception": lambda: ValueError("a"),
    "surrogate": lambda: "\ud800",
    "method": lambda: [].append,
    "released": lambda: (view := memoryview(b"abc"), view.release())[0],
}


@pytest.mark.parametrize("what", WEIRD)
def test_nothing_raises(what):
    value = WEIRD[what]()
    assert of_any(value) == of_any(value)


def of_any(value):
    return fingerprint("X", {"X": value})


def test_what_cannot_be_looked_into_counts_by_type_and_is_listed():
    found = examine("X, y", {"X": {"lock": threading.Lock()}, "y": np.random.default_rng(1)})
    assert examine("X", {"X": ctypes.c_void_p(3)}).opaque == ("X: ctypes.c_void_p",)
    assert examine("X", {"X": Liar()}).opaque == ()
    assert found.opaque == ("X['lock']: _thread.lock", "y: numpy.random._generator.Generator")
    assert found.parts["data y"] == of_data(np.random.default_rng(2))
    assert examine("X", {"X": FRAME}).opaque == ()


def test_hashes_are_the_same_in_every_process(tmp_path):
    setup = """
import enum, dataclasses, functools
import numpy as np, pandas as pd
class Kind(enum.Enum):
    A = 'a'
    B = 'b'
@dataclasses.dataclass
class Config:
    kinds: frozenset = frozenset('abcdefgh')
    more: dict = dataclasses.field(default_factory=dict)
    def has(self, x): return x in {'a', 'b', 'c', 'dd', 'ee'}
def helper(x, names={'p', 'q', 'r', 's'}): return [CONFIG.has(i) for i in x]
CONFIG = Config(more={Kind.A: {1, 'one'}, Kind.B: helper})
FRAME = pd.DataFrame({'a': ['x', None, 'z'], 'b': pd.Categorical(['u', 'v', 'u'])})
cached = functools.lru_cache(helper)
f = [lambda x: x in {'a', 'b', 'c', 'd'}, lambda x: 2]
"""
    cell = "helper(FRAME), cached(1), f, Kind.A, np.log"
    seen = set()
    for seed in ("0", "1", "2"):
        (tmp_path / "mine.py").write_text("")
        program = (
            "from optuna_nb.tuning.fingerprint import fingerprint\n"
            f"names = {{'__name__': '__main__'}}\nexec({setup!r}, names)\nprint(fingerprint({cell!r}, names))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout)
    (parts,) = seen
    for part in (
        "def helper",
        "data CONFIG",
        "class Config",
        "class Kind",
        "data FRAME",
        "def cached",
        "data f",
    ):
        assert repr(part) in parts


@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_a_large_array_is_hashed_fast(layout):
    array = RNG.normal(size=(100_000, 50))
    array = {"C": array, "F": np.asfortranarray(array), "strided": np.repeat(array, 2, axis=1)[:, ::2]}[
        layout
    ]

    def seconds():
        start = time.thread_time()
        of_data(array)
        return time.thread_time() - start

    assert array.nbytes / min(seconds() for _ in range(5)) > 0.3e9  # 0.9 GB/s on an idle machine


# ------------------------------------------------------------------ telling a change


def test_a_change_is_told_in_one_line():
    old = {"cell": "1", "def helper": "1", "data X": "1", "data z": "1"}
    new = {"cell": "2", "def helper": "1", "data X": "2", "data y": "1"}
    assert describe_change(old, new) == "cell changed; data X changed; data y is new; data z is gone"
    assert describe_change(old, old) == "nothing changed"
    many = {f"data x{n}": "1" for n in range(6)}
    assert describe_change({}, many) == "; ".join(
        [f"data x{n} is new" for n in range(4)] + ["2 more changes"]
    )
