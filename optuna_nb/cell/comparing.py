"""Several models in one call of autotune: one study each, all scored by one metric."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import InvalidOptionError
from optuna_nb.models.autotune import DEFAULT_TRIALS, AutotuneOptions, Prepared, prepare
from optuna_nb.models.comparison import Comparison
from optuna_nb.models.folds import DEFAULT_FOLDS

if TYPE_CHECKING:
    from optuna_nb.models.comparison import Starter
    from optuna_nb.records import TuneOptions


def compare(
    asked: AutotuneOptions, options: TuneOptions, name: str | None, starter: Starter, *, refine: bool
) -> Comparison:
    """Prepare a study of each model, and start the comparison in the background.

    Args:
        asked: With a list of models.
        options: Of each study, but for what its model says.
        name: What their names begin with; None for those of the families.
        starter: Starts a study.
        refine: Whether a refinement was asked for, which is of one model.

    Raises:
        InvalidOptionError: If the models do not compare, or an option is for one of them.
    """
    if options.more or options.timeout or refine:
        raise InvalidOptionError(
            "several models take --trials, of all together: leave --more, --timeout and --refine out",
            code="NB607",
        )
    if not asked.model:
        raise InvalidOptionError("the list of models is empty: give two names or estimators", code="NB601")
    made = _prepared_alike(asked)
    families = [str(prepared.objective.model) for prepared in made]
    entries = {}
    for k, prepared in enumerate(made):
        before = families[:k].count(families[k])
        key = f"{families[k]}_{before + 1}" if before else families[k]
        same = k > 0 and prepared.found == made[k - 1].found
        print(prepared.search if same else prepared.text)  # noqa: T201 - what was found and what is searched
        entries[key] = (
            prepared.objective,
            replace(
                options,
                name=f"{name}_{key}" if name else key + prepared.name.removeprefix(families[k]),
                directions=(prepared.direction,),
                metric=prepared.metric,
                model=families[k],
            ),
        )
    return Comparison(entries, options.trials or DEFAULT_TRIALS, starter).start()


def _prepared_alike(asked: AutotuneOptions) -> list[Prepared]:
    """Prepare several models for one metric on the same folds.

    Raises:
        InvalidOptionError: If there is none that they share.
    """
    if hasattr(asked.cv, "__next__"):  # it can be read once only, and each model reads it
        asked = replace(asked, cv=list(asked.cv))
    made = [prepare(replace(asked, model=model, refit=False)) for model in asked.model]
    alike: dict[str, Any] = {}
    if {it.metric for it in made} == {"accuracy", "log_loss"}:  # some give no probabilities
        alike["metric"] = "accuracy"
    if len({it.n_folds for it in made}) > 1:  # a trial of one costs more
        alike["folds"] = DEFAULT_FOLDS
    if alike:
        made = [prepare(replace(asked, model=model, refit=False, **alike)) for model in asked.model]
    if len({(it.metric, it.direction) for it in made}) > 1:
        each = ", ".join(f"{it.objective.model} by {it.metric}" for it in made)
        raise InvalidOptionError(
            f"these models do not compare: {each}; take models of one kind, or a --metric for all",
            code="NB607",
        )
    return made
