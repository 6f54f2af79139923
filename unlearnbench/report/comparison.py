"""From rows to what is compared: lines (methods in their settings), columns (metrics and costs), means over seeds.

Everything that shows results, on a terminal, as LaTeX or as a plot, renders a `Comparison`.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from statistics import fmean
from typing import Any

from ..contracts import Headline
from ..results.row import Row, latest

BYTES = "B"
"""The unit of memory, which is shown in MiB or GiB."""

COSTS = (
    ("trainable_parameters", "Params", "", False),
    ("seconds_per_epoch", "s/epoch", "s", False),
    ("train_seconds", "train s", "s", False),
    ("samples_per_second", "samples/s", "1/s", True),
    ("peak_memory_bytes", "peak mem", BYTES, False),
)
"""Cost fields of a row with their labels and units, and whether more is better."""

ARROWS = {True: "↑", False: "↓", None: ""}
"""Which way is better."""

COST = "Cost"
"""The group of the cost columns."""

_ENCODER = json.JSONEncoder(sort_keys=True, default=str)  # one for all: `json.dumps` would make one a value

Seeds = tuple[int, int]
"""A replicate: the seed of unlearning, and that of the base's training."""


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` replicates and half the width of its 95% interval by Student's t, None for a single one.

    ``mean`` is None where a replicate has no value: a mean of the others would flatter.
    """

    mean: float | None
    half_width: float | None = None
    n: int = 1

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Estimate":
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

    @cached_property
    def _seeds(self) -> list[Seeds]:
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

    def metric(self, name: str) -> Estimate | None:
        """A metric over the replicates, None where no row has it."""
        pairs = zip(self._seeds, self.rows, strict=True)
        values = {seeds: row.metrics[name].value for seeds, row in pairs if name in row.metrics}
        return Estimate.of([*values.values()]) if values else None

    def cost(self, name: str) -> Estimate | None:
        """A cost over the replicates: of each the largest that its tasks' rows tell, as peaks differ between tasks."""
        most: dict[Seeds, float] = {}
        for row in self.rows:
            if (value := getattr(row.cost, name)) is not None:
                most[replicate(row)] = max(value, most.get(replicate(row), value))
        return Estimate.of([*most.values()]) if most else None


@dataclass(frozen=True)
class Constant(Line):
    """What needs no model, saying always yes for instance: its scores as rows tell them (``values``)."""

    values: dict[str, float | None]

    is_method = False
    replicates = 1
    bases = None

    def metric(self, name: str) -> Estimate | None:
        """The score, None where the rows say nothing of it."""
        return Estimate(self.values[name]) if name in self.values else None


@dataclass(frozen=True)
class Column:
    """A metric or a cost: the estimate of each line in order, None where it has none. ``best`` holds lines' places."""

    group: str
    name: str
    label: str
    higher_is_better: bool | None
    cells: tuple[Estimate | None, ...]
    best: frozenset[int] = frozenset()
    unit: str = ""

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
        same = [each.facts for each in self.lines if each.method == line.method]
        told = []
        for name, value in line.facts.items():
            counts = Counter(as_text(each.get(name)) for each in same)
            usual = len(same) > 2 and counts[as_text(value)] > len(same) / 2
            if len(counts) > 1 and not usual:
                told.append(printable(f"{name}={value if isinstance(value, str) else as_text(value)}"))
        return told

    def label(self, line: Line) -> str:
        """What a line is called: its method, its settings, and what it is a mean over."""
        return " ".join([printable(line.method), *self.settings(line), line.count]).strip()


def compare(rows: Iterable[Row], known: "Settings | None" = None) -> list[Comparison]:
    """One comparison a model, in the order of appearance; rows that are not ok take no part.

    ``known`` may serve several calls on the same rows.
    """
    return [
        Comparison(model, tuple(lines), (*_scores(lines, headlines(_rows(lines))), *_costs(lines)))
        for model, lines in lines_by_model(rows, known or Settings()).items()
    ]


def details(rows: Iterable[Row], known: "Settings | None" = None) -> list[Comparison]:
    """One comparison for each task that has `details` to tell, on each model."""
    from ..registry import tasks

    rows, found, known = list(rows), [], known or Settings()
    for name in dict.fromkeys(row.task.name for row in rows):
        columns = tasks.get(name).details if name in tasks else ()
        for model, lines in lines_by_model((row for row in rows if row.task.name == name), known).items():
            if scores := tuple(_scores(lines, columns)):
                found.append(Comparison(model, tuple(lines), scores, name))
    return found


def lines_by_model(rows: Iterable[Row], known: "Settings") -> dict[str, list[Line]]:
    """The lines of each model, what needs no model last."""
    by_model: dict[str, list[Row]] = defaultdict(list)
    for row in latest(rows):
        if row.status == "ok":
            by_model[row.model.name].append(row)
    return {model: [*_lines(of, known), *_constants(model, of, known)] for model, of in by_model.items()}


def legend(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What a reader of means and intervals must know."""
    yield from dict.fromkeys(note for comparison in comparisons for note in comparison.notes)
    lines = [line for comparison in comparisons for line in comparison.lines]
    if any(line.replicates > 1 for line in lines):
        yield (
            "×N: mean over N seeds, each with a base of its own unless a number of bases is given; "
            "±: half of its 95% interval (Student's t)"
        )
    if any(column.best for comparison in comparisons for column in comparison.columns):
        yield "Best of the methods in bold; references (pretrained, base and retrained models) do not compete"
    if any(line.bases is not None and line.bases < line.replicates for line in lines):
        yield (
            "Several seeds rest on one base: the variation that training the base brings is not in the intervals "
            "(arXiv:2510.26714)"
        )
    if fewer := [*_on_fewer_seeds(comparisons)]:
        yield f"On fewer seeds than the line says, as some cells have no result: {', '.join(fewer)}"


def _on_fewer_seeds(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """The groups of scores of a line in which a seed is missing."""
    for comparison in comparisons:
        model = f"{printable(comparison.title)} " if len(comparisons) > 1 else ""
        for place, line in enumerate(comparison.lines):
            seeds = {
                column.group: cell.n
                for column in comparison.columns
                if not column.is_cost and (cell := column.cells[place]) is not None and cell.n < line.replicates
            }
            for group, n in seeds.items():
                yield f"{model}{comparison.label(line)} {group} ({n})"


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


def replicate(row: Row) -> Seeds:
    """What tells the rows of one line and task apart."""
    return row.seed, row.base_seed


def _lines(rows: Iterable[Row], known: "Settings") -> Iterator[Line]:
    """The lines of the table, in the order in which their methods first appear.

    Rows of several tasks merge into one line. A task that was run in several settings (two scorers, say) gives its
    method a line for each.
    """
    found: dict[str, dict[str, dict[str, dict[Seeds, Row]]]]
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in rows:
        found[known.method(row)][row.task.name][known.task(row)][replicate(row)] = row
    for by_task in found.values():
        for chosen in product(*(each.values() for each in by_task.values())):
            members = tuple(row for seeds in chosen for row in seeds.values())
            facts = _method_facts(members[0])
            for seeds in chosen:
                facts |= _task_facts(next(iter(seeds.values())))
            yield Line(members[0].model.name, members[0].method.name, facts, members)


def _constants(model: str, rows: Iterable[Row], known: "Settings") -> Iterator[Constant]:
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
            facts = {key: value for row in chosen for key, value in _task_facts(row).items()}
            values = {metric: value for row in chosen for metric, value in row.baselines[name].items()}
            alike.setdefault(as_text(values), Constant(model, name, facts, (), values))
        yield from alike.values()


def _method_facts(row: Row) -> dict[str, Any]:
    """What the unlearned model was made from, seeds apart."""
    model = {"revision": row.model.revision, "weights": row.model.weights_digest, "dtype": row.model.dtype}
    base = {f"base.{name}": value for name, value in (row.base or {}).get("params", {}).items()}
    own = {"method": row.method.name, "version": row.method.version, "split": row.task.split}
    facts = {"model": row.model.name} | model | own
    # A parameter may bear the name of one of these facts, and does not stand for it.
    params = {f"param.{name}" if name in facts else name: value for name, value in row.method.params.items()}
    return facts | params | base


def _task_facts(row: Row) -> dict[str, Any]:
    task = row.task
    facts = {"version": task.version, "data": task.data.id, "fingerprint": task.data.fingerprint}
    return {f"{task.name}.{name}": value for name, value in {**facts, **task.options}.items()}


def _method_parts(row: Row) -> tuple[object, ...]:
    """What `_method_facts` are made of."""
    base = (row.base or {}).get("params")
    model = row.model
    return (
        model.name, model.revision, model.weights_digest, model.dtype, row.method.name, row.method.version,
        row.task.split, row.method.params, base,
    )  # fmt: skip


def _task_parts(row: Row) -> tuple[object, ...]:
    """What `_task_facts` are made of."""
    task = row.task
    return task.name, task.version, task.data.id, task.data.fingerprint, task.options


class Settings:
    """The settings of rows as text, the same for equal ones: made once a row, and once for all that look the same.

    To be kept no longer than the rows, which it knows by their identity.
    """

    def __init__(self) -> None:
        self._of_row: dict[tuple[str, int], str] = {}
        self._of_look: dict[str, str] = {}

    def method(self, row: Row) -> str:
        """What the unlearned model was made from."""
        return self._text("method", row, _method_parts)

    def task(self, row: Row) -> str:
        """What it was asked."""
        return self._text("task", row, _task_parts)

    def _text(self, what: str, row: Row, parts: Callable[[Row], object]) -> str:
        place = what, id(row)
        if place not in self._of_row:
            made_of = parts(row)
            look = repr(made_of)
            if look not in self._of_look:
                self._of_look[look] = as_text(made_of)
            self._of_row[place] = self._of_look[look]
        return self._of_row[place]


def _rows(lines: Iterable[Line]) -> list[Row]:
    return [row for line in lines for row in line.rows]


def _scores(lines: Sequence[Line], columns: Iterable[Headline]) -> Iterator[Column]:
    direction = {name: metric.higher_is_better for row in _rows(lines) for name, metric in row.metrics.items()}
    for column in columns:
        if column.metric in direction:
            cells = tuple(line.metric(column.metric) for line in lines)
            better = direction[column.metric]
            best = best_of([line.is_method for line in lines], cells, better, score)
            label = printable(column.label)
            yield Column(printable(column.group), column.metric, label, better, cells, best)


def _costs(lines: Sequence[Line]) -> Iterator[Column]:
    for name, label, unit, better in COSTS:
        cells = tuple(line.cost(name) for line in lines)
        if any(cells):
            best = best_of([line.is_method for line in lines], cells, better, memory if unit == BYTES else amount)
            yield Column(COST, name, label, better, cells, best, unit)


def best_of(
    competes: Sequence[bool], cells: Sequence[Estimate | None], better: bool | None, shown: Callable[[float], str]
) -> frozenset[int]:
    """The places of the best of at least two competing lines; all that look alike once shown."""
    means = {
        place: cell.mean
        for place, (takes_part, cell) in enumerate(zip(competes, cells, strict=True))
        if takes_part and cell is not None and cell.mean is not None
    }
    if better is None or len(means) < 2:
        return frozenset()
    top = (max if better else min)(means.values())
    return frozenset(place for place, mean in means.items() if shown(mean) == shown(top))


def as_text(value: object) -> str:
    """JSON, the same for equal values."""
    return _ENCODER.encode(value)


def printable(text: str) -> str:
    """Text from a row without line breaks and the codes that steer a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def score(value: float) -> str:
    """A score in about five characters."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}"


def amount(value: float) -> str:
    """A count or a time in at most five characters or so: 0, 4.25, 12.6k, 7.1M, 8.3B."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # else 999 999 would be 1e+03k
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def memory(value: float, width: float | None = None) -> str:
    """Bytes, and half the width of their interval, in the same unit: 733 MiB, 23.4 ± 1.2 GiB."""
    size, unit = (2**30, "GiB") if value >= 999.5 * 2**20 else (2**20, "MiB")
    return f"{value / size:.3g}{'' if width is None else f' ± {width / size:.3g}'} {unit}"
