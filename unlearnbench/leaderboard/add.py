"""Making a submission of a results folder, which is written only if the leaderboard with it passes its check."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

import unlearnbench

from ..analysis.facts import as_text
from ..analysis.score.references import task_of
from ..errors import DataError, UsageError
from ..results.row import Row, latest, utc_now
from ..results.store import RowStore
from .attacks.rows import AttackedRows, lacking
from .check import recomputed, summarised
from .definition import Board
from .rules import misfits, shortcomings
from .rules import problems as problems_of
from .standings import essential, lines
from .submission import FILE_NAME, PACKED_SUFFIX, SUFFIX, Header, Problem, RowSummary, Submission, read, write

LARGE = 50 * 2**20
"""Bytes from which GitHub warns of a file; it takes none of twice as many."""


@dataclass(frozen=True)
class Added:
    """What became of a results folder: the file, how many rows are in it, and why others are not, with their numbers.

    With ``problems`` nothing was written.
    """

    path: Path
    rows: int
    left_out: dict[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def add(
    board: Board,
    results: RowStore | Sequence[RowStore],
    path: Path,
    *,
    methods: Sequence[str] = (),
    params: Sequence[tuple[str, str]] = (),
    by: str | None = None,
    link: str | None = None,
    replace: Sequence[Path] = (),
) -> Added:
    """Write the rows of ``results`` that belong on ``board`` to ``path`` with their samples.

    ``methods`` chooses rows by method, ``params`` (names with values as text) those of methods that are no references.
    The rows of the files in ``replace`` go into the new file, which takes their place. Raises UsageError where none
    belongs or ``path`` is taken, and what reading samples raises.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already: choose another --name, or remove it first")
    if not FILE_NAME.fullmatch(path.name):
        what = "a submission's name has letters, digits, '.', '_' and '-', and ends in .jsonl or .jsonl.xz"
        raise UsageError(f"{path}: {what}")
    header: dict[str, Any] = {"board": board.name, "by": by, "link": link, "made_at": utc_now()}
    header["unlearnbench"] = unlearnbench.__version__
    try:
        Header(**header, sha256="0" * 64)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        raise UsageError(f"--{name} {header.get(name)}: {first['msg']}") from None
    left_out = Counter[str]()
    stores = [results] if isinstance(results, RowStore) else [*results]
    gone = {each.absolute() for each in replace}
    stay = [each for each in board.submissions if each.absolute() not in gone]
    sources = _sources([*map(_sound, replace), *stores])
    new = _chosen(board, stay, [row for row, _ in sources.values()], methods, params, left_out)
    if not new:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there is none that is ok"
        raise UsageError(f"{stores[0].folder}: no row to add to {board.name}: {why}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".adding-", dir=path.parent) as folder:
            unchecked = Path(folder, path.name)
            write(unchecked, header, [_part(*sources[row.row_id]) for row in new])
            found = _problems(board, stay, unchecked)
            if not found:
                unchecked.rename(path)
                for each in replace:
                    each.unlink()
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}): give a place with --out") from error
    return Added(path, len(new), dict(left_out), tuple(found))


def _sound(path: Path) -> Submission:
    """A file of a leaderboard; raises DataError where something is wrong with it."""
    found = read(path, verify=True)
    if found.problems:
        raise DataError(str(found.problems[0]))
    return found


def _sources(places: Iterable[Submission | RowStore]) -> dict[str, tuple[Row, Submission | RowStore]]:
    """Every row by its id with where its samples are; of a row that is in several places, the first."""
    found: dict[str, tuple[Row, Submission | RowStore]] = {}
    for place in places:
        for row in place.rows if isinstance(place, Submission) else latest(place.read()):
            if row.row_id not in found or found[row.row_id][0].status != "ok":
                found[row.row_id] = row, place
    return found


def _chosen(
    board: Board,
    stay: Iterable[Path],
    rows: Iterable[Row],
    methods: Sequence[str],
    params: Sequence[tuple[str, str]],
    left_out: Counter[str],
) -> list[Row]:
    """The rows to send beside the files that ``stay``; why others stay at home is counted in ``left_out``."""
    there = {row.row_id for each in map(read, stay) for row in each.rows}
    references = {board.definition.references.nothing, board.definition.references.ideal}
    fit = []
    for row in rows:
        is_chosen = row.method.role == "reference" or all(_has(row, name, text) for name, text in params)
        if row.row_id in there:
            left_out["stand there already"] += 1
        elif row.status != "ok":
            left_out[f"have the status {row.status}"] += 1
        elif (methods and row.method.name not in methods) or not is_chosen:
            left_out["are of methods or settings that were not chosen"] += 1
        elif wrong := next(misfits(board, row), None):
            left_out[f"do not fit ({wrong})"] += 1
        else:
            fit.append(row)
    sent: list[str] = []
    by_model, attacked = lines(fit), AttackedRows(map(essential, fit))
    whole = [row for row in fit if row.attack is None]
    if double := len(whole) - sum(len(line.rows) for of in by_model.values() for line in of):
        left_out["have the settings and seeds of others here"] += double
    for of in by_model.values():
        for line in of:
            attacks = (
                f"{line.method} on {line.model} {what}" for what in lacking(board.definition, line, attacked.of(line))
            )
            short = next(chain(shortcomings(board, line), attacks), None) if line.method not in references else None
            if short is None:
                sent += [row.row_id for row in (*line.rows, *attacked.rows_of(line))]
            else:
                left_out[f"are not enough ({short})"] += len(line.rows)
    known = {row.row_id for of in by_model.values() for line in of for row in attacked.rows_of(line)}
    if strays := sum(row.row_id not in known for row in attacked.rows):
        left_out["are of attacked models, without rows of these as they are"] += strays
    return [row for row in fit if row.row_id in sent]


def _has(row: Row, name: str, text: str) -> bool:
    value: Any = row.method.params
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return text in (value, as_text(value))


def _part(row: Row, place: Submission | RowStore) -> tuple[Row, RowSummary, bytes]:
    data = place.content_of(row) if isinstance(place, Submission) else place.samples_of(row)
    records = [from_json(line) for line in data.splitlines()]
    try:
        return row, summarised(row, task_of(row), records), data
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # what a task makes of null for a number, say
        raise DataError(
            f"{row.method.name} {row.task.name} seed {row.seed}: its samples give no values (a likelihood that is no "
            "number, or a damaged file): run it again, or choose other methods with --method"
        ) from error


def _problems(board: Board, stay: Iterable[Path], path: Path) -> list[Problem]:
    """What is wrong with the files that stay on the leaderboard and the new one together."""
    submissions = [read(each, verify=True) for each in (*stay, path)]
    return [*problems_of(board, submissions), *recomputed(board, submissions, {path.absolute()})]


def default_name(board: Board, results: Sequence[RowStore], methods: Sequence[str]) -> str:
    """A name for a submission: its methods and a part of the digest of its rows; packed where the leaderboard's are."""
    named = list(dict.fromkeys(row.method.name for each in results for row in each.read() if row.status == "ok"))
    chosen = [*methods] or named
    digest = hashlib.sha256(b"".join(each.rows.read_bytes() for each in results)).hexdigest()[:8]
    first = "-".join(chosen) if len(chosen) <= 3 else f"{len(chosen)}-methods"
    return f"{first}-{digest}{suffix_on(board)}"


def suffix_on(board: Board) -> str:
    """How the names of a leaderboard's new files end."""
    is_packed = any(each.name.endswith(PACKED_SUFFIX) for each in board.submissions)
    return PACKED_SUFFIX if is_packed else SUFFIX
