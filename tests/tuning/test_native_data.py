"""Data in the memory of a library counts by what it holds."""

from array import array

import numpy as np
import pandas as pd
import pytest

from optuna_nb.tuning.fingerprint import examine, fingerprint


def digest(value):
    examined = examine("D", {"D": value})
    assert examined.opaque == ()
    return examined.parts["data D"]


def rows():
    return np.array([[1.0, np.nan], [3.0, 0.0], [5.0, 6.0]])


def test_arrays_of_the_standard_library_count_by_content():
    assert digest(array("d", [1, 2])) == digest(array("d", [1, 2]))
    assert digest(array("d", [1, 2])) != digest(array("d", [1, 3]))
    assert digest(array("i", [0])) != digest(array("f", [0]))
    data = bytearray(b"abc")
    before = digest(memoryview(data))
    data[0] = 0
    assert digest(memoryview(data)) != before


def test_a_dmatrix_counts_by_content():
    xgboost = pytest.importorskip("xgboost")

    def make(data=None, label=(0, 1, 0), **given):
        return xgboost.DMatrix(rows() if data is None else data, label=label, **given)

    first = digest(make())
    changed = rows()
    changed[1, 1] = 9
    missing = rows()
    missing[1, 1] = np.nan
    names = pd.DataFrame(rows(), columns=["a", "b"])
    others = [
        make(changed),
        make(missing),
        make(label=(1, 1, 0)),
        make(weight=[1, 2, 3]),
        make(base_margin=[1, 2, 3]),
        make(group=[1, 2]),
        make(names),
    ]
    assert digest(make()) == first
    assert len({first, *map(digest, others)}) == len(others) + 1

    data = make()
    data.set_label([1, 1, 1])
    assert digest(data) != first


def test_a_pool_counts_by_content():
    catboost = pytest.importorskip("catboost")

    def make(data=None, label=(0, 1, 0), **given):
        return catboost.Pool(rows() if data is None else data, label=list(label), **given)

    first = digest(make())
    changed = rows()
    changed[1, 1] = 9
    others = [
        make(changed),
        make(label=(1, 1, 0)),
        make(weight=[1, 2, 3]),
        make(baseline=[1, 2, 3]),
        make(group_id=[0, 0, 1]),
        make(feature_names=["a", "b"]),
    ]
    assert digest(make()) == first
    assert len({first, *map(digest, others)}) == len(others) + 1


def test_a_pool_that_gives_nothing_back_is_named():
    catboost = pytest.importorskip("catboost")
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]})
    examined = examine("D", {"D": catboost.Pool(frame, label=[0, 1], cat_features=["a"])})
    assert examined.unseen == ("D (catboost.Pool)",)


def test_what_is_no_data_is_not_named():
    import threading

    found = examine("D", {"D": [threading.Lock(), object(), np.random.default_rng(1)]})
    assert found.unseen == ("D[2] (numpy.random.Generator)",)


def test_reading_it_imports_no_library(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from optuna_nb.tuning.fingerprint import fingerprint\n"
        "fingerprint('D', {'D': object()})\n"
        "sys.exit(bool({'xgboost', 'catboost'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    assert fingerprint("1", {}).keys() == {"cell"}
