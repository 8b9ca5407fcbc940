"""Every exception of the package, in one place.

Each message is one line that says what is wrong and how to put it right; the
notebook shows it as a ``UsageError`` without a traceback.
"""


class OptunaNBError(Exception):
    """Base of all errors that optuna_nb raises on purpose.

    Attributes:
        code: What the error index (:func:`optuna_nb.explain`) has a section on, as ``NB101``. A
            notebook shows it behind the message, a traceback below it; ``str(error)`` is
            the message alone.
    """

    def __init__(self, message: str = "", *, code: str = "") -> None:
        """Keep the code, and note it for tracebacks."""
        super().__init__(message)  # the one argument: what a pickle makes the error from, the rest is state
        self.code = code
        if code:
            self.add_note(f'[{code}] why, and what to do: optuna_nb.explain("{code}")')

    def in_one_line(self) -> str:
        """Return the message with its code behind it, as a notebook shows it.

        A message that quotes another error has the code of that one already.
        """
        text = str(self)
        return f"{text} [{self.code}]" if self.code and " [NB" not in text else text


class InvalidOptionError(OptunaNBError):
    """A flag, a name or an argument that cannot be used as it was given."""


class InvalidCellError(OptunaNBError):
    """A cell body that cannot be an objective."""


class ObjectiveError(OptunaNBError):
    """The objective raised, or returned something that is not a score."""


class StorageError(OptunaNBError):
    """The database cannot be opened, read or written."""


class StorageTroubleError(StorageError):
    """Writing failed for a reason that may pass: a full disk, a lock, an I/O error."""


class CommitUnansweredError(StorageTroubleError):
    """The server went away in the midst of a COMMIT: it may have been done or not.

    Attributes:
        ticket: What to ask the database for, once it is back.
    """

    def __init__(self, message: str, ticket: str) -> None:
        """Keep the ticket."""
        super().__init__(message, code="NB507")
        self.ticket = ticket


class FileGoneError(StorageTroubleError):
    """The file of a study that is watched or run is no longer there."""


class TrialIdTakenError(StorageError):
    """A foreign writer used the id that a trial of ours had.

    Attributes:
        trial_id: The id that is taken.
    """

    def __init__(self, trial_id: int) -> None:
        """Name the id."""
        super().__init__(f"another program has used the trial id {trial_id}", code="NB404")
        self.trial_id = trial_id


class StudyNotFoundError(StorageError):
    """No study of that name is in the database."""


class LockedStudyError(StorageError):
    """Another kernel is running the study."""


class ClusterError(OptunaNBError):
    """A cluster that cannot be reached, or whose workers cannot run our trials."""


class WorkerLostError(OptunaNBError):
    """A trial whose worker was lost each time that it ran."""


class LeaseLostError(StorageError):
    """This process no longer owns the study and may not write it."""


class DirectionMismatchError(StorageError):
    """The directions that were asked for differ from the stored ones."""
