"""The results folder: ``rows.jsonl``, which only ever grows, and the raw output of every sample under ``samples/``."""

import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonlines
from filelock import FileLock
from pydantic import ValidationError
from pydantic_core import to_json

from ..errors import StoreError
from ..runtime.atomic import atomic_write, require_writable, sync
from ..runtime.garbage import no_garbage_collection
from .row import SCHEMAS, Row, Samples

_BLOCK = 1 << 16
"""Bytes read at a time when looking for the last newline."""


@dataclass(frozen=True)
class Damage:
    """A line of ``rows.jsonl`` that is no row."""

    line: int
    reason: str


@dataclass(frozen=True)
class Contents:
    """What ``rows.jsonl`` holds, in the order of writing; the damaged lines are not counted as rows."""

    rows: list[Row]
    damage: list[Damage]


class RowStore:
    """A results folder. Many processes may append to one at once; no row that was written is ever changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = folder / "rows.jsonl"
        self.torn = folder / "rows.torn.jsonl"
        self._lock = folder / ".rows.lock"

    def check_writable(self) -> None:
        """Make the folder with its parents, or raise StoreError; for the start of a run, when nothing is lost yet."""
        require_writable(self.folder, "--results")
        if self.rows.exists() and not (self.rows.is_file() and os.access(self.rows, os.R_OK | os.W_OK)):
            raise StoreError(f"{self.rows}: not a file that can be written: move it away or change --results")

    def append(self, row: Row) -> None:
        """Add one row; on return it is on the disk. A torn last line is first moved to ``rows.torn.jsonl``.

        Raises StoreError where it cannot be written; the file is then as it was.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock):
                self._append(sealed(row.to_line()))
        except OSError as error:
            raise self._unwritable(self.rows, error) from error

    def read(self) -> list[Row]:
        """Every row, in the order of writing, warning of lines that are none.

        Raises StoreError for rows of a schema that this version does not know.
        """
        contents = self.scan()
        for damage in contents.damage:
            warnings.warn(f"{self.rows}:{damage.line}: {damage.reason}; not counted", stacklevel=2)
        return contents.rows

    def scan(self) -> Contents:
        """Every row and every damaged line, without a warning. Raises StoreError as `read` does."""
        data = self._bytes()
        if _torn(_tail(data)):
            # Another process may be writing this very line: look again when it cannot be.
            with suppress(OSError), FileLock(self._lock):
                data = self._bytes()
        rows, damage = [], []
        with no_garbage_collection():
            for number, line in enumerate(data.split(b"\n"), start=1):
                if not line.strip():
                    continue
                try:
                    whole = unsealed(line)
                    if whole is None:
                        damage.append(Damage(number, "changed since it was written: its check does not fit"))
                    else:
                        rows.append(Row.model_validate_json(whole))
                except ValidationError as error:
                    damage.append(Damage(number, self._reason(number, line, error)))
        return Contents(rows, damage)

    def size(self) -> int:
        """Bytes that the rows take: it only ever grows, or shrinks by a torn line."""
        try:
            return self.rows.stat().st_size
        except OSError:
            return 0

    def latest_ok(self, row_id: str) -> Row | None:
        """The last row of this cell that is ok, if there is one."""
        return next((row for row in reversed(self.scan().rows) if row.row_id == row_id and row.status == "ok"), None)

    def write_samples(self, row_id: str, records: Iterable[Mapping[str, Any]]) -> Samples:
        """Store a cell's records, for its row's ``samples``; numbers that are not finite become null.

        The file is named by its content too, so that another run of the cell leaves the first one's samples alone.
        """
        data = b"".join(to_json(record, inf_nan_mode="null") + b"\n" for record in records)
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.folder / "samples" / f"{row_id}-{sha256[:12]}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise self._unwritable(path, error) from error
        return Samples(path=path.relative_to(self.folder).as_posix(), sha256=sha256)

    def read_samples(self, row: Row) -> list[dict[str, Any]]:
        """The records of a row. Raises StoreError where they are missing, changed, none, or said to lie elsewhere."""
        lines = self.samples_of(row).split(b"\n")
        try:
            return list(jsonlines.Reader(line for line in lines if line.strip()).iter(type=dict))
        except jsonlines.Error as error:
            why = f"the samples of row {row.row_id} are no JSON objects, one a line"
            raise StoreError(f"{self.folder}: {why}: run the cell again") from error

    def samples_of(self, row: Row) -> bytes:
        """The content of a row's samples file as it was written, even where git changed its line ends.

        Raises StoreError as `read_samples` does.
        """
        if row.samples is None:
            raise StoreError(f"{self.rows}: row {row.row_id} has no samples: run the cell again")
        path = self.folder / row.samples.path
        try:
            # Rows may come from strangers: neither ".." nor a link leads out of the folder.
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise StoreError(f"{path}: row {row.row_id} names samples outside {self.folder}: drop the row")
            data = with_newlines(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot read the samples of row {row.row_id}: run the cell again") from error
        if hashlib.sha256(data).hexdigest() != row.samples.sha256:
            raise StoreError(f"{path}: changed since row {row.row_id} was written: restore it or run the cell again")
        return data

    def _append(self, line: bytes) -> None:
        """Write ``line`` at the end of the rows; the lock is held."""
        new = not self.rows.exists()
        handle = os.open(self.rows, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = self._set_torn_aside(handle)
            if size and os.pread(handle, 1, size - 1) != b"\n":
                line = b"\n" + line  # the last row is whole, its newline alone was lost
            try:
                _write(handle, line)
            except BaseException:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
        if new:
            sync(self.folder)

    def _set_torn_aside(self, handle: int) -> int:
        """Move what a killed writer left of a line into a file of its own; the size of what remains."""
        size = start = os.fstat(handle).st_size
        tail = b""
        while start and b"\n" not in tail:
            start = max(0, start - _BLOCK)
            tail = os.pread(handle, size - start, start)
        torn = _tail(tail)
        if not _torn(torn):
            return size
        aside = os.open(self.torn, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            _write(aside, torn + b"\n")
        finally:
            os.close(aside)
        os.ftruncate(handle, size - len(torn))
        warnings.warn(f"{self.rows}: the last line was torn; moved to {self.torn.name}", stacklevel=4)
        return size - len(torn)

    def _bytes(self) -> bytes:
        try:
            return self.rows.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StoreError(f"{self.rows}: cannot be read ({error.strerror}): check the folder's name") from error

    def _reason(self, number: int, line: bytes, error: ValidationError) -> str:
        """Why a line is no row; raises StoreError if it is one of another schema."""
        try:
            fields = json.loads(line)
        except ValueError:
            return "torn or damaged"
        version = fields.get("schema_version") if isinstance(fields, dict) else None
        if isinstance(version, int) and version not in SCHEMAS:
            raise StoreError(
                f"{self.rows}:{number}: a row of schema_version {version}, and this unlearnbench reads "
                f"{' and '.join(map(str, SCHEMAS))}: install the version that wrote it"
            ) from error
        first = error.errors(include_url=False)[0]
        return f"not a row: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}"

    def _unwritable(self, path: Path, error: OSError) -> StoreError:
        reason = error.strerror or str(error)
        return StoreError(f"{path}: cannot be written ({reason}): free or change the folder of --results")


def with_newlines(data: bytes) -> bytes:
    """JSON lines with the ends that we write; a checkout by git may have made others, which mean nothing in JSON."""
    return data.replace(b"\r\n", b"\n")


_SEAL = b',"crc32":"%08x"}\n'


def sealed(line: bytes) -> bytes:
    """A row's line with a check of its content as the last field, so that a flipped bit does not become a score."""
    body = line[: line.rindex(b"}")]
    return body + _SEAL % zlib.crc32(body)


def unsealed(line: bytes) -> bytes | None:
    """The line without its check; None where that does not fit. Lines without one are taken as they are."""
    start = len(line.rstrip()) - len(_SEAL % 0) + 1
    if start <= 0 or not line[start:].startswith(b',"crc32":"'):
        return line
    body = line[:start]
    return body + b"}" if line[start:].rstrip() + b"\n" == _SEAL % zlib.crc32(body) else None


def _tail(data: bytes) -> bytes:
    """What follows the last newline."""
    return data[data.rfind(b"\n") + 1 :]


def _torn(tail: bytes) -> bool:
    """Whether a line without its newline is cut short: no part of a JSON object is one itself."""
    try:
        return bool(tail.strip()) and not isinstance(json.loads(tail), dict)
    except ValueError:
        return True


def _write(handle: int, data: bytes) -> None:
    """Write all of ``data`` and wait until it is on the disk."""
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)
