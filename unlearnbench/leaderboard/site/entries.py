"""What a page says of one method on one model: the standing, every metric, where the rows come from, sample answers."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...analysis.comparison import Comparison
from ...analysis.facts import as_text
from ...analysis.lines import Replicate, replicate
from ...analysis.means import Mean
from ...analysis.numbers import score
from ...metrics.direction import ARROWS, direction_of
from ...results.row import Row, Score, Split
from ..definition import Board
from ..standings import Standing, Table
from ..submission import Header, RowSummary, Submission
from .pictures import Pictures

_SETS = {
    "forget": "to be forgotten",
    "nonprivate": "the same people, not private",
    "others": "somebody else",
    "held_out": "somebody whom no method saw",
    "acquaintances": "somebody known from pretraining",
}


@dataclass(frozen=True)
class MetricLine:
    """A metric with its mean over the seeds, and in each seed's row."""

    name: str
    about: str
    arrow: str
    estimate: Mean
    by_seed: tuple[Score | None, ...]


@dataclass(frozen=True)
class Answer:
    """A sample, what the base answered and what the method answers; ``picture`` is a file's name."""

    set: str
    question: str
    truth: str
    before: str | None
    after: str
    picture: str | None

    @property
    def set_name(self) -> str:
        """The set in words."""
        return _SETS.get(self.set, self.set)


@dataclass(frozen=True)
class Origin:
    """A row and the submission that it came with."""

    row: Row
    submission: str
    header: Header | None


@dataclass(frozen=True)
class Entry:
    """A line of a table and its page."""

    place: int
    """In its table."""
    standing: Standing
    comparison: Comparison
    board: Board
    origins: tuple[Origin, ...]
    answers: tuple[Answer, ...]

    @property
    def method(self) -> str:
        """The method's name."""
        return self.standing.line.method

    @property
    def model(self) -> str:
        """The model's, and the edition of the data where there are several."""
        return self.comparison.model

    @cached_property
    def id(self) -> str:
        """A file's name that tells it from all others."""
        digest = hashlib.sha256(as_text([self.method, self.model, self.standing.line.facts]).encode()).hexdigest()[:8]
        words = re.sub(r"[^a-z0-9.]+", "-", f"{self.method}-{self.model}".lower()).strip("-.")
        return f"{words[:80]}-{digest}"

    @cached_property
    def settings(self) -> list[str]:
        """What tells it from other lines of the method."""
        return self.comparison.settings(self.standing.line)

    @property
    def label(self) -> str:
        """Method and settings."""
        return " ".join([self.method, *self.settings])

    @property
    def rows(self) -> list[Row]:
        """By task, then by seed."""
        return [origin.row for origin in self.origins]

    @cached_property
    def seeds(self) -> list[Replicate]:
        """The replicates in order."""
        return sorted({replicate(row) for row in self.rows})

    @cached_property
    def metrics(self) -> dict[str, list[MetricLine]]:
        """Every metric of every task."""
        about = {column.metric: column.about for column in self.board.definition.columns}
        found: dict[str, list[MetricLine]] = {}
        for task in dict.fromkeys(row.task.name for row in self.rows):
            by_seed = {replicate(row): row for row in self.rows if row.task.name == task}
            found[task] = [*self._lines(task, [by_seed.get(seeds) for seeds in self.seeds], about)]
        return found

    def _lines(self, task: str, rows: Sequence[Row | None], about: Mapping[str, str]) -> Iterator[MetricLine]:
        for name in dict.fromkeys(name for row in rows if row for name in row.metrics):
            values = tuple(row.metrics.get(name) if row else None for row in rows)
            known = [value for value in values if value is not None]
            estimate = Mean.of([each.value for each in known])
            arrow = ARROWS[direction_of(task, name, known[0].higher_is_better)]
            yield MetricLine(name, about.get(name, ""), arrow, estimate, values)

    @property
    def params(self) -> list[tuple[str, str]]:
        """The method's hyperparameters."""
        return [*_flat(self.rows[0].method.params)]

    @property
    def base_params(self) -> list[tuple[str, str]]:
        """The base model's."""
        return [*_flat((self.rows[0].base or {}).get("params", {}))]


def entries(
    board: Board, table: Table, comparison: Comparison, submissions: Sequence[Submission], pictures: Pictures
) -> list[Entry]:
    """The entries of a table in its order."""
    summaries = {row_id: summary for each in submissions for row_id, summary in each.summaries.items()}
    came = {row.row_id: Origin(row, each.name, each.header) for each in submissions for row in each.rows}
    nothing = [s for s in table.standings if s.line.method == board.definition.references.nothing]
    before = {replicate(row): row for standing in nothing for row in standing.line.rows if _examples(row, summaries)}
    found = []
    for place, standing in enumerate(table.standings):
        origins = sorted((came[row.row_id] for row in standing.line.rows), key=_order)
        answers = tuple(_answers([each.row for each in origins], before, summaries, pictures))
        found.append(Entry(place, standing, comparison, board, tuple(origins), answers))
    return found


def _order(origin: Origin) -> tuple[str, Replicate]:
    return origin.row.task.name, replicate(origin.row)


def _examples(row: Row, summaries: Mapping[str, RowSummary]) -> bool:
    return row.row_id in summaries and bool(summaries[row.row_id].examples)


def _answers(
    rows: Sequence[Row], before: Mapping[Replicate, Row], summaries: Mapping[str, RowSummary], pictures: Pictures
) -> Iterator[Answer]:
    """The examples of the first row that has any, beside what the base of its seed answered."""
    row = next((row for row in rows if _examples(row, summaries)), None)
    if row is None:
        return
    other = before.get(replicate(row)) or next(
        (each for each in before.values() if each.base_seed == row.base_seed), None
    )
    said = {each.id: each.prediction for each in summaries[other.row_id].examples} if other else {}
    for each in summaries[row.row_id].examples:
        picture = pictures.of(row, each.image)
        yield Answer(each.set, each.question, each.answer, said.get(each.id), each.prediction, picture)


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else as_text(value)


def counted(metric: Score) -> str:
    """What a metric is a mean of, and of how many questions where they are not all."""
    some, of = metric.questions, metric.of_questions
    if some is None or of is None or some >= of:
        return str(metric.n)
    return f"{metric.n} ({some} of {of} questions)"


def people(split: Split | None) -> str:
    """Who is forgotten, as a page shows it."""
    if split is None:
        return "–"
    how_many = "" if split.identities is None else f", {split.identities} of {split.of} people"
    return f"{split.name}{how_many}{f', {split.digest[:16]}' if split.digest else ''}"


def interval(metric: Score | None) -> str:
    """A metric of one row as a page shows it: the value and its interval over samples."""
    if metric is None:
        return "–"
    if metric.value is None:
        return f"n/a ({metric.reason})"
    if metric.ci_low is None or metric.ci_high is None:
        return score(metric.value)
    return f"{score(metric.value)} [{score(metric.ci_low)}, {score(metric.ci_high)}]"


def mean(estimate: Mean | None) -> str:
    """A mean with half the width of its interval."""
    if estimate is None or estimate.mean is None:
        return "n/a"
    return f"{score(estimate.mean)}{'' if estimate.half_width is None else f' ± {width(estimate)}'}"


def width(estimate: Mean) -> str:
    """Half the width of an interval."""
    return score(estimate.half_width or 0.0)
