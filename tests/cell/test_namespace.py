"""What the notebook's functions see while a study runs."""

import functools
import pickle
import sys
import textwrap
import time

import cloudpickle
import pytest

from optuna_nb.cell.namespace import Snapshot
from optuna_nb.tuning.failure import one_line


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
    assert_frozen(notebook, text)


def assert_frozen(notebook, text):
    notebook["X"] = 1
    define(notebook, text)
    run = freeze(notebook, "f()")
    notebook["X"] = 2
    for name in ("g", "inner", "Model", "A", "table"):
        if name in notebook:
            notebook[name] = None
    assert run() == 1
    assert run() == 1


def dedent(text):
    return textwrap.dedent(text).strip()


WRAPPED = {
    "set_output of scikit-learn": """
        from sklearn.base import BaseEstimator, TransformerMixin
        class Shift(TransformerMixin, BaseEstimator):
            def transform(self, rows): return rows + X
        f = lambda: Shift().transform(0)
    """,
    "a decorator": """
        import functools
        def timed(g):
            @functools.wraps(g)
            def inner(*a): return g(*a)
            return inner
        class Model:
            @timed
            def fit(self): return X
        f = lambda: Model().fit()
    """,
    "contextmanager": """
        import contextlib
        class Model:
            @contextlib.contextmanager
            def fit(self): yield X
        f = lambda: Model().fit().__enter__()
    """,
    "lru_cache": """
        import functools
        class Model:
            @functools.lru_cache
            def fit(self): return X
        f = lambda: Model().fit()
    """,
    "cached_property": """
        import functools
        class Model:
            @functools.cached_property
            def fit(self): return X
        f = lambda: Model().fit
    """,
    "partialmethod": """
        import functools
        class Model:
            def g(self, a): return X + a
            fit = functools.partialmethod(g, 0)
        f = lambda: Model().fit()
    """,
    "singledispatchmethod": """
        import functools
        class Model:
            @functools.singledispatchmethod
            def fit(self, a): return 0
            @fit.register
            def _(self, a: int): return X
        f = lambda: Model().fit(1)
    """,
    "a class in it": """
        class Model:
            class Inner:
                def fit(self): return X
        f = lambda: Model.Inner().fit()
    """,
    "a table in it": """
        class Model:
            table = {'fit': lambda: X}
        f = lambda: Model.table['fit']()
    """,
    "default_factory": """
        from dataclasses import dataclass, field
        @dataclass
        class Model:
            fit: int = field(default_factory=lambda: X)
        f = lambda: Model().fit
    """,
    "slots": """
        from dataclasses import dataclass
        @dataclass(slots=True)
        class Model:
            a: int = 0
            def fit(self): return X + self.a
        f = lambda: Model().fit()
    """,
    "NamedTuple": """
        from typing import NamedTuple
        class Model(NamedTuple):
            a: int = 0
            def fit(self): return X + self.a
        f = lambda: Model().fit()
    """,
    "singledispatch": """
        import functools
        @functools.singledispatch
        def g(a): return 0
        @g.register
        def _(a: int): return X
        f = lambda: g(1)
    """,
    "singledispatch by a class": """
        import functools
        class A:
            def x(self): return X
        @functools.singledispatch
        def g(a): return 0
        @g.register
        def _(a: A): return a.x()
        f = lambda: g(A())
    """,
}


@pytest.mark.parametrize("way", WRAPPED)
def test_what_stands_behind_a_wrapper_or_in_a_class_sees_the_names_of_the_start(notebook, way):
    assert_frozen(notebook, dedent(WRAPPED[way]))


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


def test_a_method_of_a_decorated_class_finds_super_and_its_own_class(notebook):
    define(
        notebook,
        "import functools\ndef timed(g):\n    @functools.wraps(g)\n    def inner(*a):\n        return g(*a)\n"
        "    return inner\nX = 1\nclass A:\n    @timed\n    def a(self):\n        return 1\n"
        "class B(A):\n    @timed\n    def a(self):\n        return super().a() + 1, __class__ is B\n"
        "    def b(self):\n        return X",
    )
    assert freeze(notebook, "B().a()")() == (2, True)


def test_a_class_of_which_the_notebook_holds_an_instance_stays_the_same(notebook):
    define(
        notebook,
        "from dataclasses import dataclass\nMODES = {'fast': 1}\n@dataclass(frozen=True)\nclass Config:\n"
        "    mode: str = 'fast'\n    def speed(self):\n        return MODES[self.mode]\n"
        "held = {'a': [Config()]}",
    )
    assert freeze(notebook, "(isinstance(held['a'][0], Config), held['a'][0] == Config())")() == (True, True)


def test_a_function_that_reads_only_libraries_stays_the_same_and_can_be_pickled(notebook):
    define(
        notebook,
        "import math\ndef log(x):\n    return math.log(x) + len([])\n"
        "def other():\n    return log(1)\ndef deep():\n    return trial",
    )
    same = freeze(notebook, "(log, other, deep)")(trial=1)
    assert same[0] is notebook["log"]
    assert same[1] is not notebook["other"]
    assert same[2]() == 1


@pytest.mark.parametrize(
    "body",
    [
        "global made\n    made = 1\n    return 1",
        "return eval('X')",
        "return get_ipython()",
        "return set_in_the_cell",
        "return math.pi * 0 + len(globals()) * 0 + X",
    ],
)
def test_a_function_that_may_depend_on_the_trials_names_is_rebuilt(notebook, body):
    define(notebook, f"import math\nX = 1\ndef f():\n    {body}")
    fresh = Snapshot(notebook, compile("f()", "<cell>", "eval")).fresh()
    assert fresh["f"] is not notebook["f"]
    assert fresh["f"].__globals__ is fresh


def test_a_name_that_the_cell_itself_sets_reaches_the_functions_that_it_calls(notebook):
    define(notebook, "import math\ndef f():\n    return math.pi")
    code = compile("math = other\nresult = f()", "<cell>", "exec")
    notebook["other"] = type("Other", (), {"pi": 3})
    namespace = Snapshot(notebook, code).fresh()
    exec(code, namespace)  # noqa: S102
    assert namespace["result"] == 3


def test_a_dispatcher_sees_each_trial(notebook):
    define(
        notebook,
        "import functools\n@functools.singledispatch\ndef g(a):\n    'Doc.'\n    return 0\n"
        "@g.register\ndef _(a: int):\n    return trial",
    )
    run = freeze(notebook, "g(1), g('a'), g.__doc__")
    assert [run(trial=k) for k in range(3)] == [(k, 0, "Doc.") for k in range(3)]


def test_a_function_objective_that_reads_nothing_still_gets_names_of_its_own(notebook):
    define(notebook, "def objective(trial):\n    return 1")
    own = Snapshot(notebook, notebook["objective"].__code__).function(notebook["objective"])
    assert own.__globals__ is not notebook


def test_wide_and_deep_data_costs_no_time(notebook):
    notebook["wide"] = [[[[k] for k in range(70)] for _ in range(70)] for _ in range(70)]
    began = time.thread_time()
    freeze(notebook, "len(wide)")
    assert time.thread_time() - began < 1


def test_an_object_that_raises_when_it_is_looked_into_is_no_hindrance(notebook):
    class Odd:
        @property
        def __dict__(self):
            raise RuntimeError("no")

    notebook["odd"] = Odd()
    assert freeze(notebook, "odd")() is notebook["odd"]


def test_a_copy_that_pickle_does_not_take_is_explained(notebook, monkeypatch):
    define(notebook, "X = 1\ndef f():\n    return X")
    monkeypatch.setattr(sys.modules["__main__"], "f", notebook["f"], raising=False)
    copied = freeze(notebook, "f")()
    with pytest.raises(pickle.PicklingError) as refused:
        pickle.dumps(copied)
    assert "use cloudpickle.dump" in one_line(refused.value, 3)
    assert cloudpickle.loads(cloudpickle.dumps(copied))() == 1


def test_classes_of_objects_that_are_kept_anywhere_stay_the_same(notebook):
    text = """
        from collections import deque
        from dataclasses import dataclass
        import numpy as np
        unit = 10
        @dataclass
        class Fold:
            k: int
            def size(self): return self.k * unit
        class Item(Fold): pass
        class Cell(Fold): pass
        class Level(Fold): pass
        class Default(Fold): pass
        class Oops(ValueError):
            def __str__(self): return str(unit)
        class Splitter:
            def make(self): return Fold(1)
            def fail(self): raise Oops
        splitter, queue, column = Splitter(), deque([Item(1)]), np.array([Cell(1)], dtype=object)
        Level.LOW = Level(0)
        def same(other, mine=Default(1)): return other == mine
        def caught():
            try:
                splitter.fail()
            except Oops:
                return True
    """
    define(notebook, dedent(text))
    cell = (
        "(splitter.make() == Fold(1), queue[0] == Item(1), isinstance(column[0], Cell),"
        " Level.LOW == Level(0), same(Default(1)), caught())"
    )
    assert freeze(notebook, cell)() == (True,) * 6


def test_a_class_whose_base_hears_of_its_subclasses_stays_the_same(notebook):
    text = """
        made = []
        class Layer:
            def __init_subclass__(cls, width=1, **rest):
                super().__init_subclass__(**rest)
                made.append(cls)
                cls.width = width
        offset = 0
        class Wide(Layer, width=5):
            def score(self): return self.width + offset
    """
    define(notebook, dedent(text))
    assert freeze(notebook, "Wide().score()")() == 5
    assert notebook["made"] == [notebook["Wide"]]


def test_functions_that_are_default_arguments_see_the_names_of_the_start_and_the_trial(notebook):
    text = """
        X = 1
        def loss(): return X + trial
        def run(inner=loss, *, other=loss): return inner() + other()
    """
    define(notebook, dedent(text))
    run = freeze(notebook, "run()")
    notebook["X"] = 100
    assert (run(trial=1), run(trial=2)) == (4, 6)


def test_a_property_of_ones_own_kind_and_a_class_that_was_registered_are_kept(notebook):
    text = """
        from abc import ABC
        class classproperty(property):
            def __get__(self, obj, kind=None): return self.fget(kind)
        rate = 1
        class Model(ABC):
            @classproperty
            def lr(cls): return rate
            def fit(self): return rate
        class Foreign: pass
        Model.register(Foreign)
    """
    define(notebook, dedent(text))
    assert freeze(notebook, "(Model.lr, isinstance(Foreign(), Model))")() == (1, True)
