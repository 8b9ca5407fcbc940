"""The magics ``%%tune`` and ``%tune``: parse, wire, return.

``%load_ext`` imports this file, so what it needs at the top is light; the rest
comes with the first cell.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from traitlets import Bool, Unicode

from optuna_nb.cell import DEFAULT_STORAGE
from optuna_nb.errors import LockedStudyError, OptunaNBError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell


@magics_class
class OptunaNB(Magics):
    """Tune models from notebook cells."""

    storage = Unicode(
        DEFAULT_STORAGE,
        help="Database of the studies, as an SQLAlchemy URL. Default: optuna_nb.db in the working folder.",
    ).tag(config=True)

    capture = Bool(
        True,  # noqa: FBT003 - the default of a trait
        help="Keep what trials print with their study. False keeps nothing of it, as --no-log does.",
    ).tag(config=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._folder = os.getcwd()  # noqa: PTH109 - a string is all that is needed
        self.observe(self._remember_folder, "storage")

    def _remember_folder(self, _: object) -> None:
        self._folder = os.getcwd()  # noqa: PTH109

    @property
    def url(self) -> str:
        """The database; a relative path stays where it was when it was set, whatever ``%cd`` does."""
        from optuna_nb.cell.options import anchored

        return anchored(self.storage, self._folder)

    @line_cell_magic
    def tune(self, line: str, cell: str | None = None) -> Any:
        """Tune the model of a cell, or look at and steer a study.

        As a cell magic the body is the objective: `trial` is in scope, and the last
        expression is the score (a number, an array of fold scores, or a tuple with
        one value per --direction). It returns at once; the trials run in the
        background, and running the cell again goes on where it stopped.

            %%tune churn --trials 200 --maximize
            depth = trial.suggest_int("depth", 2, 10)
            cross_val_score(XGBClassifier(max_depth=depth), X, y, cv=5)

        As a line magic it takes a verb and the name of a study.

            %tune list
            %tune wait churn        # block, with a line of progress
            %tune best churn        # the best value and its parameters

        `%%tune -h` explains every flag, `%tune -h` every verb.
        """
        with _one_line_errors():
            return self._verb(line) if cell is None else self._cell(line, cell)

    @line_magic
    def autotune(self, line: str) -> Any:
        """Tune a known model on data of the notebook, without an objective of your own.

            %autotune churn --model xgboost -X X -y y --metric roc_auc --trials 50

        `%autotune -h` explains every flag; the verbs of `%tune` steer the study.
        """
        with _one_line_errors():
            shell = self.shell
            if shell is None:
                raise UsageError("%autotune works only inside IPython")
            from optuna_nb.cell.autotune_magic import run_line

            run_line(shell, line, self.url)

    def _verb(self, line: str) -> Any:
        from optuna_nb.cell.verbs import run_verb

        return run_verb(line, self.url, {} if self.shell is None else self.shell.user_ns)

    def _cell(self, line: str, body: str) -> None:
        shell = self.shell
        if shell is None:  # only where somebody makes the magics by hand
            raise UsageError("%%tune works only inside IPython")
        from optuna_nb.cell.options import read_line

        asked = read_line(line, shell.user_ns, self.url)

        # Optuna and its friends come only now that the line makes sense.
        from optuna_nb.cell import api, view
        from optuna_nb.cell.source import read_cell

        try:
            handle = api.start(read_cell(shell, line, body), asked.options)
        except LockedStudyError:
            if not asked.quiet:  # another kernel tunes it: watch it from here
                view.show(api.load(asked.options.name, asked.options.storage))
            raise
        if asked.out:
            shell.push({asked.out: handle})  # type: ignore[no-untyped-call]
        if handle.note:
            print(handle.note)  # noqa: T201
        if not asked.quiet:
            view.show(handle, notify=asked.notify is True)
        if callable(asked.notify):
            view.call_at_the_end(handle, asked.notify)
        if asked.wait:
            view.wait(handle)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Show a mistake as IPython shows its own: one line, no traceback. And print help."""
    from optuna_nb.cell.parser import HelpAsked

    try:
        yield
    except HelpAsked as asked:
        print(asked)  # noqa: T201
    except OptunaNBError as error:
        raise UsageError(error.in_one_line()) from None


def load(shell: InteractiveShell) -> None:
    """Register the magics, their completion and ``%config OptunaNB``."""
    from optuna_nb.cell import completion

    # Magics enter themselves among the configurables of the shell, for %config.
    shell.register_magics(OptunaNB(shell=shell, parent=shell))
    shell.input_transformers_cleanup.insert(0, keep_empty_cell)
    completion.install(shell)
    shell.events.register("post_run_cell", _settle_panels)


def _settle_panels(*_: object) -> None:
    """Let panels say their last word in this cell: a notebook that nobody watches keeps no other."""
    if (view := sys.modules.get("optuna_nb.cell.view")) is not None:
        view.say_again()


def unload(shell: InteractiveShell) -> None:
    """Undo ``load``, stop what is being tuned, and give the real output streams back."""
    from optuna_nb.cell import completion

    magics = shell.magics_manager.registry.pop("OptunaNB", None)
    if magics is None:
        return
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("tune", None)
        shell.magics_manager.magics[kind].pop("autotune", None)
    shell.configurables[:] = [it for it in shell.configurables if it is not magics]
    shell.input_transformers_cleanup.remove(keep_empty_cell)
    completion.uninstall(shell)
    with suppress(ValueError):  # somebody has reset the events
        shell.events.unregister("post_run_cell", _settle_panels)
    # Only what a cell has brought in is there to be undone.
    if (background := sys.modules.get("optuna_nb.tuning.background")) is not None:
        background.shut_down_all()
    if (view := sys.modules.get("optuna_nb.cell.view")) is not None:
        view.close_all()
    if (capture := sys.modules.get("optuna_nb.tuning.capture")) is not None:
        capture.uninstall()


def keep_empty_cell(lines: list[str]) -> list[str]:
    """Let ``%%tune -h`` stand alone in a cell, which IPython refuses for a cell magic."""
    if len(lines) == 1 and lines[0].startswith("%%tune") and not lines[0].rstrip().endswith("?"):
        return [lines[0].rstrip("\n") + "\n", "\n"]
    return lines
