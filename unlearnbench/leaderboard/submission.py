"""A submission: one file of JSON lines, a header, rows, summaries of their samples for pages and rankings, and samples.

Rows come first and samples last, so that whoever ranks or shows them never reads the samples. A file may be packed as a
whole (``.jsonl.xz``), which finds what many rows have in common; then samples stand in it as they are. Files come from
strangers: lines and what they unpack to are limited, and whatever is wrong becomes a `Problem` that names its line.
"""

import base64
import binascii
import hashlib
import lzma
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, BinaryIO, Final, Literal
from weakref import finalize

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic_core import from_json

from ..errors import DataError
from ..results.row import SCHEMAS, Moment, Row
from ..results.store import with_newlines
from ..runtime.atomic import atomic_write
from ..runtime.unpacking import LARGEST_DICTIONARY, opened, packing, unpacked

FORMAT: Final = 3
"""Raised when a line's form changes; samples of form 2 are gzipped, and still read."""
PACKED: Final = 4
"""The form of files that are packed as a whole: their samples are lines of their own."""
SUFFIX, PACKED_SUFFIX = ".jsonl", ".jsonl.xz"

LONGEST_LINE = 32 * 2**20
"""Bytes of a line; the samples of all 8,000 FIUBench questions take about an eighth of it."""
LONGEST_ROW = 2**20
"""Bytes of a row or of its summary."""
LARGEST_SAMPLES = 64 * 2**20
"""Bytes that a row's samples may unpack to: three times those of all 8,000 FIUBench questions."""
LARGEST_FILE = 2**30
"""Bytes that a packed file may unpack to: 50 rows of all 8,000 FIUBench questions."""
_LARGEST = 2**53
"""Whole numbers beyond it are not counts of anything."""
_ENOUGH = 100
"""Problems after which no more of a file is read."""
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.jsonl(\.xz)?")

_SAMPLES = re.compile(rb'\{"samples":"([0-9A-Za-z][0-9A-Za-z._-]{0,127})","(xz|gzip)":"([A-Za-z0-9+/=]*)"\}')
_PLAIN = re.compile(rb'\{"samples":"([0-9A-Za-z][0-9A-Za-z._-]{0,127})","lines":([0-9]{1,8})\}\s*')


@dataclass(frozen=True)
class Problem:
    """Something that keeps a leaderboard from being believed: where it is and what is wrong, in one line."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Header(BaseModel):
    """The first line: what the file is, who sent it, and the digest of all lines that follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    submission: Literal[2, 3, 4] = FORMAT
    board: str
    by: str | None = Field(None, max_length=200)
    link: HttpUrl | None = None
    unlearnbench: str
    made_at: Moment
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Example(BaseModel):
    """A sample as a page shows it; ``image`` is the picture's path within the data's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    set: str
    id: str
    image: str | None = None
    question: str
    answer: str
    prediction: str


Sum = Annotated[float, Field(ge=-1e12, le=1e12)]
Count = Annotated[int, Field(gt=0, lt=2**31)]
Value = Annotated[float, Field(ge=-1e12, le=1e12)]


class RowSummary(BaseModel):
    """What rankings and pages need of samples: ``Task.by_cluster``, ``by_question`` and ``examples`` of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    summary: str
    """The row's id."""
    clusters: dict[str, dict[str, tuple[Sum, Count]]] = Field(default_factory=dict)
    """By metric and cluster: the sum of the values, and how many they are."""
    values: dict[str, dict[str, list[Value]]] = Field(default_factory=dict)
    """By metric and cluster: the values of single questions, of metrics that a score is made of."""
    examples: tuple[Example, ...] = ()


@dataclass
class Submission:
    """A file's content as far as it could be read, and what was wrong with it."""

    path: Path
    header: Header | None = None
    rows: list[Row] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    """The line of each row by its id."""
    summaries: dict[str, RowSummary] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _samples: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Where in the file's content the samples of each row start, and how many lines they are; None: packed in one."""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.name.removesuffix(".xz").removesuffix(SUFFIX)

    @cached_property
    def _content(self) -> IO[bytes]:
        """To be read in any order."""
        file = unpacked(self.path, LARGEST_FILE) if self.path.suffix == ".xz" else self.path.open("rb")
        finalize(self, file.close)
        return file

    def where(self, row_id: str) -> str:
        """How a problem names a row."""
        return f"{self.path.name}:{self.lines.get(row_id, 0)}"

    def samples(self, row: Row) -> list[Any]:
        """The records of a row; raises DataError where they are missing, damaged, too large or not those it names."""
        data = self.content_of(row)
        try:
            return [*_records(data)]
        except ValueError as error:
            raise DataError(f"its samples are no JSON lines of records with an id ({error})") from None

    def content_of(self, row: Row) -> bytes:
        """The content of a row's samples file; raises DataError as `samples` does."""
        if row.samples is None or row.row_id not in self._samples:
            raise DataError("its samples are not in the file")
        start, lines = self._samples[row.row_id]
        self._content.seek(start)
        if lines is None:
            packed = _SAMPLES.match(self._content.readline(LONGEST_LINE + 1))
            assert packed is not None
            data = _unpacked(packed[3], form=packed[2])
        else:
            data = b"".join(islice(self._content, lines))
        if hashlib.sha256(data).hexdigest() != row.samples.sha256:
            raise DataError("its samples are not those that it was computed from (their SHA-256 differs)")
        return data


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    """The records, each of moderate size and with an id; raises ValueError for the first that is none."""
    for number, line in enumerate(data.splitlines(), start=1):
        if len(line) > LONGEST_ROW:
            raise ValueError(f"line {number} has more than {LONGEST_ROW >> 20} MiB")
        record = from_json(line, allow_inf_nan=False)
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise ValueError(f"line {number}")
        require_plausible(record)
        yield record


def write(path: Path, header: dict[str, Any], parts: Iterable[tuple[Row, RowSummary, bytes]]) -> None:
    """Write a submission whole or not at all: rows with their summaries and the bytes of their samples files.

    It is packed as a whole where its name ends in ``.xz``.
    """
    is_packed = path.suffix == ".xz"
    rows, summaries = list[bytes](), list[bytes]()
    samples: list[tuple[tuple[str, ...], list[bytes]]] = []
    for row, summary, data in parts:
        rows.append(b'{"row":' + row.to_line().rstrip() + b"}\n")
        summaries.append(summary.model_dump_json(exclude_none=True).encode() + b"\n")
        samples.append((_neighbours(row), (_plain if is_packed else _in_a_line)(row, data)))
    lines = [*rows, *summaries, *(line for _, of in sorted(samples) for line in of)]
    for line in lines[: 2 * len(rows)] if is_packed else lines:
        if len(line) > LONGEST_LINE:
            raise DataError(
                f"{path}: a row's samples take {len(line) >> 20} MiB packed, more than {LONGEST_LINE >> 20}"
            )
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    first = Header(**header, submission=PACKED if is_packed else FORMAT, sha256=digest.hexdigest())
    with atomic_write(path) as temporary, packing(temporary) as file:
        file.writelines([first.model_dump_json().encode() + b"\n", *lines])


def _in_a_line(row: Row, data: bytes) -> list[bytes]:
    packed = base64.b64encode(lzma.compress(data, preset=6 | lzma.PRESET_EXTREME))
    return [b'{"samples":"%s","xz":"%s"}\n' % (row.row_id.encode(), packed)]


def _plain(row: Row, data: bytes) -> list[bytes]:
    return [b'{"samples":"%s","lines":%d}\n' % (row.row_id.encode(), data.count(b"\n")), data]


def _neighbours(row: Row) -> tuple[str, ...]:
    """Sorts samples so that what repeats itself stands close together: all of a method on one seed."""
    attack = row.attack.name if row.attack else ""
    return row.model.name, str(row.seed), row.method.name, row.task.name, attack, row.row_id


def read(path: Path, *, verify: bool = False) -> Submission:
    """Everything but the samples; ``verify`` reads those too, for the digest of the file."""
    found = Submission(path)
    if path.is_symlink() or not FILE_NAME.fullmatch(path.name):
        what = "a link" if path.is_symlink() else "not a name of letters, digits, '.', '_' and '-'"
        found.problems.append(Problem(ascii(path.name)[1:-1], f"{what}: send a file of its own"))
        return found
    try:
        with opened(path, LARGEST_FILE) as file:
            _read(file, found, verify)
    except OSError as error:
        found.problems.append(Problem(path.name, f"cannot be read ({error.strerror})"))
    except DataError as error:
        found.problems.append(Problem(path.name, f"{error}: send it as 'unlearnbench leaderboard add' wrote it"))
    return found


def _read(file: BinaryIO, found: Submission, verify: bool) -> None:
    digest = hashlib.sha256()
    lines = _lines(file, found)
    for number, start, line in lines:
        if number == 1:
            _take_header(line, found)
            continue
        if verify:
            digest.update(with_newlines(line))
        packed, plain = _SAMPLES.match(line), _PLAIN.fullmatch(line)
        if packed is None and plain is None:
            _take(number, line, found)
            continue
        known = (packed or plain)[1].decode()  # type: ignore[index]
        place = (start + len(line), int(plain[2])) if plain else (start, None)
        if found._samples.setdefault(known, place) != place:
            found.problems.append(Problem(f"{found.path.name}:{number}", "samples of a row that has some already"))
        if plain:
            _pass_over(lines, place[1] or 0, digest if verify else None)
    if found.header and verify and digest.hexdigest() != found.header.sha256:
        changed = "changed since it was written (the SHA-256 of its lines is another): add the results again"
        found.problems.append(Problem(found.path.name, changed))
    for kind, ids in (("summary", found.summaries), ("samples", found._samples)):
        if strays := [row_id for row_id in ids if row_id not in found.lines]:
            found.problems.append(Problem(found.path.name, f"{kind} of {strays[0]}, of which there is no row"))
        for row_id in found.lines:
            if row_id not in ids:
                found.problems.append(Problem(found.where(row_id), f"the row has no {kind} in the file"))


def _pass_over(lines: "Iterator[tuple[int, int, bytes]]", count: int, digest: "hashlib._Hash | None") -> None:
    """The lines of one row's samples, which are read by whoever wants them."""
    size = 0
    for _, _, line in islice(lines, count):
        size += len(line)
        if size > LARGEST_SAMPLES:
            raise DataError(f"a row's samples unpack to more than {LARGEST_SAMPLES >> 20} MiB")
        if digest:
            digest.update(with_newlines(line))


def _lines(file: BinaryIO, found: Submission) -> Iterator[tuple[int, int, bytes]]:
    """Each line with its number and where it starts; one that is too long ends the reading."""
    number = start = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            what = f"a line of more than {LONGEST_LINE >> 20} MiB; the rest of the file was not read"
            found.problems.append(Problem(f"{found.path.name}:{number}", what))
        if len(line) > LONGEST_LINE or len(found.problems) > _ENOUGH:
            return
        yield number, start, line
        start += len(line)
    if not number:
        found.problems.append(Problem(found.path.name, "empty"))


def _take_header(line: bytes, found: Submission) -> None:
    try:
        found.header = Header.model_validate_json(line)
    except ValidationError as error:
        what = f"no header of a submission ({_first(error)}): make the file with 'unlearnbench leaderboard add'"
        found.problems.append(Problem(f"{found.path.name}:1", what))


def _take(number: int, line: bytes, found: Submission) -> None:
    """A row or a summary."""
    where = f"{found.path.name}:{number}"
    try:
        if len(line) > LONGEST_ROW:
            raise ValueError(f"a row or summary of more than {LONGEST_ROW >> 20} MiB")
        fields = from_json(line, allow_inf_nan=False)
        if not isinstance(fields, dict):
            raise ValueError("neither a row nor a summary nor samples")
        require_plausible(fields)
        if fields.keys() == {"row"}:
            _take_row(number, line.strip()[len(b'{"row":') : -1], fields["row"], found)
        elif "summary" in fields:
            summary = RowSummary.model_validate(fields)
            if found.summaries.setdefault(summary.summary, summary) is not summary:
                raise ValueError("a second summary of the same row")
        else:
            raise ValueError("neither a row nor a summary nor samples")
    except ValidationError as error:
        found.problems.append(Problem(where, _first(error)))
    except (ValueError, OverflowError, RecursionError) as error:
        found.problems.append(Problem(where, str(error)))


def _take_row(number: int, line: bytes, fields: Any, found: Submission) -> None:
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if version not in SCHEMAS:
        raise ValueError(
            f"a row of schema_version {str(version)[:20]}, and this unlearnbench reads "
            f"{' and '.join(map(str, SCHEMAS))}: install the version that wrote it"
        )
    row = Row.model_validate_json(line)
    if row.base is not None and not isinstance(row.base.get("params"), dict):
        raise ValueError("base.params: the base's hyperparameters are missing")
    if row.row_id in found.lines:
        raise ValueError(f"row {row.row_id} is there already, in line {found.lines[row.row_id]}: keep one of them")
    found.rows.append(row)
    found.lines[row.row_id] = number


def require_plausible(fields: Any) -> None:
    """Raise ValueError for a number that is none, or too large for anything here: JSON can write 1e999."""
    if not _plausible(fields):
        _complain(fields, "")


def _plausible(value: Any) -> bool:
    """Quickly, as nearly all numbers are."""
    kind = type(value)
    if kind is str or value is None:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is int:
        return bool(abs(value) <= _LARGEST)
    if kind is dict or kind is list:
        return all(map(_plausible, value.values() if kind is dict else value))
    return True


def _complain(value: Any, where: str) -> None:
    """Raise for the first number that is not plausible, saying where it stands."""
    if isinstance(value, dict):
        for name, each in value.items():
            _complain(each, f"{where}.{name[:80]}" if where else name[:80])
    elif isinstance(value, list):
        for each in value:
            _complain(each, where)
    elif not _plausible(value):
        fault = "not a finite number" if isinstance(value, float) else "too large for a count"
        raise ValueError(f"{where or 'a number'}: {fault}")


def _unpacked(text: bytes, *, form: bytes) -> bytes:
    """What base64 of xz or gzip stands for, up to the limit."""
    unpacker: Any = (
        lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LARGEST_DICTIONARY)
        if form == b"xz"
        else zlib.decompressobj(16 + zlib.MAX_WBITS)
    )
    try:
        data: bytes = unpacker.decompress(base64.b64decode(text, validate=True), LARGEST_SAMPLES + 1)
    except (binascii.Error, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"its samples are damaged ({error})") from None
    if len(data) > LARGEST_SAMPLES:
        raise DataError(f"its samples unpack to more than {LARGEST_SAMPLES >> 20} MiB")
    if not unpacker.eof:
        raise DataError("its samples are cut short")
    if unpacker.unused_data:
        raise DataError("its samples have something behind their end")
    return data


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
