"""The verbs that look at the records: ``%tune runs``, ``%tune compare``, and what deletes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna_nb.cell.numbers import count, seconds
from optuna_nb.errors import InvalidOptionError

if TYPE_CHECKING:
    import argparse

    from optuna_nb.cell.parser import LineParser

_GROUPS = ("status", "method", "model")


def add_runs_flags(parser: LineParser) -> None:
    """Add the filters of ``%tune runs``."""
    add = parser.add_argument
    add("--status", metavar="S", help="running, completed or failed")
    add("--model", metavar="TYPE", help="type of the model, as XGBClassifier")
    add("--tag", metavar="TEXT", help="only runs with this tag")
    add("--experiment", metavar="E", help="only runs of this experiment")
    add("--metric", metavar="M", help="only runs whose score is called so")
    add("--longer-than", type=seconds, metavar="TIME", help="only runs that have been going on for so long")
    add("--best", action="store_true", help="the best scores first; scores compare within one metric")
    add("--limit", type=count, default=100, metavar="N", help="at most N (default 100)")
    add("--by", choices=_GROUPS, metavar="WHAT", help="count by status, time by method, best score by model")
    add("--parents", metavar="RUN", help="a run and those that it resumed")
    add("--events", metavar="RUN", help="what happened during a run, in the order of time")
    add("--sql", action="store_true", help="print the SQL, which SQLite and PostgreSQL both take")


def runs(given: argparse.Namespace) -> Any:
    """Answer ``%tune runs``."""
    from optuna_nb.cell import questions

    others = {"show_sql": print if given.sql else None, "storage": given.storage}
    if given.by is not None:
        by = (questions.count_by_status, questions.mean_time_by_method, questions.best_score_by_model)
        return by[_GROUPS.index(given.by)](**others)
    if given.parents is not None:
        return questions.run_parents(given.parents, **others)
    if given.events is not None:
        return questions.run_events(given.events, **others)
    names = ("status", "model", "tag", "experiment", "metric", "longer_than", "best", "limit")
    return questions.runs(given.name, **{name: getattr(given, name) for name in names}, **others)


def add_compare_flags(parser: LineParser) -> None:
    """Take the runs of ``%tune compare``."""
    add = parser.add_argument
    add("runs", nargs="*", metavar="RUN", help="a study, or the id of a run or its beginning")
    add("--alike", action="store_true", help="also what is alike in all of them")


def compare(given: argparse.Namespace) -> Any:
    """Answer ``%tune compare A B``."""
    if len(given.runs) < 2:  # noqa: PLR2004 - fewer cannot be compared
        msg = "name two runs or more, as `%tune compare churn@1 churn@2`; `%tune runs` shows their ids"
        raise InvalidOptionError(msg, code="NB108")
    from optuna_nb.cell import questions
    from optuna_nb.storage.questions import that_differ

    whole = questions.compare_runs(*given.runs, storage=given.storage)
    if given.alike:
        return whole
    print("what is alike is left out; --alike shows it, too")  # noqa: T201
    return that_differ(whole)


def add_delete_flags(parser: LineParser) -> None:
    """Add what else can be deleted."""
    add = parser.add_argument
    add("--experiment", metavar="E", help="delete the records of an experiment")
    add("--model-run", metavar="ID", help="delete a model run and its tuning runs")
    add("--with-study", action="store_true", help="their studies and trials, too")


def delete(given: argparse.Namespace) -> None:
    """Delete an experiment or a model run; without ``--yes`` only say what would go."""
    from optuna_nb.tuning import api

    found = api.find_records(given.storage, experiment=given.experiment, model_run=given.model_run)
    goes = [
        _counted(found.model_runs, "model run") if found.is_experiment else "",
        _counted(found.tuning_runs, "tuning run"),
        _counted(len(found.studies), "study", "studies") + " with all trials" if given.with_study else "",
    ]
    text = f"{found.what} with {', '.join(filter(None, goes))}"
    if not given.yes:
        msg = f"this deletes {text} for ever: add --yes"
        raise InvalidOptionError(msg, code="NB109")
    api.delete_records(given.storage, found, with_study=given.with_study)
    print(f"deleted {text}")  # noqa: T201


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
