"""What is going on in a results folder: the cells that were asked for, who computes which, and what each said.

``cells/ROW_ID.json`` names a cell, a lock beside it is held by whoever computes it, ``logs/ROW_ID.log`` is its log.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import StoreError
from ..runtime.atomic import atomic_write
from .row import Row, latest
from .store import RowStore

State = Literal["queued", "running", "done", "failed"]
_DIGITS = 8
"""Of a base's digest."""
LOG_TAIL = 4096
"""Bytes at the end of a log that are looked at for its last line."""


class Announced(BaseModel):
    """A cell that a run has set out to compute. ``job`` is its name in a queue that others run, if it is in one."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    row_id: str
    method: str
    model: str
    task: str
    seed: int
    settings: str = ""
    base: str = ""
    """Which base it is made from, as `base_in_words` has it."""
    job: str | None = None


@dataclass(frozen=True)
class Status:
    """Where a cell stands; ``said`` is why it failed, or the last line of its log."""

    cell: Announced
    state: State
    said: str = ""


class Cells:
    """The cells of a results folder, whoever computes them."""

    def __init__(self, results: RowStore) -> None:
        self.results = results
        self._cells, self._logs = results.folder / "cells", results.folder / "logs"

    def announce(self, cells: Iterable[Announced]) -> None:
        """Say which cells are about to be computed."""
        try:
            self._cells.mkdir(parents=True, exist_ok=True)
            for cell in cells:
                path, text = self._cells / f"{cell.row_id}.json", cell.model_dump_json() + "\n"
                if not path.is_file() or path.read_bytes() != text.encode():
                    with atomic_write(path) as temporary:
                        temporary.write_bytes(text.encode())
        except OSError as error:
            raise StoreError(f"{self._cells}: cannot be written ({error.strerror}): change --results") from error

    def log(self, row_id: str) -> Path:
        """Where a cell's log is; the folder is made."""
        self._logs.mkdir(parents=True, exist_ok=True)
        return self._logs / f"{row_id}.log"

    def claim(self, row_id: str) -> FileLock:
        """The lock that is held while a cell is computed; the system releases it when its holder dies."""
        self._cells.mkdir(parents=True, exist_ok=True)
        return FileLock(self._cells / f"{row_id}.lock")

    @contextmanager
    def claimed(self, row_id: str, *, wait: bool) -> Iterator[bool]:
        """Hold a cell's claim; whether it could be had, which it always can after a ``wait``."""
        lock = self.claim(row_id)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def states(self, queue: dict[str, str] | None = None) -> list[Status]:
        """Every cell's state, in the order of their names; ``queue`` has the states of jobs by their names."""
        rows = {row.row_id: row for row in latest(self.results.scan().rows)}
        cells = [_with_base(cell, rows.get(cell.row_id)) for cell in self.announced()]
        found = [self._state(cell, rows.get(cell.row_id), queue or {}) for cell in cells]
        known = {status.cell.row_id for status in found}
        found += [Status(_named(row), *_judged(row)) for row in rows.values() if row.row_id not in known]
        return found

    def jobs(self) -> set[str]:
        """The names of the jobs in a queue that cells are computed by."""
        return {cell.job for cell in self.announced() if cell.job}

    def announced(self) -> list[Announced]:
        """Every cell that a run has set out to compute."""
        cells = []
        for file in sorted(self._cells.glob("*.json")) if self._cells.is_dir() else ():
            try:
                cells.append(Announced.model_validate(json.loads(file.read_bytes())))
            except (OSError, ValueError, ValidationError):
                continue  # a run that was killed; the next one announces it again
        return sorted(cells, key=lambda cell: (cell.model, cell.method, cell.settings, cell.task, cell.seed))

    def _state(self, cell: Announced, row: Row | None, queue: dict[str, str]) -> Status:
        if row and row.status == "ok":
            return Status(cell, "done")
        if (self._cells / f"{cell.row_id}.lock").exists():
            with self.claimed(cell.row_id, wait=False) as free:
                if not free:
                    return Status(cell, "running", self.last_line(cell.row_id))
        if cell.job and cell.job in queue:
            state: State = "running" if queue[cell.job] == "RUNNING" else "queued"
            return Status(cell, state, queue[cell.job].lower())
        return Status(cell, *_judged(row)) if row else Status(cell, "queued", self.last_line(cell.row_id))

    def last_line(self, row_id: str) -> str:
        """The last line of a cell's log that says something."""
        try:
            with (self._logs / f"{row_id}.log").open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - LOG_TAIL))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def base_in_words(base: Mapping[str, Any] | None) -> str:
    """A row's base in a word: its kind, or where it is from with the beginning of its digest; empty without one."""
    origin = (base or {}).get("elsewhere")
    if not isinstance(origin, dict):
        return str((base or {}).get("kind") or "")
    return f"{origin.get('source')}#{str(origin.get('digest'))[:_DIGITS]}"


def _with_base(cell: Announced, row: Row | None) -> Announced:
    """A cell that an earlier version has announced says nothing of its base, but its row does."""
    return cell if cell.base or row is None else cell.model_copy(update={"base": base_in_words(row.base)})


def _named(row: Row) -> Announced:
    """A cell that is known by its row alone."""
    return Announced(
        row_id=row.row_id,
        method=row.method.name,
        model=row.model.name,
        task=row.task.name,
        seed=row.seed,
        base=base_in_words(row.base),
    )


def _judged(row: Row) -> tuple[State, str]:
    if row.error is None:
        return "done", ""
    return "failed", f"{row.error.type}: {row.error.message}"
