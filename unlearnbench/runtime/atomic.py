"""Files and folders that appear whole or not at all, whenever the process dies; and whether they are what they were."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from ..errors import StoreError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` at the end, replacing what was there; an error leaves that as it was.

    The path given has the suffix of ``path``, for libraries that tell the format by it.
    """
    temporary = _sibling(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to fill that becomes ``path`` at the end; an error leaves nothing.

    Raises FileExistsError where ``path`` is there already, as a folder cannot be replaced in one step.
    """
    temporary = _sibling(path)
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, files in os.walk(temporary):
            for name in files:
                sync(Path(folder, name))
            sync(Path(folder))
        if path.exists():
            raise FileExistsError(f"{path} is there already")
        temporary.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def leftovers(path: Path) -> list[Path]:
    """What killed processes left behind while they wrote ``path``; in use if one is still writing it."""
    return sorted(path.parent.glob(f".{escape(path.stem)}.tmp-*{escape(path.suffix)}"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # only POSIX opens folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_writable(folder: Path, option: str) -> None:
    """Make ``folder`` if need be, and raise StoreError, naming the command line's ``option``, if it cannot be used."""
    try:
        folder.mkdir(exist_ok=True, parents=True)
        probe = _sibling(folder / "probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{folder}: cannot write here ({reason}): give a writable folder with {option}") from error


def _sibling(path: Path) -> Path:
    """A free name beside ``path``, so that renaming stays on one file system."""
    return path.with_name(f".{path.stem}.tmp-{secrets.token_hex(6)}{path.suffix}")
