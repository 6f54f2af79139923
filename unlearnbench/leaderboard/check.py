"""Whether a leaderboard can be believed: every metric computed again from the samples, and the same questions for all.

What a check cannot tell is said in docs/leaderboards.md: that the answers came from the model and the method named.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..analysis.lines import Replicate, replicate
from ..analysis.score.references import task_of
from ..contracts import Evaluation, Task
from ..errors import RecordError, UnlearnbenchError
from ..metrics.direction import metric_of
from ..registry import methods, tasks
from ..results.row import Row
from .attacks.records import attacked_values, measured_of, untold_variants
from .definition import Board
from .editions import edition
from .rules import problems
from .submission import Problem, RowSummary, Submission, read

_UNTOLD = {"questions", "of_questions"}
"""What rows of older versions do not say of a metric."""

Asked = dict[tuple[str, str | None, str, str, Replicate], dict[Any, Any]]
"""What was asked first by model, edition of the data, task, attack and seeds, which may draw the people."""

ASKED = ("question", "answer", "keywords", "cluster", "unique_id", "group", "attribute", "tags")
"""What of an attacked row's record must be as in the reference's."""

_PRECISION = 1e-9
"""Relative; sums in another order may differ by less."""


def check(board: Board, only: Iterable[Path] = ()) -> list[Problem]:
    """Everything that is wrong with a leaderboard, its rules and every metric of every row.

    With ``only``, metrics are computed again of the rows in those files, and of the references; the rules still hold
    for all.
    """
    submissions = [read(path, verify=True) for path in board.submissions]
    chosen = {path.absolute() for path in only}
    return [*problems(board, submissions), *recomputed(board, submissions, chosen)]


def recomputed(board: Board, submissions: Sequence[Submission], only: set[Path] | None = None) -> Iterator[Problem]:
    """What differs from the samples, or is asked otherwise than of the reference that does nothing.

    A file in which something is wrong already is left alone.
    """
    asked: Asked = {}
    placed = [(each, row) for each in submissions if not each.problems for row in each.rows]
    placed = [(each, row) for each, row in placed if row.attack is None or row.attack.name in board.definition.attacks]
    references = board.definition.references
    order = {name: place for place, name in enumerate((references.nothing, references.ideal, *references.also))}
    for submission, row in sorted(placed, key=lambda pair: order.get(pair[1].method.name, len(order))):
        if not only or submission.path.absolute() in only or row.method.name in order:
            for what in _of_row(submission, row, asked):
                yield Problem(
                    submission.where(row.row_id), f"{row.method.name} {row.task.name} seed {row.seed}: {what}"
                )


def _of_row(submission: Submission, row: Row, asked: Asked) -> list[str]:
    if row.task.name not in tasks:
        return [f"no task {row.task.name!r} here to compute its metrics: give its --plugin"]
    try:
        records = submission.samples(row)
        task = task_of(row)
        found = measured_of(row, task, records)
        variants = untold_variants(row, records)
        summary = summarised(row, task, records)
        other = _other_questions(row, task, records, asked)
        wrong = [*variants, *_unlike_the_method(row), *other, *_differences(row, found)]
        if not _same_summary(submission.summaries.get(row.row_id), summary):
            wrong.append("its summary is not that of its samples: add the results again")
    except RecordError as error:
        return [f"sample {error.place + 1}: {error}"]
    except UnlearnbenchError as error:
        return [str(error)]
    except Exception as error:  # whatever a task makes of damaged records; nobody's file may hide what others' hold
        return [f"its samples are not those of {row.task.name} ({type(error).__name__}: {str(error)[:80]})"]
    return wrong


def _unlike_the_method(row: Row) -> Iterator[str]:
    """What a row says of a method that is known here, and is not so."""
    if row.method.name in methods:
        known = methods.get(row.method.name)
        told = row.method.frozen_weights
        if told is not None and told is not known.frozen_weights:
            yield f"frozen_weights is {told}, and of {row.method.name} it is {known.frozen_weights}"


def summarised(row: Row, task: Task, records: Sequence[Any]) -> RowSummary:
    """What a submission says of a row's samples."""
    if row.attack is not None:
        return RowSummary.model_validate({"summary": row.row_id, "values": attacked_values(row, task, records)})
    parts = {"clusters": task.by_cluster(records), "values": task.by_question(records)}
    return RowSummary.model_validate({"summary": row.row_id, **parts, "examples": task.examples(records)})


def _other_questions(row: Row, task: Task, records: Sequence[dict[str, Any]], asked: Asked) -> Iterator[str]:
    """Whether another row of the task on the model was asked, and is measured against, the same, and answered all."""
    own: dict[Place, Any]
    if row.attack is None:
        own = {record["id"]: _given(record, task.outputs) for record in records}
    else:  # an attack's own keys are its findings
        own = {_place(record): {name: record.get(name) for name in ASKED} for record in records}
    if len(own) < len(records):
        yield "two of its samples have the same id"
    attack = row.attack.name if row.attack else ""
    first = asked.setdefault((row.model.name, edition(row), row.task.name, attack, replicate(row)), own)
    if row.attack is not None:  # an audit of what only some methods have asks more of them, which is compared with none
        variants = {_variant(place) for place in first}
        own = {place: each for place, each in own.items() if _variant(place) in variants}
    if own.keys() != first.keys():
        yield f"its samples are not those of the reference: {len(own.keys() ^ first.keys())} are on one side alone"
    elif other := next((name for name in own if own[name] != first[name]), None):
        keys = own[other].keys() | first[other].keys()
        key = min(key for key in keys if own[other].get(key) != first[other].get(key))
        yield f"sample {_shown(other)[:80]!r}: {key[:80]} is not as in the reference's, as it must be"


Place = str | tuple[str, str, str]
"""What tells a record from the others of its row: its id; of an attacked row its variant and set before that."""


def _place(record: dict[str, Any]) -> Place:
    """That of a record of an attacked row."""
    variant, of, name = (str(record.get(key, "")) for key in ("variant", "set", "id"))
    return variant, of, name


def _variant(place: Place) -> str:
    return place if isinstance(place, str) else place[0]


def _shown(place: Place) -> str:
    return place if isinstance(place, str) else ", ".join(filter(None, place))


def _given(record: dict[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """A record without what the model says, of which only the shape is kept: how many answers, how many tokens."""
    return {name: each for name, each in record.items() if name not in outputs} | {
        name: _shape(record.get(name)) for name in outputs
    }


def _shape(value: Any) -> Any:
    return [_shape(each) for each in value] if isinstance(value, list) else isinstance(value, str)


def _same_summary(told: RowSummary | None, true: RowSummary) -> bool:
    """Sums of exponentials may differ in their last digit between machines."""
    return (
        told is not None
        and told.examples == true.examples
        and _alike(told.clusters, true.clusters)
        and _alike(told.values, true.values)
    )


def _alike(told: Any, true: Any) -> bool:
    """Whether mappings and sequences hold the same, numbers up to their last digits."""
    if isinstance(true, dict):
        return told.keys() == true.keys() and all(_alike(told[name], each) for name, each in true.items())
    if isinstance(true, (list, tuple)):
        return len(told) == len(true) and all(map(_alike, told, true))
    return _same(told, true)


def _differences(row: Row, found: Evaluation) -> Iterator[str]:
    for name in sorted(row.metrics.keys() ^ found.metrics.keys()):
        yield f"{name[:80]}: {'not a metric of the task' if name in row.metrics else 'missing'}"
    for name in sorted(row.metrics.keys() & found.metrics.keys()):
        told, true = row.metrics[name].model_dump(), asdict(found.metrics[name])
        for key, value in true.items():
            untold = key in _UNTOLD and told.get(key) is None
            if key != "higher_is_better" and not untold and not _same(told.get(key), value):
                yield f"{name}.{key} is {told.get(key)}, and its samples give {value}"
        yield from _turned(row, name, true["higher_is_better"])
    for name, scores in row.baselines.items():
        given = found.baselines.get(name, {})
        for metric, score in scores.items():
            if metric not in given or not _same(score, given[metric].value):
                yield f"baseline {name[:80]!r}, {metric[:80]}: not what its samples give"


def _turned(row: Row, name: str, true: bool | None) -> Iterator[str]:
    """A direction that is not the metric's.

    Of rows of schema 1 it may be that of an older version, which decides nothing where the metric itself is known.
    """
    told = row.metrics[name].higher_is_better
    decides = row.schema_version > 1 or metric_of(tasks.get(row.task.name), name) is None
    if decides and told is not true:
        yield f"{name}.higher_is_better is {told}, and its metric says {true}"


def _same(told: Any, true: Any) -> bool:
    if isinstance(told, float | int) and isinstance(true, float | int) and not isinstance(true, bool):
        return math.isclose(told, true, rel_tol=_PRECISION, abs_tol=_PRECISION)
    return bool(told == true)
