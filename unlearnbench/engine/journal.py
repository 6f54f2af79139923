"""What a model has answered, written down batch by batch, so that a run that was killed asks nothing twice."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import StoreError
from ..runtime.atomic import require_writable, sync
from .keys import digest

_log = logging.getLogger(__name__)


class JournalFile:
    """A JSON Lines file of answers of one model, named by its weights; several processes may write to one.

    ``reused_seconds`` is what the answers that were found there took when they were given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reused_seconds = 0.0
        self._known = dict(_entries(path))

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        """What ``answer`` returned, in JSON's types, when it was last asked this; asks it if it never was."""
        key = digest(question)
        if key in self._known:
            known = self._known[key]
            self.reused_seconds += known["seconds"]
            return known["answer"]
        start = time.perf_counter()
        said = answer()
        entry = {"question": key, "answer": said, "seconds": time.perf_counter() - start}
        self._append(json.dumps(entry | {"check": _check(entry)}).encode() + b"\n")
        return said

    def _append(self, line: bytes) -> None:
        require_writable(self.path.parent, "--store")
        try:
            with FileLock(self.path.with_name(f".{self.path.name}.lock")):
                torn = b"" if _ends_a_line(self.path) else b"\n"  # what a killed process left behind
                with self.path.open("ab") as file:
                    file.write(torn + line)
                sync(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}: free some space or change --store") from error


def _entries(path: Path) -> "list[tuple[str, dict[str, Any]]]":
    """The entries of a journal; a line that is none, as a killed process leaves behind, is asked anew."""
    found, damaged = [], 0
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            entry = json.loads(line)
            if entry.pop("check") != _check(entry):
                raise ValueError("changed")
            found.append((entry["question"], {"answer": entry["answer"], "seconds": float(entry["seconds"])}))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged += bool(line.strip())
    if damaged:
        _log.warning("%s: %d damaged lines; what they held is asked again", path, damaged)
    return found


def _check(entry: dict[str, Any]) -> str:
    """What tells whether an entry is as it was written."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]


def _ends_a_line(path: Path) -> bool:
    """Whether what is written next begins a line."""
    if not path.is_file() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
