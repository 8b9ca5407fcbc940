"""Three and more objectives have their front and their hypervolume, too."""

from __future__ import annotations

import re

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume

from display.example import study, trial
from optuna_nb.display import objectives
from optuna_nb.display.many_objectives import hypervolume


def test_the_share_is_that_of_the_hypervolume_of_optuna():
    values = np.random.default_rng(1).random((60, 3))
    low, high = values.min(axis=0), values.max(axis=0)
    exact = compute_hypervolume(values, high) / np.prod(high - low)
    assert hypervolume(values, [False] * 3)[-1] == pytest.approx(exact, abs=0.03)


def test_the_share_never_falls_and_follows_the_directions():
    values = np.random.default_rng(2).random((40, 4))
    share = hypervolume(values, [True, False, True, False])
    assert (np.diff(share) >= 0).all()
    turned = values * [-1, 1, -1, 1]
    assert (share == hypervolume(turned, [False] * 4)).all()


def test_one_value_for_all_trials_spans_no_box():
    assert (hypervolume(np.ones((5, 3)), [False] * 3) == 0).all()


def test_three_sides_and_the_growth_are_drawn():
    values = np.random.default_rng(3).random((50, 3))
    trials = [trial(number, *row) for number, row in enumerate(values.tolist())]
    html = objectives.charts(study(trials, directions=("minimize",) * 3))
    assert len(re.findall("<svg", html)) == 4
    assert "Hypervolume" in html
