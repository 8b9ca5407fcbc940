"""What Tab offers: verbs, flags, names of samplers, pruners and studies, and ``trial.``.

One matcher is added to IPython's completer, which calls it for every Tab; it
answers only inside our magics and leaves everything else to the others.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from optuna_nb.records import PRUNERS, SAMPLERS, base_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

_IDENTIFIER = "optuna_nb"
_PRIORITY = 200  # above IPython's own, which would offer file names
_TRIAL = re.compile(r"(?<![\w.])trial\.(\w*)$")


def install(shell: InteractiveShell) -> None:
    """Add the matcher to the shell's completer."""
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(_matcher(shell))


def uninstall(shell: InteractiveShell) -> None:
    """Take the matcher away."""
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [it for it in matchers if getattr(it, "matcher_identifier", "") != _IDENTIFIER]


def _matcher(shell: InteractiveShell) -> Callable[[CompletionContext], SimpleMatcherResult]:
    def complete_tune(context: CompletionContext) -> SimpleMatcherResult:
        before = context.full_text.split("\n")[context.cursor_line][: context.cursor_position]
        fragment, words = candidates(shell, context.full_text, context.cursor_line, before)
        found = [SimpleCompletion(it) for it in words if it.startswith(fragment)]
        return {"completions": found, "matched_fragment": fragment, "suppress": bool(found)}

    decorate: Any = context_matcher(priority=_PRIORITY, identifier=_IDENTIFIER)
    matcher: Callable[[CompletionContext], SimpleMatcherResult] = decorate(complete_tune)
    return matcher


def candidates(
    shell: InteractiveShell, cell: str, line_number: int, before: str
) -> tuple[str, Iterable[str]]:
    """Give the word under the cursor and what could stand there.

    Args:
        shell: the running IPython, for its variables and database URL.
        cell: the whole text of the cell.
        line_number: the cursor's line, from 0.
        before: that line up to the cursor.
    """
    if match := re.match(r"\s*(%{1,2})tune\s+", before):
        is_cell = match[1] == "%%"
        rest = before[match.end() :]
        done, fragment = _split(rest)
        return fragment, (_cell_words if is_cell else _verb_words)(shell, done, fragment)
    if match := re.match(r"\s*%autotune\s+", before):
        done, fragment = _split(before[match.end() :])
        return fragment, _autotune_words(shell, done, fragment)
    if line_number and cell.lstrip().startswith("%%tune") and (match := _TRIAL.search(before)):
        return f"trial.{match[1]}", _trial_words()
    return "", ()


def _split(text: str) -> tuple[list[str], str]:
    words = text.split()
    if text and not text[-1].isspace():
        return words[:-1], words[-1]
    return words, ""


def _cell_words(shell: InteractiveShell, done: list[str], fragment: str) -> Iterable[str]:
    from optuna_nb.cell import checks
    from optuna_nb.cell.options import tune_parser

    parser = tune_parser()
    last = done[-1] if done else ""
    values: dict[str, Callable[[], Iterable[str]]] = {
        "--sampler": lambda: [*SAMPLERS, *_holding(shell, "sample_relative")],
        "--pruner": lambda: [*PRUNERS, *_holding(shell, "prune")],
        "--direction": lambda: checks.DIRECTIONS,
        "--durability": lambda: checks.DURABILITIES,
        "--synchronous": lambda: checks.SYNCHRONOUS,
    }
    if last in values:
        return values[last]()
    if parser.takes_value(last):
        return ()
    if fragment.startswith("-"):
        return [it for it in parser.flags() if it.startswith("--")]
    if not done:
        return sorted({base_name(name) for name in _study_names(shell)})
    return ()


def _autotune_words(shell: InteractiveShell, done: list[str], fragment: str) -> Iterable[str]:
    from optuna_nb.cell.autotune_line import VARIABLES, autotune_parser

    parser = autotune_parser()
    last = done[-1] if done else ""
    if last == "--model":
        from optuna_nb.models.presets import MODELS

        return [*MODELS, *_holding(shell, "fit")]
    if last == "--sampler":
        return [*SAMPLERS, *_holding(shell, "sample_relative")]
    if last.lstrip("-").replace("-", "_") in VARIABLES:
        return [name for name in shell.user_ns if not name.startswith("_")]
    if parser.takes_value(last):
        return ()
    return [it for it in parser.flags() if it.startswith(fragment)] if fragment.startswith("-") else ()


def _verb_words(shell: InteractiveShell, done: list[str], fragment: str) -> Iterable[str]:
    from optuna_nb.cell.verbs import VERBS, verb_parser

    if not done:
        return [*VERBS, "--help"] if fragment.startswith("-") else list(VERBS)
    if done[0] not in VERBS:
        return ()
    parser = verb_parser(done[0])
    if parser.takes_value(done[-1]):
        return ()
    if fragment.startswith("-"):
        return [it for it in parser.flags() if it.startswith("--")]
    if len(done) > 1 or not VERBS[done[0]].takes_name:
        return _queues(shell) if done[0] == "enqueue" and len(done) == 2 else ()  # noqa: PLR2004 - verb, study
    names = _study_names(shell)
    return names if "@" in fragment else sorted({base_name(name) for name in names})


def _trial_words() -> Iterable[str]:
    from optuna.trial import Trial

    return [f"trial.{name}" for name in dir(Trial) if not name.startswith("_")]


def _holding(shell: InteractiveShell, method: str) -> list[str]:
    """Names of variables that hold a sampler or a pruner."""
    return [
        name
        for name, value in shell.user_ns.items()
        if not name.startswith("_")
        and not isinstance(value, type)
        and callable(getattr(type(value), method, None))
    ]


def _queues(shell: InteractiveShell) -> list[str]:
    """Names of variables that may hold parameter sets: a dict, or a list of dicts."""
    return [
        name
        for name, value in shell.user_ns.items()
        if not name.startswith("_")
        and (isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)))
    ]


def _study_names(shell: InteractiveShell) -> list[str]:
    """Names in the database; none where it cannot be read, as Tab is no place for an error."""
    from optuna_nb.errors import StorageError
    from optuna_nb.storage.opening import open_read_only
    from optuna_nb.storage.refusals import translated
    from optuna_nb.storage.server import place
    from optuna_nb.storage.versions import list_all

    url = shell.magics_manager.registry["OptunaNB"].url
    try:
        with translated(place(url)), closing(open_read_only(url)) as connection:
            return [row["name"] for row in list_all(connection)]
    except StorageError:
        return []
