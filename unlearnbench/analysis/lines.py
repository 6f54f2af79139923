"""From rows to lines: a method in its settings on one model, over tasks and seeds; and what needs no model."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ..results.row import Row, latest
from .facts import ELSEWHERE, Facts, as_text, method_facts, task_facts
from .means import Mean

Replicate = tuple[int, int]
"""A replicate: the seed of unlearning, and that of the base's training."""


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

    @property
    def is_nothing(self) -> bool:
        """Whether it is the base as it is, which has forgotten nothing."""
        from ..registry import methods

        return not self.is_method and bool(self.rows) and self.method in methods and methods.get(self.method).nothing

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


def replicate(row: Row) -> Replicate:
    """What tells the rows of one line and task apart."""
    return row.seed, row.base_seed


def lines_by_model(rows: Iterable[Row], known: Facts) -> dict[str, list[Line]]:
    """The lines of each model, what needs no model last; of models as they are, not of attacked ones."""
    by_model: dict[str, list[Row]] = defaultdict(list)
    for row in latest(rows):
        if row.status == "ok" and row.attack is None:
            by_model[row.model.name].append(row)
    return {model: [*lines_of(of, known), *_constants(model, of, known)] for model, of in by_model.items()}


def lines_of(rows: Iterable[Row], known: Facts) -> Iterator[Line]:
    """The lines of rows that are ok, in the order in which their methods first appear.

    Rows of several tasks merge into one line. A task that was run in several settings (two scorers, say) gives its
    method a line for each, and so do models that were made elsewhere where one seed has several under the same name.
    """
    rows = [*rows]
    several = _namesakes(rows, known)
    found: dict[tuple[str, str | None], dict[str, dict[str, dict[Replicate, Row]]]]
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in rows:
        method = known.method(row)
        model = made_elsewhere(row) if method in several else None
        found[method, model][row.task.name][known.task(row)][replicate(row)] = row
    for (_, model), by_task in found.items():
        for chosen in product(*(each.values() for each in by_task.values())):
            members = tuple(row for seeds in chosen for row in seeds.values())
            facts = method_facts(members[0]) | ({ELSEWHERE: model} if model else {})
            for seeds in chosen:
                facts |= task_facts(next(iter(seeds.values())))
            yield Line(members[0].model.name, members[0].method.name, facts, members)


def made_elsewhere(row: Row) -> str | None:
    """The digest of the model that other code has made, if it has."""
    return row.method.elsewhere.digest if row.method.elsewhere else None


def _namesakes(rows: Iterable[Row], known: Facts) -> set[str]:
    """The methods, as ``known`` has them, of which there are several models from elsewhere with one seed."""
    models: dict[tuple[str, Replicate], set[str | None]] = defaultdict(set)
    for row in rows:
        models[known.method(row), replicate(row)].add(made_elsewhere(row))
    return {method for (method, _), of in models.items() if len(of) > 1}


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


def rows_of(lines: Iterable[Line]) -> list[Row]:
    """The rows that lines are means over."""
    return [row for line in lines for row in line.rows]
