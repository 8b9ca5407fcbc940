"""The flags of ``%%tune``."""

from __future__ import annotations

import argparse
import ast
import keyword
import re
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.checks import check, direction
from optuna_nb.cell.numbers import count, seconds, seed
from optuna_nb.cell.parser import LineParser, did_you_mean
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import PRUNERS, SAMPLERS, TuneOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna_nb.tuning.handle import StudyHandle

_OF_TRIALS = (Real, str, type(None))  # what a parameter of a trial may be


@dataclass(frozen=True, slots=True)
class TuneLine:
    """A ``%%tune`` line, understood."""

    options: TuneOptions
    wait: bool = False
    out: str | None = None  # the variable that gets the handle
    quiet: bool = False
    notify: Callable[[StudyHandle], object] | bool = False  # True: by the browser


def read_line(line: str, namespace: Mapping[str, object], storage: str) -> TuneLine:
    """Understand the line of a ``%%tune`` cell.

    Args:
        line: what stands behind ``%%tune``.
        namespace: where the names of variables are looked up.
        storage: the database URL where ``--storage`` gives none.

    Raises:
        InvalidOptionError: something in the line cannot be used; one line, with the fix.
        HelpAsked: the line asks for help.
    """
    given = tune_parser().read(line)
    named = [
        *(["minimize"] if given.minimize else []),
        *(["maximize"] if given.maximize else []),
        *(given.direction or []),
    ]
    if (given.minimize or given.maximize) and len(named) > 1:
        msg = "several directions: say each with --direction, as `--direction minimize --direction maximize`"
        raise InvalidOptionError(msg, code="NB107")
    if given.out is not None and (not given.out.isidentifier() or keyword.iskeyword(given.out)):
        msg = f"--out: {given.out!r} cannot be the name of a variable; take letters, digits and _"
        raise InvalidOptionError(msg, code="NB111")
    options = TuneOptions(
        name=given.name or "",
        storage=given.storage or storage,
        trials=given.trials,
        more=given.more,
        timeout=given.timeout,
        directions=tuple(named) or ("minimize",),
        sampler=by_name("sampler", given.sampler, SAMPLERS, namespace),
        batch=given.batch,
        pruner=by_name("pruner", given.pruner, PRUNERS, namespace),
        seed=given.seed,
        jobs=given.jobs,
        executor=given.executor or default_executor(given.cluster),
        cluster=read_cluster(given.cluster, namespace),
        metric=given.metric,
        model=given.model,
        experiment=given.experiment,
        notes=given.notes,
        tags=tuple(given.tag or ()),
        continue_old=given.continue_old,
        warm_start=given.warm_start,
        user_directions=bool(named),
        durability=given.durability,
        buffer_size=given.buffer_size,
        flush_seconds=given.flush_seconds,
        synchronous=given.synchronous,
        step_interval=given.step_interval,
        fix=read_fixed(given.fix, namespace),
        keep_log=not given.no_log,
    )
    check(options)
    return TuneLine(
        options, wait=given.wait, out=given.out, quiet=given.quiet, notify=_notify(given.notify, namespace)
    )


def tune_parser() -> LineParser:
    """Build the parser of the ``%%tune`` line; its help is the help of the magic."""
    parser = LineParser(
        "%%tune",
        "Tune what the cell computes. `trial` is in scope; the last expression is the score: a number,\n"
        "an array of fold scores (their mean counts), or a tuple with one value per --direction.\n"
        "The trials run in the background and every finished one is in the database; running the cell\n"
        "again goes on where it stopped. `%tune -h` lists what can be done with a study.",
        (
            "%%tune churn --trials 200 --maximize",
            "%%tune churn --timeout 10m --sampler my_sampler  # a variable that holds a sampler",
            "%%tune churn --more 50 --wait -o study",
            "%%tune tradeoff --direction maximize --direction minimize",
        ),
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="name of the study")
    add("-n", "--trials", type=count, metavar="N", help="trials in total (default 100; none with --timeout)")
    add("--more", type=count, metavar="N", help="add N trials to those already there")
    add("--timeout", type=seconds, metavar="TIME", help="stop after 90s, 10m, 2h or so many seconds")
    add("--minimize", action="store_true", help="the lower the score the better (default)")
    add("--maximize", action="store_true", help="the higher the score the better")
    add(
        "--direction",
        action="append",
        type=direction,
        metavar="DIR",
        help="minimize or maximize, once per score",
    )
    add("--sampler", default="tpe", metavar="S", help=f"{', '.join(SAMPLERS)}, or a variable (default tpe)")
    add("--batch", type=count, default=1, metavar="N", help="tpe draws N trials from one model (default 1)")
    add(
        "--pruner",
        default="median",
        metavar="P",
        help=f"{', '.join(PRUNERS)}, or a variable (default median)",
    )
    add("--seed", type=seed, metavar="N", help="start of all random numbers (default: chosen and recorded)")
    add("--jobs", type=count, metavar="N", help="trials at the same time (default 1, or the cluster's room)")
    add("--executor", metavar="E", help="thread (default), or dask: processes on this machine or a cluster")
    add("--cluster", metavar="C", help="dask: tcp://host:8786, or a variable that holds a Client")
    add("--wait", action="store_true", help="block until the tuning has ended")
    add("--metric", metavar="NAME", help="what the score is called; auc,seconds for two directions")
    add("--model", metavar="NAME", help="type of the model (default: read from the cell)")
    add("--experiment", metavar="NAME", help="experiment that the study belongs to")
    add("--notes", metavar="TEXT", help="a remark for the records")
    add("--tag", action="append", metavar="TAG", help="a label for the records; may be repeated")
    add(
        "--continue",
        dest="continue_old",
        action="store_true",
        help="stay in the old version of a changed cell",
    )
    add("--warm-start", type=count, default=0, metavar="K", help="try the K best of the old version first")
    add(
        "--fix",
        action="append",
        metavar="NAME=VALUE",
        help="keep this parameter at a value, also after a resume; may be repeated; --fix none lifts all",
    )
    add(
        "--durability",
        default="trial",
        metavar="WHEN",
        help="trials are written each on its own (trial), many at a time (pooled) or at the end (end)",
    )
    add("--buffer-size", type=count, default=100, metavar="N", help="pooled: at most N wait (default 100)")
    add("--flush-seconds", type=seconds, default=1.0, metavar="S", help="pooled: for S at most (default 1 s)")
    add(
        "--synchronous",
        default="auto",
        metavar="HOW",
        help="full survives a power cut, normal a killed kernel; auto: full for trials over 50 ms",
    )
    add("--step-interval", type=count, default=1, metavar="K", help="show and log each K-th step of a trial")
    add("--no-log", action="store_true", help="keep nothing of what the trials print")
    add("--storage", type=storage_url, metavar="URL", help="database (default: %%config OptunaNB.storage)")
    add("-o", "--out", metavar="VAR", help="variable that gets the study's handle")
    add(
        "--notify",
        nargs="?",
        const="browser",
        metavar="VAR",
        help="when it ends, notify by the browser, or call what a variable holds with the handle",
    )
    add("-q", "--quiet", action="store_true", help="show no panel, only the note of what was done")
    return parser


def _notify(word: str | None, namespace: Mapping[str, object]) -> Callable[[StudyHandle], object] | bool:
    if word is None or word == "browser":
        return word is not None
    value = namespace.get(word)
    if not callable(value):
        what = (
            f"the variable {word} cannot be called" if word in namespace else f"there is no variable {word}"
        )
        msg = f"--notify: {what}; name a function that takes the study's handle, or give --notify alone"
        raise InvalidOptionError(msg, code="NB110")
    return value


def default_executor(cluster: Any) -> str:
    """Name the executor where the user names none: dask where there is a cluster."""
    return "thread" if cluster is None else "dask"


def read_cluster(word: str | None, namespace: Mapping[str, object]) -> Any:
    """Find a cluster: an address, or what a variable holds."""
    if word is None or "://" in word:
        return word
    if word not in namespace:
        msg = f"--cluster: there is no variable {word}; give tcp://host:8786, or the variable of a Client"
        raise InvalidOptionError(msg, code="NB802")
    return namespace[word]


def by_name(kind: str, word: str, known: Sequence[str], namespace: Mapping[str, object]) -> Any:
    """Find a sampler or pruner: one of ours by its name, or what a variable holds.

    A variable wins over a name of ours, as the user has made it on purpose.

    Args:
        kind: ``"sampler"`` or ``"pruner"``.
        word: what the user wrote.
        known: our names.
        namespace: where variables are looked up.
    """
    value = namespace.get(word)
    method = "sample_relative" if kind == "sampler" else "prune"  # of Optuna's base class
    if value is not None and not isinstance(value, type) and callable(getattr(value, method, None)):
        return value
    if word.lower() in known:
        return word.lower()
    if isinstance(value, type) and hasattr(value, method):
        msg = f"--{kind}: {word} is a class; make one, `my_{kind} = {word}()`, and give `--{kind} my_{kind}`"
    elif value is not None:
        what = type(value).__name__
        msg = f"--{kind}: the variable {word} holds a {what}, not a {kind}; give one of {', '.join(known)}"
    else:
        fix = did_you_mean(word, known) or f"; take one of {', '.join(known)}"
        msg = f"--{kind}: {word!r} is neither a {kind} nor a variable that holds one{fix}"
    raise InvalidOptionError(msg, code="NB112")


def read_fixed(
    words: Sequence[str] | None, namespace: Mapping[str, object], kinds: tuple[type, ...] = _OF_TRIALS
) -> dict[str, Any] | None:
    """Read ``NAME=VALUE`` words: a Python literal, else what a variable holds, else the text itself.

    Args:
        words: what stands behind each ``--fix``; None without the flag.
        namespace: where variables are looked up.
        kinds: what a value may be; where literal and variable are something else, the text counts.

    Returns:
        Value by name, empty for ``none``; None without the flag.
    """
    if words is None:
        return None
    if words == ["none"]:
        return {}
    fixed: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.strip():
            msg = f"--fix takes NAME=VALUE, as `--fix max_depth=3`, or none, not {word!r}"
            raise InvalidOptionError(msg, code="NB113")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = namespace.get(text, text)
        fixed[name.strip()] = value if isinstance(value, kinds) else text
    return fixed


def storage_url(text: str) -> str:
    """Take a URL; refuse a name in braces, which IPython leaves so where there is no such variable."""
    if (unset := re.search(r"\{\w+\}", text)) is not None:
        msg = f"{text!r}: there is no variable {unset[0][1:-1]}; set it first, or write the URL itself"
        raise argparse.ArgumentTypeError(msg)
    return text


def anchored(url: str, folder: str) -> str:
    """Say a storage URL so that a relative path in it is one below ``folder``."""
    head, _, path = url.rpartition("sqlite:///")
    if head or ("://" in url and not url.startswith("sqlite:///")) or not path or path == ":memory:":
        return url
    return f"sqlite:///{Path(folder) / Path(path).expanduser()}"
