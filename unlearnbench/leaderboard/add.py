"""Making a submission of a results folder, which is written only if the leaderboard with it passes its check."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

import unlearnbench

from ..errors import DataError, UsageError
from ..results.row import Row, latest, utc_now
from ..results.store import RowStore
from .check import recomputed, summarised, task_of
from .definition import Board
from .rules import problems
from .submission import Problem, Summary, read, write


@dataclass(frozen=True)
class Added:
    """What became of a results folder's rows: how many were added, and how many stand there already or do not belong.

    With ``problems`` nothing was written.
    """

    path: Path
    rows: int
    there: int
    foreign: int
    problems: tuple[Problem, ...] = ()


def add(
    board: Board,
    results: RowStore,
    path: Path,
    *,
    methods: Sequence[str] = (),
    by: str | None = None,
    link: str | None = None,
) -> Added:
    """Write the rows of ``results`` that belong on ``board`` to ``path`` with their samples.

    Raises UsageError where none belongs or ``path`` is taken, and what reading samples raises.
    """
    if path.exists():
        raise UsageError(f"{path} is there already: choose another --name, or remove it first")
    if path.suffix != ".jsonl":
        raise UsageError(f"{path}: a submission's name ends in .jsonl")
    there = {row.row_id for each in map(read, board.submissions) for row in each.rows}
    rows = [row for row in latest(results.read()) if row.status == "ok"]
    rules = board.definition
    ours = [row for row in rows if row.model.name in rules.models and row.task.name in rules.tasks]
    ours = [row for row in ours if not methods or row.method.name in methods]
    new = [row for row in ours if row.row_id not in there]
    if not new:
        why = "all of them stand there already" if ours else f"it wants {', '.join(rules.models)}"
        raise UsageError(f"{results.folder}: no row to add to {board.name}; {why}")
    header = {"board": board.name, "by": by, "link": link, "unlearnbench": unlearnbench.__version__}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".adding-", dir=path.parent) as folder:
            unchecked = Path(folder, path.name)
            write(unchecked, header | {"made_at": utc_now()}, [_part(row, results) for row in new])
            found = _problems(board, unchecked)
            if not found:
                unchecked.rename(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}): give a place with --out") from error
    except ValidationError as error:
        raise UsageError(f"--link {link}: {error.errors(include_url=False)[0]['msg']}") from None
    return Added(path, len(new), len(ours) - len(new), len(rows) - len(ours), tuple(found))


def _part(row: Row, results: RowStore) -> tuple[Row, Summary, bytes]:
    records: list[Any] = results.read_samples(row)
    assert row.samples is not None  # read_samples has raised otherwise
    data = (results.folder / row.samples.path).read_bytes()
    return row, summarised(task_of(row), row.row_id, records), data


def _problems(board: Board, path: Path) -> list[Problem]:
    """What is wrong with the leaderboard and the file together."""
    submissions = [read(each, verify=True) for each in (*board.submissions, path)]
    return [*problems(board, submissions), *recomputed(board, submissions, {path.resolve()})]


def default_name(results: RowStore, methods: Sequence[str]) -> str:
    """A name for a submission: its methods and a part of the digest of its rows."""
    named = list(dict.fromkeys(row.method.name for row in results.read() if row.status == "ok"))
    chosen = [*methods] or named
    digest = hashlib.sha256(results.rows.read_bytes()).hexdigest()[:8]
    first = "-".join(chosen) if len(chosen) <= 3 else f"{len(chosen)}-methods"
    return f"{first}-{digest}"
