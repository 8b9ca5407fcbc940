"""What the notebook's functions see while a study runs."""

import functools

import pytest

from optuna_nb.cell.namespace import Snapshot


@pytest.fixture
def notebook():
    """A namespace like that of a notebook: functions made in it look their globals up in it."""
    return {"__name__": "__main__", "__builtins__": __builtins__}


def define(notebook, text):
    exec(compile(text, "<notebook>", "exec"), notebook)  # noqa: S102


def freeze(notebook, text):
    code = compile(text, "<cell>", "eval")
    snapshot = Snapshot(notebook, code)
    return lambda **extra: eval(code, snapshot.fresh(**extra))  # noqa: S307


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return X",
        "f = lambda: X",
        "def f(*, x=None):\n    return x or g()\ndef g():\n    return X",
        "import functools\ndef g(a, b):\n    return X + a + b\nf = functools.partial(g, 0, b=0)",
        "import functools\n@functools.lru_cache\ndef f():\n    return X",
        "import functools\n@functools.lru_cache\ndef g():\n    return X\ndef f():\n    return g()",
        "def make():\n    def inner():\n        return X\n    return lambda: inner()\nf = make()",
        "import contextlib\n@contextlib.contextmanager\ndef g():\n    yield X\nf = lambda: g().__enter__()",
        "def g():\n    return X\ntable = {'g': g}\ndef f():\n    return table['g']()",
        "def g():\n    return X\ntable = [(g,)]\ndef f():\n    return table[0][0]()",
        "class Model:\n    def fit(self):\n        return X\ndef f():\n    return Model().fit()",
        "class Model:\n    @staticmethod\n    def fit():\n        return X\ndef f():\n    return Model.fit()",
        "class Model:\n    @property\n    def fit(self):\n        return X\ndef f():\n    return Model().fit",
        "class A:\n    a = lambda self: X\nclass B(A):\n    a = lambda self: A.a(self)\nf = lambda: B().a()",
        "even = lambda n: X if n == 0 else odd(n - 1)\nodd = lambda n: even(n - 1)\nf = lambda: even(4)",
    ],
)
def test_every_way_to_write_a_function_sees_the_names_of_the_start(notebook, text):
    notebook["X"] = 1
    define(notebook, text)
    run = freeze(notebook, "f()")
    notebook["X"] = 2
    for name in ("g", "inner", "Model", "A", "table"):
        if name in notebook:
            notebook[name] = None
    assert run() == 1
    assert run() == 1


def test_super_finds_the_rebuilt_class(notebook):
    define(
        notebook,
        "X = 1\nclass A:\n    def a(self):\n        return X\n"
        "class B(A):\n    def a(self):\n        return super().a(), __class__ is B",
    )
    run = freeze(notebook, "B().a()")
    notebook["X"] = 2
    assert run() == (1, True)


def test_a_function_sees_the_trial(notebook):
    define(notebook, "def params():\n    return trial")
    run = freeze(notebook, "params()")
    assert (run(trial="first"), run(trial="second")) == ("first", "second")


def test_a_method_sees_the_trial(notebook):
    define(notebook, "class Model:\n    def __init__(self):\n        self.depth = trial")
    run = freeze(notebook, "Model().depth")
    assert (run(trial=1), run(trial=2)) == (1, 2)


def test_a_class_that_reads_nothing_of_the_notebook_stays_the_same(notebook):
    define(
        notebook,
        "import math\nfrom dataclasses import dataclass\n@dataclass\nclass Config:\n    a: int = 1\n"
        "    def root(self):\n        return math.sqrt(self.a)\nconfig = Config()",
    )
    assert freeze(notebook, "isinstance(config, Config)")()


def test_a_cache_serves_all_trials(notebook):
    define(
        notebook,
        "import functools\ncalls = []\n@functools.lru_cache(maxsize=4)\n"
        "def load():\n    calls.append(1)\n    return 7",
    )
    run = freeze(notebook, "load()")
    assert [run() for _ in range(3)] == [7, 7, 7]
    assert len(notebook["calls"]) == 1


def test_a_function_that_sets_a_global_does_not_reach_the_notebook(notebook):
    define(notebook, "total = 0\ndef add():\n    global total\n    total += 1\n    return total")
    run = freeze(notebook, "add() + add()")
    assert run() == 3
    assert run() == 3
    assert notebook["total"] == 0


def test_signature_defaults_and_attributes_of_a_function_are_kept(notebook):
    define(
        notebook,
        "def f(a, b=2, *, c=3):\n    'What it does.'\n    return (a, b, c, X)\nf.tag = 'mine'\nX = 0",
    )
    assert freeze(notebook, "(f(1), f.tag, f.__doc__, f.__name__)")() == (
        (1, 2, 3, 0),
        "mine",
        "What it does.",
        "f",
    )


def test_library_functions_and_data_are_the_same_objects(notebook):
    notebook.update(reduce=functools.reduce, data=[1, 2], table={k: k for k in range(1000)})
    reduce, data, table = freeze(notebook, "(reduce, data, table)")()
    assert reduce is notebook["reduce"]
    assert data is notebook["data"]
    assert table is notebook["table"]


def test_a_nonlocal_counter_is_shared_as_in_the_notebook(notebook):
    define(
        notebook,
        "def make():\n    n = 0\n    def count():\n        nonlocal n\n        n += 1\n        return n\n"
        "    return count\ncount = make()",
    )
    run = freeze(notebook, "count()")
    assert [run(), run()] == [1, 2]


def test_a_class_whose_statement_had_keywords_still_works(notebook):
    define(
        notebook,
        "X = 1\nclass Base:\n    def __init_subclass__(cls, *, key):\n        cls.key = key\n"
        "class Model(Base, key='a'):\n    def fit(self):\n        return X",
    )
    assert freeze(notebook, "Model().fit()")() == 1


def test_a_container_that_holds_itself_is_no_trap(notebook):
    define(notebook, "def f():\n    return X\nX = 1\nloop = [f]\nloop.append(loop)")
    assert freeze(notebook, "loop[0]()")() == 1


def test_only_what_the_cell_reaches_is_rebuilt(notebook):
    define(notebook, "def used():\n    return used\ndef unused():\n    return 1")
    fresh = Snapshot(notebook, compile("used()", "<cell>", "eval")).fresh()
    assert fresh["used"] is not notebook["used"]
    assert fresh["unused"] is notebook["unused"]
