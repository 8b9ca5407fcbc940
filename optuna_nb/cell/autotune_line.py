"""The flags of ``%autotune``: a line becomes the arguments of ``optuna_nb.autotune``."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Any

from optuna_nb.cell.numbers import count, seconds
from optuna_nb.cell.options import by_name, read_cluster, read_fixed, storage_url
from optuna_nb.cell.parser import LineParser, did_you_mean
from optuna_nb.errors import InvalidOptionError
from optuna_nb.records import SAMPLERS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

VARIABLES = ("X", "y", "data", "groups", "sample_weight", "space")  # flags that name one
_HERE = frozenset({"out", "quiet", "no_race", "no_refit", "tag", "fix"})


def autotune_parser() -> LineParser:
    """Build the parser of the ``%autotune`` line; its help is the help of the magic."""
    parser = LineParser(
        "%autotune",
        "Tune a known model on data of the notebook, in the background, without an objective of your own.\n"
        "Values that are data are given by the name of their variable.",
        (
            "%autotune churn --model xgboost -X X -y y --metric roc_auc --trials 50",
            "%autotune --model catboost --data df --target left --holdout 0.2 --refine",
            "%autotune best_of --model xgboost,catboost,random_forest -X X -y y --trials 120",
            "%autotune mine --model my_pipeline -X X -y y --space my_space --fix subsample=0.8",
        ),
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="name of the study (default: MODEL_tuning_seed_SEED)")
    add("--model", metavar="M", help="xgboost, catboost, ...; several with commas; or a variable")
    add("-X", metavar="VAR", help="variable with the rows")
    add("-y", metavar="VAR", help="variable with the target")
    add("--data", metavar="VAR", help="variable with a DataFrame that holds the target")
    add("--target", metavar="COLUMN", help="its column")
    add("--problem", choices=("classification", "regression"), help="if y does not make it clear")
    add("--metric", metavar="M", help="any scorer of scikit-learn, or a variable (default: log loss, rmse)")
    add("-n", "--trials", type=count, metavar="N", help="trials in total (default 50; none with --timeout)")
    add("--more", type=count, metavar="N", help="add N trials to those already there")
    add("--timeout", type=seconds, metavar="TIME", help="stop after 90s, 10m, 2h or so many seconds")
    add("--cv", metavar="CV", help="number of folds, a share as 0.2 for one split, or a splitter's variable")
    add(
        "--folds",
        type=count,
        metavar="K",
        help="folds (default 5; repeated three times below 1,000 rows, one split from 50,000)",
    )
    add("--repeats", type=count, metavar="R", help="how many times the rows are split anew")
    add("--fold-jobs", type=count, metavar="N", help="folds of a trial at the same time (default: by cores)")
    add("--groups", metavar="VAR", help="one group a row; groups stay together")
    add("--sample-weight", metavar="VAR", help="one weight a row")
    add(
        "--holdout", type=float, default=0.0, metavar="SHARE", help="rows that are looked at once, at the end"
    )
    add("--preset", default="default", metavar="P", help="default or bluecast: which search space")
    add("--space", metavar="VAR", help="a dict with ranges that replace single ones")
    add("--fix", action="append", metavar="NAME=VALUE", help="keep a parameter at a value; may be repeated")
    add("--no-race", action="store_true", help="run all folds of every trial")
    add("--no-refit", action="store_true", help="fit the best model only when it is asked for")
    add("--refine", action="store_true", help="then try a fine grid around the best")
    add("--sampler", default="tpe", metavar="S", help=f"{', '.join(SAMPLERS)}, or a variable (default tpe)")
    add("--seed", type=int, default=33, metavar="N", help="start of all random numbers (default 33)")
    add("--jobs", type=count, metavar="N", help="trials at the same time (default 1, or the cluster's room)")
    add("--executor", metavar="E", help="thread (default), or dask: processes on this machine or a cluster")
    add("--cluster", metavar="C", help="dask: tcp://host:8786, or a variable that holds a Client")
    add("--wait", action="store_true", help="block until the tuning has ended")
    add("--experiment", metavar="NAME", help="experiment that the study belongs to")
    add("--notes", metavar="TEXT", help="a remark for the records")
    add("--tag", action="append", metavar="TAG", help="a label for the records; may be repeated")
    add("--storage", type=storage_url, metavar="URL", help="database (default: %%config OptunaNB.storage)")
    add("-o", "--out", metavar="VAR", help="variable that gets the study's handle")
    add("-q", "--quiet", action="store_true", help="show no panel, only the note of what was done")
    return parser


def read_autotune(
    line: str, namespace: Mapping[str, Any], storage: str
) -> tuple[dict[str, Any], argparse.Namespace]:
    """Understand the line.

    Args:
        line: What stands behind ``%autotune``.
        namespace: Where the names of variables are looked up.
        storage: The database URL where ``--storage`` gives none.

    Returns:
        The keyword arguments of ``autotune``, and the line itself, for ``-o`` and ``-q``.

    Raises:
        InvalidOptionError: Something in the line cannot be used.
        HelpAsked: The line asks for help.
    """
    given = autotune_parser().read(line)
    if given.model is None:
        raise InvalidOptionError(
            "%autotune needs a model, as --model xgboost; `%autotune -h` lists the flags",
            code="NB601",
        )
    if given.out is not None and (not given.out.isidentifier() or keyword.iskeyword(given.out)):
        raise InvalidOptionError(
            f"--out: {given.out!r} cannot be the name of a variable; take letters, digits and _",
            code="NB111",
        )
    arguments = {name: value for name, value in vars(given).items() if name not in _HERE and name != "help"}
    for name in VARIABLES:
        arguments[name] = _variable(name, arguments[name], namespace)
    arguments["model"] = _model(given.model, namespace)
    arguments["metric"] = _metric(given.metric, namespace)
    arguments["cv"] = _cv(given.cv, namespace)
    arguments["sampler"] = by_name("sampler", given.sampler, SAMPLERS, namespace)
    arguments["cluster"] = read_cluster(given.cluster, namespace)
    arguments["storage"] = given.storage or storage
    arguments["fix"] = read_fixed(given.fix, namespace, (object,)) or {}
    arguments |= {"race": not given.no_race, "refit": not given.no_refit, "tags": tuple(given.tag or ())}
    return arguments, given


def _variable(flag: str, name: str | None, namespace: Mapping[str, Any]) -> Any:
    if name is None:
        return None
    if name not in namespace:
        dashes = "-" if len(flag) == 1 else "--"
        known = [it for it in namespace if not it.startswith("_")]
        fix = did_you_mean(name, known) or "; give the name of a variable"
        raise InvalidOptionError(
            f"{dashes}{flag.replace('_', '-')}: there is no variable {name}{fix}", code="NB110"
        )
    return namespace[name]


def _model(word: str, namespace: Mapping[str, Any]) -> Any:
    held = namespace.get(word)
    if held is not None and (hasattr(held, "fit") or isinstance(held, (list, tuple, str))):
        return held
    return [_model(part.strip(), namespace) for part in word.split(",")] if "," in word else word


def _metric(word: str | None, namespace: Mapping[str, Any]) -> Any:
    held = None if word is None else namespace.get(word)
    return held if callable(held) else word


def _cv(word: str | None, namespace: Mapping[str, Any]) -> Any:
    if word is None or word in namespace:
        return None if word is None else namespace[word]
    try:
        number = float(word)
    except ValueError:
        raise InvalidOptionError(
            f"--cv: {word!r} is neither a number nor a variable; give 5, 0.2 or the name of a splitter",
            code="NB605",
        ) from None
    return int(number) if number.is_integer() else number
