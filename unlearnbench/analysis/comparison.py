"""What is compared: the lines of a model and their columns, over all tasks or in the details of one.

Everything that shows results, on a terminal, as LaTeX, as a plot or on a page, renders a `Comparison`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..results.row import Row, latest
from .columns import Column, cost_columns, headlines, score_columns
from .facts import Facts, printable, told_apart
from .lines import Line, lines_by_model, made_elsewhere, replicate, rows_of

if TYPE_CHECKING:
    from .score.references import Records


@dataclass(frozen=True)
class Comparison:
    """The lines and columns of one model, or of one task's details on that model."""

    model: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    task: str = ""
    notes: tuple[str, ...] = ()
    """What a reader must know of this one, beside `legend`."""
    sentences: tuple[str, ...] = ()
    """What it comes to, in words that stand below it."""

    @property
    def title(self) -> str:
        """What stands above the table."""
        return f"{self.model}, {self.task}" if self.task else self.model

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, each with how many columns it spans."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = column.group, spans[-1][1] + 1
            else:
                spans.append((column.group, 1))
        return spans

    def settings(self, line: Line) -> list[str]:
        """``NAME=VALUE`` of what tells a line from the others of its method; what most of them share goes unsaid."""
        return told_apart(line.facts, [each.facts for each in self.lines if each.method == line.method])

    def label(self, line: Line) -> str:
        """What a line is called: its method, its settings, and what it is a mean over."""
        return " ".join([printable(line.method), *self.settings(line), line.count]).strip()


def compare(rows: Iterable[Row], known: Facts | None = None, records: "Records | None" = None) -> list[Comparison]:
    """One comparison a model, in the order of appearance; rows that are not ok take no part.

    ``known`` may serve several calls on the same rows. ``records`` reads a row's samples: without it there are no
    columns of what takes the samples of several rows, the score.
    """
    rows, known = list(rows), known or Facts()
    found = []
    for model, lines in lines_by_model(rows, known).items():
        scored, said = _scored(lines, known, records)
        columns = (*scored, *score_columns(lines, headlines(rows_of(lines)), known), *cost_columns(lines))
        notes = (*_twins((row for row in rows if row.model.name == model), known), *_sentences(lines), *said)
        found.append(Comparison(model, tuple(lines), columns, notes=notes))
    return found


def _scored(lines: Sequence[Line], known: Facts, records: "Records | None") -> tuple[list[Column], list[str]]:
    """The columns of a score, and what to say of it: what it lacks, or what it does not rest on."""
    if records is None:
        return [], []
    from .score.columns import hint, unlearning_columns
    from .score.memorised import gate, lessened
    from .score.references import References

    beside = References(lines, records, known)
    columns = unlearning_columns(lines, beside)
    missing = hint(lines, columns, beside)
    return columns, [*([missing] if missing else gate(lines, beside)), *lessened(lines, beside)]


DISTANCES = "distances"
"""What stands for a task above the table of distances to the retrained model."""


def distances(rows: Iterable[Row], records: "Records", known: Facts | None = None) -> list[Comparison]:
    """One comparison a model that was retrained too: how far each line is from that."""
    from .score.distances import distance_columns
    from .score.references import References

    found, known = [], known or Facts()
    for model, lines in lines_by_model(rows, known).items():
        if columns := distance_columns(lines, References(lines, records, known)):
            told = [place for place, _ in enumerate(lines) if any(column.cells[place] for column in columns)]
            columns = [replace(each, cells=tuple(each.cells[place] for place in told)) for each in columns]
            found.append(Comparison(model, tuple(lines[place] for place in told), tuple(columns), DISTANCES))
    return found


def details(rows: Iterable[Row], known: Facts | None = None) -> list[Comparison]:
    """One comparison for each task that has `details` to tell, on each model."""
    from ..registry import tasks

    rows, found, known = list(rows), [], known or Facts()
    for name in dict.fromkeys(row.task.name for row in rows):
        columns = tasks.get(name).details if name in tasks else ()
        for model, lines in lines_by_model((row for row in rows if row.task.name == name), known).items():
            if scores := tuple(score_columns(lines, columns, known)):
                found.append(Comparison(model, tuple(lines), scores, name))
    return found


def _twins(rows: Iterable[Row], known: Facts) -> Iterator[str]:
    """What to say of cells that nothing in their rows tells apart: the last one stands for all of them."""
    alike = Counter(
        (row.method.name, row.task.name, known.method(row), made_elsewhere(row), known.task(row), replicate(row))
        for row in latest(rows)
        if row.status == "ok" and row.attack is None
    )
    more: dict[str, int] = defaultdict(int)
    for (method, task, *_), number in alike.items():
        more[f"{printable(method)} {printable(task)}"] += number - 1
    if of := [f"{what} ({number})" for what, number in more.items() if number]:
        yield (
            "Not counted, as another row of the same method, settings and seed came later and the rows do not tell "
            f"what differs: {', '.join(of)}"
        )


def _sentences(lines: Iterable[Line]) -> Iterator[str]:
    """What to say where it is not known for sure who is forgotten."""
    if any(row.task.split is not None and row.task.split.digest is None for row in rows_of(lines)):
        yield (
            "Rows without a digest of who is forgotten, as those of schema 1, go by a name alone: other people of the "
            "same name would be taken for the same"
        )
