"""Importing this runs a study once, so that a nursery's children find every lazy import done."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cmaes  # noqa: F401 - CMA-ES needs it
import scipy.stats  # noqa: F401 - QMC needs it

from harness import lives

with tempfile.TemporaryDirectory() as folder:
    for number, name in enumerate(("tpe", "cmaes", "tpe multi-objective", "nsgaii")):
        study, storage = lives.open_study(str(Path(folder) / f"{number}.db"), name)
        for _ in range(12):
            lives.one_trial(study, storage, name, lambda _: None)
        storage.close()
