"""Columns over lines: metrics, which of them tasks ask for, and costs; the best of each marked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..contracts import Headline
from ..contracts.metric import Direction
from ..metrics.direction import ARROWS, best_near_retrained, direction_of, side
from ..results.row import Row
from .best import Entrant, best_of
from .facts import SPLIT, Facts, as_text, printable
from .lines import Line, rows_of
from .means import Mean
from .numbers import amount, memory, score

BYTES = "B"
"""The unit of memory, which is shown in MiB or GiB."""

COSTS: tuple[tuple[str, str, str, Direction], ...] = (
    ("trainable_parameters", "Params", "", "lower"),
    ("seconds_per_epoch", "s/epoch", "s", "lower"),
    ("train_seconds", "train s", "s", "lower"),
    ("samples_per_second", "samples/s", "1/s", "higher"),
    ("peak_memory_bytes", "peak mem", BYTES, "lower"),
)
"""Cost fields of a row with their labels and units, and which way is better."""

COST = "Cost"
"""The group of the cost columns."""


@dataclass(frozen=True)
class Column:
    """A metric or a cost: the mean of each line in order, None where it has none. ``best`` holds lines' places."""

    group: str
    name: str
    label: str
    direction: Direction | None
    cells: tuple[Mean | None, ...]
    best: frozenset[int] = frozenset()
    unit: str = ""

    @property
    def higher_is_better(self) -> bool | None:
        """Which side is better; None where neither is."""
        return side(self.direction)

    @property
    def arrow(self) -> str:
        """Which way is better, as headings say it; of costs it goes without saying."""
        return "" if self.is_cost else ARROWS[self.direction]

    @property
    def head(self) -> str:
        """What stands above a column where its group does not stand above it."""
        return f"{self.group}: {self.label}"

    @property
    def is_cost(self) -> bool:
        """Whether it is a cost and not a score."""
        return self.group == COST

    def word(self, line: int) -> str:
        """What stands for a number that is a word; else nothing."""
        return ""

    def text(self, line: int, *, interval: bool = False) -> str:
        """A cell as it is shown."""
        cell = self.cells[line]
        if cell is None:
            return "–"
        if cell.mean is None:
            return "n/a"
        width = cell.half_width if interval else None
        if self.is_cost and not width:  # a count is the same for every seed
            width = None
        if self.unit == BYTES:
            return memory(cell.mean, width)
        shown = amount if self.is_cost else score
        return shown(cell.mean) if width is None else f"{shown(cell.mean)} ± {shown(width)}"


def headlines(rows: Sequence[Row]) -> list[Headline]:
    """The columns that the tasks of ``rows`` ask for, tasks with a forget set first, then sets they do not speak of.

    Metrics that the command asked for stand beside those of their set.
    """
    from ..registry import tasks

    present = {row.task.name: None for row in rows}
    known = [tasks.get(name) for name in present if name in tasks]
    found = [each for task in sorted(known, key=lambda task: not task.provides_sets) for each in task.headlines]
    spoken_of = {each.metric.split(".")[0]: each.group for each in found}
    asked_for = {name for row in rows for name in row.task.protocol.get("metrics", ())}
    shown = {each.metric for each in found}
    for name in dict.fromkeys(name for row in rows for name in row.metrics if name not in shown):
        part, _, metric = name.partition(".")
        if part not in spoken_of:
            found.append(Headline(part, name, metric or name))
        elif metric in asked_for:
            last = max(place for place, each in enumerate(found) if each.group == spoken_of[part])
            found.insert(last + 1, Headline(spoken_of[part], name, metric))
    return found


def score_columns(lines: Sequence[Line], columns: Iterable[Headline], known: Facts) -> Iterator[Column]:
    """A column for each of ``columns`` that some row of the lines has; ``known`` serves all calls on these rows."""
    told = {name: (row.task.name, metric) for row in rows_of(lines) for name, metric in row.metrics.items()}
    for column in columns:
        if column.metric in told:
            task, metric = told[column.metric]
            direction = direction_of(task, column.metric, metric.higher_is_better)
            competes = [line.is_method for line in lines]
            yield scores_of(
                lines, column, direction, competes=competes, ideal=[line.is_ideal for line in lines], known=known
            )


def scores_of(
    lines: Sequence[Line],
    column: Headline,
    direction: Direction | None,
    *,
    competes: Sequence[bool],
    ideal: Sequence[bool],
    known: Facts,
) -> Column:
    """The column of a metric; ``competes`` and ``ideal`` say which lines can be best, and which are retrained."""
    cells = tuple(line.metric(column.metric) for line in lines)
    contests = [_contest(line, column.metric, known) for line in lines]
    places = [place for place, is_ideal in enumerate(ideal) if is_ideal]
    entrants = []
    for line, cell, contest, takes_part in zip(lines, cells, contests, competes, strict=True):
        rivals = [place for place in places if contests[place] == contest]
        aim = _its_own(line, rivals, lines)
        entrants.append(Entrant(cell, takes_part, contest, None if aim is None else cells[aim]))
    means = [abs(cell.mean) for cell in cells if cell is not None and cell.mean is not None]
    near = best_near_retrained(column.metric, direction)
    best = best_of(entrants, direction, score, near_ideal=near, scale=max([1.0, *means]))
    return Column(printable(column.group), column.metric, printable(column.label), direction, cells, best)


def _contest(line: Line, metric: str, known: Facts) -> str:
    """What a line must share with another for the metric of one to be better; empty where it has none."""
    return next((known.contest(row) for row in line.rows if metric in row.metrics), "")


def _its_own(line: Line, ideals: Sequence[int], lines: Sequence[Line]) -> int | None:
    """The retrained model that a line aims at: of several, the one that was trained as the line's base was."""
    if len(ideals) > 1:
        base = as_text((line.rows[0].base or {}).get("params")) if line.rows else ""
        ideals = [place for place in ideals if as_text(lines[place].rows[0].method.params) == base]
    return ideals[0] if len(ideals) == 1 else None


def cost_columns(lines: Sequence[Line]) -> Iterator[Column]:
    """A column for each of `COSTS` that some line has."""
    for name, label, unit, direction in COSTS:
        cells = tuple(line.cost(name) for line in lines)
        if any(cells):
            contests = (as_text(line.facts.get(SPLIT)) for line in lines)
            entrants = [
                Entrant(cell, line.is_method, contest)
                for line, cell, contest in zip(lines, cells, contests, strict=True)
            ]
            best = best_of(entrants, direction, memory if unit == BYTES else amount)
            yield Column(COST, name, label, direction, cells, best, unit)
