"""Whether a leaderboard can be believed: every metric computed again from the samples, and the same questions for all.

What a check cannot tell is said in docs/leaderboards.md: that the answers came from the model and the method named.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..contracts import Evaluation, Task
from ..errors import RecordError, UnlearnbenchError
from ..registry import tasks
from ..results.row import Row
from .definition import Board
from .rules import problems
from .submission import Problem, Submission, Summary, read

_PRECISION = 1e-9
"""Relative; sums in another order may differ by less."""
_ASKED = ("id", "set", "image", "question", "answer", "keywords", "category", "question_id", "image_source")
"""What of a record is the data's and not the model's."""


def check(board: Board, only: Iterable[Path] = ()) -> list[Problem]:
    """Everything that is wrong with a leaderboard, its rules and every metric of every row.

    With ``only``, metrics are computed again of the rows in those files, and of the references; the rules still hold
    for all.
    """
    submissions = [read(path, verify=True) for path in board.submissions]
    chosen = {path.resolve() for path in only}
    return [*problems(board, submissions), *recomputed(board, submissions, chosen)]


def recomputed(board: Board, submissions: Sequence[Submission], only: set[Path] | None = None) -> Iterator[Problem]:
    """What differs from the samples, or is asked otherwise than of the reference that does nothing."""
    asked: dict[tuple[str, str], dict[Any, Any]] = {}
    placed = [(each, row) for each in submissions for row in each.rows]
    reference = board.definition.references.nothing
    for submission, row in sorted(placed, key=lambda pair: pair[1].method.name != reference):
        if not only or submission.path.resolve() in only or row.method.name == reference:
            for what in _of_row(submission, row, asked):
                yield Problem(
                    submission.where(row.row_id), f"{row.method.name} {row.task.name} seed {row.seed}: {what}"
                )


def _of_row(submission: Submission, row: Row, asked: dict[tuple[str, str], dict[Any, Any]]) -> Iterator[str]:
    if row.task.name not in tasks:
        yield f"no task {row.task.name!r} here to compute its metrics: give its --plugin"
        return
    try:
        records = submission.samples(row)
        task = task_of(row)
        found, summary = task.measured(records), summarised(task, row.row_id, records)
    except RecordError as error:
        yield f"sample {error.place + 1}: {error}"
        return
    except UnlearnbenchError as error:
        yield str(error)
        return
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # what damaged records lead to
        yield f"its samples are not those of {row.task.name} ({type(error).__name__}: {str(error)[:80]})"
        return
    yield from _other_questions(row, records, asked)
    yield from _differences(row, found)
    if submission.summaries.get(row.row_id) != summary:
        yield "its summary is not that of its samples: add the results again"


def task_of(row: Row) -> Task:
    """The task with the options that a row names; raises UnlearnbenchError where there is none such."""
    kind = tasks.get(row.task.name)
    if kind.version != row.task.version:
        raise UnlearnbenchError(f"made by version {row.task.version} of the task, and here is version {kind.version}")
    try:
        return kind(kind.Options.model_validate(row.task.options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnlearnbenchError(f"task.options.{where}: {first['msg']}") from None


def summarised(task: Task, row_id: str, records: Sequence[Any]) -> Summary:
    """What a submission says of a row's samples."""
    fields = {"summary": row_id, "clusters": task.by_cluster(records), "examples": task.examples(records)}
    return Summary.model_validate(fields)


def _other_questions(row: Row, records: Sequence[Any], asked: dict[tuple[str, str], dict[Any, Any]]) -> Iterator[str]:
    """Whether another row of the task on the model was asked, and is measured against, the same."""
    own = {record["id"]: {key: record[key] for key in _ASKED if key in record} for record in records}
    if len(own) < len(records):
        yield "two of its samples have the same id"
    first = asked.setdefault((row.model.name, row.task.name), own)
    if own.keys() != first.keys():
        yield f"its samples are not those of the reference: {len(own.keys() ^ first.keys())} are on one side alone"
    elif other := next((name for name in own if own[name] != first[name]), None):
        yield f"sample {str(other)[:80]!r} asks something else, or takes something else for right, than the reference"


def _differences(row: Row, found: Evaluation) -> Iterator[str]:
    for name in sorted(row.metrics.keys() ^ found.metrics.keys()):
        yield f"{name[:80]}: {'not a metric of the task' if name in row.metrics else 'missing'}"
    for name in sorted(row.metrics.keys() & found.metrics.keys()):
        told, true = row.metrics[name].model_dump(), asdict(found.metrics[name])
        for key, value in true.items():
            if not _same(told.get(key), value):
                yield f"{name}.{key} is {told.get(key)}, and its samples give {value}"
    for name, scores in row.baselines.items():
        given = found.baselines.get(name, {})
        for metric, score in scores.items():
            if metric not in given or not _same(score, given[metric].value):
                yield f"baseline {name[:80]!r}, {metric[:80]}: not what its samples give"


def _same(told: Any, true: Any) -> bool:
    if isinstance(told, float | int) and isinstance(true, float | int) and not isinstance(true, bool):
        return math.isclose(told, true, rel_tol=_PRECISION, abs_tol=_PRECISION)
    return bool(told == true)
