"""From the flags to an executor."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from optuna_nb.errors import InvalidOptionError
from optuna_nb.tuning.executors.thread import ThreadExecutor

if TYPE_CHECKING:
    from optuna_nb.records import Objective, TuneOptions
    from optuna_nb.tuning.executors.contract import Executor


def make_executor(objective: Objective, options: TuneOptions) -> Executor:
    """Make the executor that the options name; it is opened by the run.

    Args:
        objective: what it evaluates; for workers it is pickled here, with its data as they are now.
        options: ``executor``, ``jobs`` and ``cluster`` count.

    Raises:
        InvalidOptionError: If the library is missing, or the objective cannot be sent to a worker.
        ClusterError: If an existing cluster cannot be reached or used.
    """
    if options.executor == "dask":
        return _dask(objective, options)
    return ThreadExecutor(objective.evaluate, options.jobs or 1)


def _dask(objective: Objective, options: TuneOptions) -> Executor:
    if any(find_spec(name) is None for name in ("distributed", "cloudpickle")):
        raise InvalidOptionError('--executor dask needs Dask: pip install "optuna-nb[dask]"', code="NB806")
    from optuna_nb.tuning.executors.coordinator import Coordinator
    from optuna_nb.tuning.executors.dask import DaskLink
    from optuna_nb.tuning.executors.packing import pack

    parcel = pack(objective.evaluate)
    address, security = find_cluster(options.cluster)
    return Coordinator(DaskLink(parcel, options.jobs, address, security))


def find_cluster(cluster: Any) -> tuple[str | None, Any]:
    """Find the scheduler's address and security in an address, a client or a cluster; None without one.

    Raises:
        InvalidOptionError: If it is something else.
    """
    if cluster is None or isinstance(cluster, str):
        return cluster, None
    scheduler = getattr(cluster, "scheduler", None)
    address = getattr(cluster, "scheduler_address", None) or getattr(scheduler, "address", None)
    if not isinstance(address, str):
        kind = type(cluster).__name__
        msg = f"--cluster: a {kind} is no cluster; give tcp://host:8786, or a Client that is connected"
        raise InvalidOptionError(msg, code="NB802")
    return address, getattr(cluster, "security", None)
