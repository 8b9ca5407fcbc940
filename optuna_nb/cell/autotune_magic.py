"""What ``%autotune`` does: read the line, start, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna_nb.cell.autotune_line import read_autotune

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def run_line(shell: InteractiveShell, line: str, storage: str) -> None:
    """Start what an ``%autotune`` line asks for, and show it.

    Raises:
        InvalidOptionError: Something in the line cannot be used.
        HelpAsked: The line asks for help.
    """
    arguments, given = read_autotune(line, shell.user_ns, storage)

    # scikit-learn and its friends come only now that the line makes sense.
    from optuna_nb.cell import view
    from optuna_nb.cell.autotune import autotune
    from optuna_nb.cell.comparison_table import ComparisonTable
    from optuna_nb.models.comparison import Comparison

    wait = bool(arguments.pop("wait"))
    several = isinstance(arguments["model"], (list, tuple))
    result = autotune(**arguments, wait=wait and given.refine and not several)
    if given.out:
        shell.push({given.out: result})  # type: ignore[no-untyped-call]
    if isinstance(result, Comparison):
        studies = ", ".join(options.name for _, options in result.entries.values())
        look = f"; {given.out}.table compares them" if given.out else ""
        print(f"one study each: {studies}; `%tune show NAME` shows one{look}")  # noqa: T201
        table = ComparisonTable(result) if view.in_kernel() and not given.quiet else None
        if wait:
            view.wait_for_all(result)
            table.update() if table is not None else print(result.table.to_string(index=False))  # noqa: T201
        return
    if result.note:
        print(result.note)  # noqa: T201
    if not given.quiet:
        view.show(result)
    if wait and not given.refine:
        view.wait(result)
