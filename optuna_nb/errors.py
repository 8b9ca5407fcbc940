"""Every exception of the package, in one place.

Each message is one line that says what is wrong and how to put it right; the
notebook shows it as a ``UsageError`` without a traceback.
"""


class OptunaNBError(Exception):
    """Base of all errors that optuna_nb raises on purpose."""


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


class FileGoneError(StorageTroubleError):
    """The file of a study that is watched or run is no longer there."""


class TrialIdTakenError(StorageError):
    """A foreign writer used the id that a trial of ours had.

    Attributes:
        trial_id: The id that is taken.
    """

    def __init__(self, trial_id: int) -> None:
        """Name the id."""
        super().__init__(f"another program has used the trial id {trial_id}")
        self.trial_id = trial_id


class StudyNotFoundError(StorageError):
    """No study of that name is in the database."""


class LockedStudyError(StorageError):
    """Another kernel is running the study."""


class LeaseLostError(StorageError):
    """This process no longer owns the study and may not write it."""


class DirectionMismatchError(StorageError):
    """The directions that were asked for differ from the stored ones."""
