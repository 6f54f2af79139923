"""From rows to what is compared: lines (methods in their settings), columns (metrics and costs), means over seeds.

Everything that shows results, on a terminal, as LaTeX or as a plot, renders a `Comparison`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import fmean
from typing import Any

from ..contracts import Headline
from ..metrics.direction import ARROWS, Direction, best_near_retrained, direction_of, side
from ..results.row import Row, latest
from .best import Entrant, best_of
from .numbers import amount, memory, score
from .settings import SPLIT, Facts, as_text, method_facts, printable, task_facts, told_apart

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

Replicate = tuple[int, int]
"""A replicate: the seed of unlearning, and that of the base's training."""


@dataclass(frozen=True)
class Mean:
    """A mean over ``n`` replicates and half the width of its 95% interval by Student's t, None for a single one.

    ``mean`` is None where a replicate has no value: a mean of the others would flatter.
    """

    mean: float | None
    half_width: float | None = None
    n: int = 1

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Mean":
        """The estimate from one value a replicate."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(None, None, len(values))
        if len(known) == 1:
            return cls(known[0])
        from scipy.special import stdtrit

        off = [value - known[0] for value in known]  # so that equal values have a width of exactly 0
        middle = fmean(off)
        variance = math.fsum((each - middle) ** 2 for each in off) / (len(known) - 1)
        width = float(stdtrit(len(known) - 1, 0.975)) * math.sqrt(variance / len(known))
        return cls(fmean(known), width, len(known))


@dataclass(frozen=True)
class Line:
    """One method on one model: its ok rows, over tasks and seeds. ``facts`` is all that tells it from other lines."""

    model: str
    method: str
    facts: dict[str, Any]
    rows: tuple[Row, ...]

    @property
    def is_method(self) -> bool:
        """Whether it competes; references do not."""
        return self.rows[0].method.role == "method"

    @property
    def is_ideal(self) -> bool:
        """Whether it is a model that was trained without the forget set, which unlearning aims at."""
        from ..registry import methods

        return not self.is_method and bool(self.rows) and self.method in methods and methods.get(self.method).ideal

    @cached_property
    def _seeds(self) -> list[Replicate]:
        return [replicate(row) for row in self.rows]

    @cached_property
    def replicates(self) -> int:
        """How many pairs of seed and base seed the line is a mean over."""
        return len({*self._seeds})

    @cached_property
    def bases(self) -> int | None:
        """How many bases they rest on; None for a method that starts from the pretrained model."""
        return len({row.base_seed for row in self.rows}) if any(row.base for row in self.rows) else None

    @property
    def count(self) -> str:
        """How many seeds the line rests on, and how many bases where they are fewer; empty for one seed."""
        if self.replicates == 1:
            return ""
        bases = "" if self.bases in (None, self.replicates) else f" ({self.bases} base{'s' * (self.bases != 1)})"
        return f"×{self.replicates}{bases}"

    def metric(self, name: str) -> Mean | None:
        """A metric over the replicates, None where no row has it."""
        pairs = zip(self._seeds, self.rows, strict=True)
        values = {seeds: row.metrics[name].value for seeds, row in pairs if name in row.metrics}
        return Mean.of([*values.values()]) if values else None

    def coverage(self, name: str) -> tuple[int, int] | None:
        """On how many questions a metric rests, and how many its set has, where those are more."""
        told = [
            (metric.questions, metric.of_questions)
            for row in self.rows
            if (metric := row.metrics.get(name)) and metric.questions is not None and metric.of_questions is not None
        ]
        return min(((some, all_) for some, all_ in told if some < all_), default=None)

    def cost(self, name: str) -> Mean | None:
        """A cost over the replicates: of each the largest that its tasks' rows tell, as peaks differ between tasks."""
        most: dict[Replicate, float] = {}
        for row in self.rows:
            if (value := getattr(row.cost, name)) is not None:
                most[replicate(row)] = max(value, most.get(replicate(row), value))
        return Mean.of([*most.values()]) if most else None


@dataclass(frozen=True)
class Constant(Line):
    """What needs no model, saying always yes for instance: its scores as rows tell them (``values``)."""

    values: dict[str, float | None]

    is_method = False
    replicates = 1
    bases = None

    def metric(self, name: str) -> Mean | None:
        """The score, None where the rows say nothing of it."""
        return Mean(self.values[name]) if name in self.values else None


@dataclass(frozen=True)
class Column:
    """A metric or a cost: the estimate of each line in order, None where it has none. ``best`` holds lines' places."""

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
    def is_cost(self) -> bool:
        """Whether it is a cost and not a score."""
        return self.group == COST

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


@dataclass(frozen=True)
class Comparison:
    """The lines and columns of one model, or of one task's details on that model."""

    model: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    task: str = ""
    notes: tuple[str, ...] = ()
    """What a reader must know of this one, beside `legend`."""

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


def compare(rows: Iterable[Row], known: Facts | None = None) -> list[Comparison]:
    """One comparison a model, in the order of appearance; rows that are not ok take no part.

    ``known`` may serve several calls on the same rows.
    """
    rows, known = list(rows), known or Facts()
    found = []
    for model, lines in lines_by_model(rows, known).items():
        columns = (*_scores(lines, headlines(_rows(lines)), known), *_costs(lines))
        notes = (*_twins((row for row in rows if row.model.name == model), known), *_sentences(lines))
        found.append(Comparison(model, tuple(lines), columns, notes=notes))
    return found


def details(rows: Iterable[Row], known: Facts | None = None) -> list[Comparison]:
    """One comparison for each task that has `details` to tell, on each model."""
    from ..registry import tasks

    rows, found, known = list(rows), [], known or Facts()
    for name in dict.fromkeys(row.task.name for row in rows):
        columns = tasks.get(name).details if name in tasks else ()
        for model, lines in lines_by_model((row for row in rows if row.task.name == name), known).items():
            if scores := tuple(_scores(lines, columns, known)):
                found.append(Comparison(model, tuple(lines), scores, name))
    return found


def lines_by_model(rows: Iterable[Row], known: Facts) -> dict[str, list[Line]]:
    """The lines of each model, what needs no model last."""
    by_model: dict[str, list[Row]] = defaultdict(list)
    for row in latest(rows):
        if row.status == "ok":
            by_model[row.model.name].append(row)
    return {model: [*_lines(of, known), *_constants(model, of, known)] for model, of in by_model.items()}


def _twins(rows: Iterable[Row], known: Facts) -> Iterator[str]:
    """What to say of cells that nothing in their rows tells apart: the last one stands for all of them."""
    alike = Counter(
        (row.method.name, row.task.name, known.method(row), known.task(row), replicate(row))
        for row in latest(rows)
        if row.status == "ok"
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
    if any(row.task.split is not None and row.task.split.digest is None for row in _rows(lines)):
        yield (
            "Rows without a digest of who is forgotten, as those of schema 1, go by a name alone: other people of the "
            "same name would be taken for the same"
        )


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


def replicate(row: Row) -> Replicate:
    """What tells the rows of one line and task apart."""
    return row.seed, row.base_seed


def _lines(rows: Iterable[Row], known: Facts) -> Iterator[Line]:
    """The lines of the table, in the order in which their methods first appear.

    Rows of several tasks merge into one line. A task that was run in several settings (two scorers, say) gives its
    method a line for each.
    """
    found: dict[str, dict[str, dict[str, dict[Replicate, Row]]]]
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in rows:
        found[known.method(row)][row.task.name][known.task(row)][replicate(row)] = row
    for by_task in found.values():
        for chosen in product(*(each.values() for each in by_task.values())):
            members = tuple(row for seeds in chosen for row in seeds.values())
            facts = method_facts(members[0])
            for seeds in chosen:
                facts |= task_facts(next(iter(seeds.values())))
            yield Line(members[0].model.name, members[0].method.name, facts, members)


def _constants(model: str, rows: Iterable[Row], known: Facts) -> Iterator[Constant]:
    """A line for each thing that needs no model, and another where another setting of a task scores it otherwise."""
    found: dict[str, dict[str, dict[str, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row.baselines:
            setting = known.task(row)
            for name in row.baselines:
                found[name][row.task.name].setdefault(setting, row)
    for name, by_task in found.items():
        alike: dict[str, Constant] = {}
        for chosen in product(*(each.values() for each in by_task.values())):
            facts = {key: value for row in chosen for key, value in task_facts(row).items()}
            values = {metric: value for row in chosen for metric, value in row.baselines[name].items()}
            alike.setdefault(as_text(values), Constant(model, name, facts, (), values))
        yield from alike.values()


def _rows(lines: Iterable[Line]) -> list[Row]:
    return [row for line in lines for row in line.rows]


def _scores(lines: Sequence[Line], columns: Iterable[Headline], known: Facts) -> Iterator[Column]:
    told = {name: (row.task.name, metric) for row in _rows(lines) for name, metric in row.metrics.items()}
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


def _costs(lines: Sequence[Line]) -> Iterator[Column]:
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
