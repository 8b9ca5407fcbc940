"""Take the pictures of docs/images: the panel of a real study, in JupyterLab, light and dark.

    python scripts/readme_pictures.py

needs what the browser tests need, and takes about a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from harness.lab import DARK, LIGHT, LabPage, LabServer, chromium, write_notebook  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SETUP = """%load_ext optuna_nb
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from xgboost import XGBClassifier
X, y = load_breast_cancer(return_X_y=True)"""
CELL = """%%tune cancer --trials 200 --maximize --metric roc_auc --seed 7
model = XGBClassifier(
    n_estimators=40,
    max_depth=trial.suggest_int("max_depth", 2, 10),
    learning_rate=trial.suggest_float("learning_rate", 1e-3, 0.3, log=True),
    subsample=trial.suggest_float("subsample", 0.5, 1.0),
    n_jobs=1,
)
cross_val_score(model, X, y, scoring="roc_auc", cv=3)"""


def main() -> None:
    """Take one picture in the light theme, one in the dark."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for theme, name, tab in ((LIGHT, "light", "History"), (DARK, "dark", "Parameters")):
            with tempfile.TemporaryDirectory() as folder, LabServer(Path(folder)) as server:
                notebook = write_notebook(Path(folder) / "cancer.ipynb", [SETUP, CELL])
                page = LabPage(browser.new_page(viewport={"width": 1120, "height": 900}), server)
                page.open(notebook, theme)
                page.command("application:toggle-left-area")
                page.run_all()
                page.page.wait_for_function(
                    "() => parseInt(document.querySelector('.onb-live .onb-under')?.textContent) >= 70",
                    timeout=120_000,
                )
                live = page.output(1).locator(".onb-live")
                live.get_by_role("tab", name=tab, exact=True).click()
                page.page.wait_for_timeout(1200)
                page.page.locator(".jp-Notebook .jp-CodeCell").nth(1).scroll_into_view_if_needed()
                page.page.evaluate(
                    "() => document.querySelectorAll('.jp-CodeCell')[1].scrollIntoView({block: 'start'})"
                )
                page.page.wait_for_timeout(400)
                picture = page.screenshot(IMAGES / f"panel-{name}.png")
                print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1000} kB")
                page.page.close()


if __name__ == "__main__":
    main()
