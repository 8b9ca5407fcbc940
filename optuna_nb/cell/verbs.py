"""The verbs of the line magic: ``%tune best churn`` and its siblings.

Each verb is one row of a table: its words of help, its flags, and what it does
with a study. A new verb is a new row.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optuna_nb.cell import moving_verbs, record_verbs, view_verbs
from optuna_nb.cell.numbers import count
from optuna_nb.cell.options import storage_url
from optuna_nb.cell.parser import HelpAsked, LineParser, did_you_mean, split_line
from optuna_nb.errors import InvalidOptionError
from optuna_nb.storage.server import shown
from optuna_nb.tuning.naming import RESERVED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from optuna_nb.records import Finding


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: what it is for, and what it does."""

    about: str
    run: Callable[[argparse.Namespace], Any]  # what it returns is the value of the cell
    takes_name: bool = True
    needs_name: bool = True
    asks_yes: bool = False
    add_flags: Callable[[LineParser], None] | None = None  # what it takes beside the name
    example: str = ""  # what stands behind the name in its example


def run_verb(line: str, storage: str, namespace: Mapping[str, object] | None = None) -> Any:
    """Do what a ``%tune`` line says.

    Args:
        line: what stands behind ``%tune``.
        storage: the database URL where ``--storage`` gives none.
        namespace: where the names of variables are looked up.

    Returns:
        A DataFrame to show, or None where the verb shows something itself.

    Raises:
        OptunaNBError: the user's mistake in one line.
        HelpAsked: the line asks for help.
    """
    words = split_line(line)
    if not words or words[0] in ("-h", "--help", "help"):
        raise HelpAsked(help_text())
    word = words[0]
    if word not in VERBS:
        meant = (
            did_you_mean(word, VERBS)
            or f"; to tune a cell, write %%tune {word} above it; `%tune -h` lists the verbs"
        )
        msg = f"%tune has no verb {word}{meant}"
        raise InvalidOptionError(msg, code="NB106")
    verb = VERBS[word]
    given = verb_parser(word).read(line.strip().removeprefix(word))
    given.again = _line(word, given)
    given.storage = given.storage or storage
    given.namespace = namespace or {}
    if verb.takes_name and verb.needs_name and not given.name:
        msg = f"%tune {word} needs the name of a study, as `%tune {word} churn`; `%tune list` shows them"
        raise InvalidOptionError(msg, code="NB108")
    return verb.run(given)


def _line(word: str, given: argparse.Namespace) -> str:
    """Write the line again that names a study, in its own database, to be copied with one more flag."""
    words = [getattr(given, "name", None), *(["--storage", shown(given.storage)] if given.storage else [])]
    return " ".join(["%tune", word, *(shlex.quote(it) for it in words if it)])


def verb_parser(word: str) -> LineParser:
    """Build the parser of one verb."""
    verb = VERBS[word]
    example = f"%tune {word}{' churn' if verb.takes_name else ''}{' --yes' if verb.asks_yes else ''}"
    example += f" {verb.example}" if verb.example else ""
    parser = LineParser(f"%tune {word}", verb.about, (example,))
    if verb.takes_name:
        parser.add_argument("name", nargs="?", metavar="NAME", help="the study: churn, or churn@1")
    if verb.asks_yes:
        parser.add_argument("--yes", action="store_true", help="yes, do it")
    if verb.add_flags is not None:
        verb.add_flags(parser)
    parser.add_argument(
        "--storage", type=storage_url, metavar="URL", help="database (default: %%config OptunaNB.storage)"
    )
    return parser


def help_text() -> str:
    """Explain ``%tune``: every verb on one line."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  %tune {word:<{width}}  {verb.about}" for word, verb in VERBS.items())
    return (
        "Look at and steer the studies that %%tune cells began.\n\n"
        f"{verbs}\n\n"
        "A verb takes the name of a study (churn, or churn@1 for an older version) and --storage URL.\n"
        "`%tune best -h` explains one verb, `%%tune -h` the cell that begins a study.\n\n"
        "examples:\n  %tune list\n  %tune wait churn\n  %tune best churn"
    )


def _list(given: argparse.Namespace) -> Any:
    from optuna_nb.tuning.api import list_studies

    return list_studies(given.storage)


def _show(given: argparse.Namespace) -> None:
    from optuna_nb.cell import view

    view.show(moving_verbs.load_named(given))


def _wait(given: argparse.Namespace) -> None:
    from optuna_nb.cell import view

    view.wait(moving_verbs.load_named(given))


def _pause(given: argparse.Namespace) -> None:
    handle = moving_verbs.load_named(given)
    if handle.pause():
        print(f"{handle.name}: pauses after the trials in flight; `%tune resume {given.name}` goes on")  # noqa: T201
    else:
        print(f"{handle.name} is not running")  # noqa: T201


def _resume(given: argparse.Namespace) -> None:
    handle = moving_verbs.load_named(given).resume()
    print(handle.note or f"{handle.name}: goes on")  # noqa: T201


def _trust(given: argparse.Namespace) -> None:
    from IPython.core.getipython import get_ipython

    from optuna_nb.cell import steering

    handle = moving_verbs.load_named(given)
    shell = get_ipython()
    if shell is not None:
        print(steering.trust_stored(handle, shell, yes=given.yes, line=given.again))  # noqa: T201


def _stop(given: argparse.Namespace) -> None:
    handle = moving_verbs.load_named(given)
    if handle.stop():
        print(f"{handle.name}: stops after the trials in flight; running its cell again goes on")  # noqa: T201
    else:
        print(f"{handle.name} is not running")  # noqa: T201


def _best(given: argparse.Namespace) -> None:
    handle = moving_verbs.load_named(given)
    if given.code:
        from optuna_nb.cell.autotune import best_code

        print(best_code(handle))  # noqa: T201
        return
    from optuna_nb.cell.best import best_text, gain_text

    print("\n".join(filter(None, [best_text(handle.snapshot()), gain_text(handle)])))  # noqa: T201


def _best_flags(parser: LineParser) -> None:
    parser.add_argument("--code", action="store_true", help="print Python that builds the model (%%autotune)")


def _refine(given: argparse.Namespace) -> None:
    from optuna_nb.cell import view
    from optuna_nb.cell.autotune import refine_study

    child = refine_study(moving_verbs.load_named(given), given.param or (), trials=given.trials)
    print(child.note)  # noqa: T201
    view.wait(child) if given.wait else view.show(child)


def _refine_flags(parser: LineParser) -> None:
    parser.add_argument("--param", action="append", metavar="P", help="what to refine; may be repeated")
    parser.add_argument("-n", "--trials", type=count, metavar="N", help="at most N trials (default 25)")
    parser.add_argument("--wait", action="store_true", help="block until it has ended")


def _delete(given: argparse.Namespace) -> None:
    if given.experiment is not None or given.model_run is not None:
        record_verbs.delete(given)
        return
    if not given.name:
        msg = "%tune delete needs the name of a study, or --experiment E or --model-run ID"
        raise InvalidOptionError(msg, code="NB108")
    from optuna_nb.tuning import api

    if not given.yes:
        names = ", ".join(api.versions_of(given.name, given.storage))
        msg = f"this deletes {names} with all trials for ever: add --yes, `{given.again} --yes`"
        raise InvalidOptionError(msg, code="NB109")
    deleted = api.delete(given.name, given.storage)
    print(f"deleted {', '.join(deleted)}")  # noqa: T201


def _doctor(given: argparse.Namespace) -> None:
    from optuna_nb.tuning.handle import StudyHandle

    handle = StudyHandle(given.name, given.storage)  # not looked up: a broken index may hide the study
    findings = handle.doctor(repair=given.repair)
    width = max(len(finding.check) for finding in findings)
    lines = [f"  {finding.check:<{width}}  {finding.problem or 'ok'}" for finding in findings]
    if given.repair:
        lines.insert(0, f"  {handle.note}")
    elif any(finding.problem and finding.can_be_mended for finding in findings):
        lines.append(f"  `%tune doctor {given.name} --repair` keeps a copy of the file and mends what can be")
    print("\n".join([f"{handle.name}: {_verdict(findings)}", *lines]))  # noqa: T201


def _trials(given: argparse.Namespace) -> Any:
    """Return what a person wants to see; ``StudyHandle.trials_dataframe`` has what samplers note, too."""
    found = moving_verbs.load_named(given).trials_dataframe()
    return found[[name for name in found.columns if not str(name).startswith("system_attrs_")]]


def _verdict(findings: list[Finding]) -> str:
    count = sum(bool(finding.problem) for finding in findings)
    return "all is well" if not count else f"{count} problem{'s' if count > 1 else ''}"


def _doctor_flags(parser: LineParser) -> None:
    parser.add_argument("--repair", action="store_true", help="mend what can be, after a copy is kept")


def _explain(given: argparse.Namespace) -> Any:
    from optuna_nb.cell.explain import explain

    if not given.code:
        msg = "%tune explain needs a code, as `%tune explain NB101`"
        raise InvalidOptionError(msg, code="NB108")
    return explain(given.code)


def _explain_flags(parser: LineParser) -> None:
    parser.add_argument("code", nargs="?", metavar="CODE", help="in brackets behind the message")


VERBS: dict[str, Verb] = {
    "list": Verb("list the studies of the database", _list, takes_name=False),
    "show": Verb("show the panel of a study, also of one that another kernel runs", _show),
    "wait": Verb("block until the tuning has ended; an interrupt ends only the wait", _wait),
    "pause": Verb("let the trials in flight end and begin no new one", _pause),
    "resume": Verb("go on after a pause or a stop", _resume),
    "trust": Verb(
        "show the cell that is stored with a study from elsewhere, and let it run here with --yes",
        _trust,
        asks_yes=True,
    ),
    "stop": Verb("end the tuning after the trials in flight; nothing is lost", _stop),
    "best": Verb("print the best value and its parameters, or its code", _best, add_flags=_best_flags),
    "refine": Verb(
        "try a fine grid around the best trial, in a study of its own",
        _refine,
        add_flags=_refine_flags,
        example="--param learning_rate",
    ),
    "trials": Verb("give the trials as a DataFrame", _trials),
    "runs": Verb(
        "ask the records: executions of cells as a DataFrame, all or of one study",
        record_verbs.runs,
        needs_name=False,
        add_flags=record_verbs.add_runs_flags,
        example="--status completed --best",
    ),
    "compare": Verb(
        "put runs side by side as a DataFrame",
        record_verbs.compare,
        takes_name=False,
        add_flags=record_verbs.add_compare_flags,
        example="churn@1 churn@2",
    ),
    "enqueue": Verb(
        "queue parameter sets of a variable, to be tried next",
        moving_verbs.enqueue,
        add_flags=moving_verbs.add_enqueue_flags,
        example="my_params",
    ),
    "export": Verb(
        "write the trials into a file, or the study into a database of its own",
        moving_verbs.export,
        add_flags=moving_verbs.add_export_flags,
        example="best.json --pareto --top 200",
    ),
    "import": Verb(
        "copy studies of an Optuna journal or another database into this one",
        moving_verbs.import_,
        takes_name=False,
        add_flags=moving_verbs.add_import_flags,
        example="journal.log",
    ),
    "push": Verb(
        "copy a study with its records to another file or server",
        moving_verbs.push,
        add_flags=moving_verbs.add_transfer_flags,
        example="postgresql+psycopg://ann@db/team",
    ),
    "pull": Verb(
        "copy a study with its records from another file or server",
        moving_verbs.pull,
        add_flags=moving_verbs.add_transfer_flags,
        example="sqlite:///theirs.db",
    ),
    "rename": Verb(
        "give a study another name",
        moving_verbs.rename,
        add_flags=moving_verbs.add_rename_flags,
        example="attrition",
    ),
    "plot": Verb(
        "give one of Optuna's plotly figures",
        view_verbs.plot,
        takes_name=False,
        add_flags=view_verbs.add_plot_flags,
        example="slice churn",
    ),
    "dashboard": Verb(
        "start optuna-dashboard on this file, read-only, and print its address",
        view_verbs.dashboard,
        needs_name=False,
    ),
    "doctor": Verb(
        "check the file of a study, and mend it with --repair",
        _doctor,
        add_flags=_doctor_flags,
    ),
    "explain": Verb(
        "say what the code behind a message means, and what to do",
        _explain,
        takes_name=False,
        add_flags=_explain_flags,
        example="NB101",
    ),
    "delete": Verb(
        "delete a study, or records, for ever; asks for --yes",
        _delete,
        needs_name=False,
        asks_yes=True,
        add_flags=record_verbs.add_delete_flags,
    ),
}
assert set(VERBS) == set(RESERVED)  # noqa: S101  (a study may not be called like a verb)
