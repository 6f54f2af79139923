"""Errors that a user can do something about: one line that names the thing and the fix, and an exit code.

Anything else that is raised is a defect of ours; the command line then says so and points to ``--debug``.
"""


class UnlearnbenchError(Exception):
    """Something failed that is not the command's wording; the message is one line, shown without a traceback."""

    exit_code = 1


class UsageError(UnlearnbenchError):
    """The command asks for something that does not exist or cannot be: a name, an option, a value."""

    exit_code = 2


class DataError(UnlearnbenchError):
    """A data folder or file is missing, damaged or contradicts itself."""


class RecordError(DataError):
    """A record among others is at fault; ``place`` counts them from 0, so that a reader of files can name the line."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


class ModelError(UnlearnbenchError):
    """A model cannot be had, loaded or held in memory."""


class OutOfMemory(UnlearnbenchError):
    """Memory does not hold the smallest step of some work.

    ``where`` is what whoever knows the stage makes another sentence of; empty once that is done.
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class PluginError(UnlearnbenchError):
    """A plug-in is broken, or two claim one name."""


class StoreError(UnlearnbenchError):
    """A results or store folder cannot be written, or holds something damaged."""
