"""One owner per study: a row says which process may write, a token proves it.

Whether an owner lives is asked of the operating system where it runs on this
machine (process id and start time), and of its heartbeat where it does not, or
where it has been put to sleep. A server also knows whether the owner is connected.
Time is only ever measured here, on this process's own monotonic clock; no wall clock
decides anything.
"""

from __future__ import annotations

import functools
import os
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from optuna_nb.errors import LeaseLostError, LockedStudyError, StudyNotFoundError
from optuna_nb.storage.dialect import is_connected, is_file, take_trial_ids
from optuna_nb.storage.refusals import reading

if TYPE_CHECKING:
    from optuna_nb.storage.dialect import Connection, StudyDatabase

LEASE_SECONDS = 10.0  # an owner that cannot be asked is gone after this long without a beat
BEAT_SECONDS = LEASE_SECONDS / 4
TRIAL_ID_BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: where it runs, its id, and when it started (ids are used again)."""

    host: str
    pid: int
    pid_started: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a study."""

    token: int
    first_trial_id: int
    last_trial_id: int
    succeeded_dead_owner: bool  # the former owner ended without letting go


@functools.cache
def host_name() -> str:
    """Name this machine, this boot of it, and where process ids count, as far as that can be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            boot = file.read().strip()
        boot += f" {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - of a container, its own
    except OSError:
        boot = ""
    return f"{platform.node()} {boot}".strip()


def this_process() -> Owner:
    """Return the process that asks. Not cached: a fork is another process."""
    pid = os.getpid()
    return Owner(host_name(), pid, psutil.Process(pid).create_time())


def same_machine(owner: Owner) -> bool:
    """Tell whether the owner's machine is this one, whichever boot of it."""
    return owner.host.split(" ")[0] == host_name().split(" ")[0]


def is_alive(owner: Owner) -> bool | None:
    """Tell whether the owner runs; None where only its heartbeat can say."""
    if owner.host != host_name():
        same_boot = owner.host.split(" ")[:2] == host_name().split(" ")[:2]  # of another container
        return None if same_boot or not same_machine(owner) else False  # this machine was started anew
    try:
        process = psutil.Process(owner.pid)
        if abs(process.create_time() - owner.pid_started) > 1 or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return None if process.status() == psutil.STATUS_STOPPED else True
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def acquire(database: StudyDatabase, study_id: int, lease_seconds: float = LEASE_SECONDS) -> Lease:
    """Take the lease of a study.

    Returns at once where the owner is known to be dead or alive; an owner that
    sleeps, or runs on another machine, is watched for ``lease_seconds``.

    Raises:
        LockedStudyError: If another process, or this one, is running the study.
        StudyNotFoundError: If it is deleted meanwhile.
    """
    while True:
        with database.transaction() as connection:
            connection.execute(
                "INSERT INTO study_status"
                " (study_id, token, beat, last_trial_id, state, elapsed, note)"
                " VALUES (?, 0, 0, 0, 'new', 0, '') ON CONFLICT DO NOTHING",
                (study_id,),
            )
            owner, beat = _read(connection, study_id)
            alive = False if owner is None else _lives(connection, study_id, owner)
            if alive is False:
                return _take(database, connection, study_id, died=owner is not None)
        assert owner is not None  # noqa: S101 - a study without owner was taken above
        if alive or _beats(database, study_id, beat, lease_seconds):
            raise LockedStudyError(refusal(owner), code="NB402")
        with database.transaction() as connection:
            if _read(connection, study_id) == (owner, beat):
                return _take(database, connection, study_id, died=True)


def refusal(owner: Owner) -> str:
    """Say who runs the study and what to do."""
    if owner == this_process():
        return "this kernel is already running the study: %tune stop it first, or %tune show it"
    where = "" if same_machine(owner) else f" on {owner.host.split(' ')[0]}"
    return (
        f"another kernel is running this study (process {owner.pid}{where}):"
        " watch it with %tune show, or stop it there first"
    )


def _read(connection: Connection, study_id: int) -> tuple[Owner | None, int]:
    row = connection.execute(
        "SELECT host, pid, pid_started, beat FROM study_status WHERE study_id = ?", (study_id,)
    ).fetchone()
    if row is None:
        raise StudyNotFoundError("the study was deleted meanwhile: run the cell again", code="NB401")
    host, pid, pid_started, beat = row
    return (None if host is None else Owner(host, pid, pid_started)), beat


def _lives(connection: Connection, study_id: int, owner: Owner) -> bool | None:
    """Tell whether the owner runs; None where only its heartbeat can say.

    On a server the owner is often elsewhere, also on a machine that has the name of
    this one. While its connection stands nobody waits for it in vain; one that is
    lost may be made anew, so the heartbeat is watched before the study is taken.
    """
    if is_file(connection) or owner.host == host_name():
        return is_alive(owner)
    return True if is_connected(connection, study_id) else None


def seems_gone(connection: Connection, study_id: int, owner: Owner) -> bool:
    """Tell what a view says of the owner, which cannot watch a heartbeat."""
    if is_file(connection) or owner.host == host_name():
        return is_alive(owner) is False
    return not is_connected(connection, study_id)


def _take(database: StudyDatabase, connection: Connection, study_id: int, *, died: bool) -> Lease:
    me = this_process()
    first, last = reserve_trial_ids(connection, study_id)
    (token,) = connection.execute(
        "UPDATE study_status SET token = token + 1, beat = beat + 1, host = ?, pid = ?, pid_started = ?"
        " WHERE study_id = ? RETURNING token",
        (me.host, me.pid, me.pid_started, study_id),
    ).fetchone()
    database.hold(study_id, token)
    return Lease(token, first, last, died)


def reserve_trial_ids(connection: Connection, study_id: int) -> tuple[int, int]:
    """Set ids aside, so that two kernels on two studies of one database never meet."""
    first = take_trial_ids(connection, TRIAL_ID_BLOCK)
    last = first + TRIAL_ID_BLOCK - 1
    connection.execute("UPDATE study_status SET last_trial_id = ? WHERE study_id = ?", (last, study_id))
    return first, last


def _beats(database: StudyDatabase, study_id: int, beat: int, seconds: float) -> bool:
    """Watch a heartbeat for so long; tell whether it was heard."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(seconds / 20)
        with reading(database) as connection:
            if _read(connection, study_id)[1] != beat:
                return True
    return False


def release(database: StudyDatabase, study_id: int, token: int) -> None:
    """Let go of the study; does nothing when the lease is already lost."""
    with database.transaction() as connection:
        connection.execute(
            "UPDATE study_status SET host = NULL, pid = NULL, pid_started = NULL,"
            " last_trial_id = (SELECT coalesce(max(trial_id), 0) FROM trials WHERE study_id = ?)"
            " WHERE study_id = ? AND token = ?",
            (study_id, study_id, token),
        )
    database.let_go(study_id, token)


def check(connection: Connection, study_id: int, token: int) -> None:
    """Beat once, inside the caller's transaction.

    Raises:
        LeaseLostError: If another process owns the study now.
    """
    done = connection.execute(
        "UPDATE study_status SET beat = beat + 1 WHERE study_id = ? AND token = ?", (study_id, token)
    )
    require(connection, study_id, done.rowcount)


def require(connection: Connection, study_id: int, rows_updated: int) -> None:
    """Refuse to go on when the owner's row was not found under its token.

    Raises:
        LeaseLostError: If another process owns the study now, or has deleted it.
    """
    if rows_updated == 1:
        return
    if connection.execute("SELECT 1 FROM studies WHERE study_id = ?", (study_id,)).fetchone() is None:
        msg = "another program has deleted this study: nothing more is written; run the cell again"
    else:
        msg = "another kernel owns this study now: nothing more is written here; run the cell again to resume"
    raise LeaseLostError(msg, code="NB404")
