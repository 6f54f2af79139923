"""A home for libraries where the user has none: some cannot even be imported without one (NLTK, which scores text)."""

import getpass
import os
import tempfile
from pathlib import Path

_lent = False


def lend() -> None:
    """Where the system knows no home folder, or no name, let this process and its children have one.

    The folder is that of temporary files, which is no place for trained models: `home` does not count it.
    """
    global _lent
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"], _lent = tempfile.gettempdir(), True
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = f"user{os.getuid()}"


def home() -> Path | None:
    """The user's own home folder, if there is one."""
    try:
        return None if _lent else Path.home()
    except RuntimeError:
        return None
