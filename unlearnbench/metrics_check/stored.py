"""How metrics behave when weights are attacked, by stored rows: what else moves them than what is known."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..analysis.attacks.of_lines import Clean
from ..analysis.attacks.outcome import by_variant
from ..analysis.facts import Facts
from ..analysis.lines import lines_of
from ..analysis.score.levels import flat, knowing
from ..analysis.score.references import Records, References, Trio, task_of
from ..contracts import Task
from ..contracts.attack import Values
from ..contracts.metric import FORGET
from ..errors import DataError
from ..results.row import Row
from .pool import measuring, values_of
from .result import Rankings, Robustness

ON_WEIGHTS = "weights-write"
"""The access of attacks under which it is looked how metrics behave."""


WHOLE = 0.8
"""Share of its utility that a model must have kept to be counted, as in the tests of metrics that were published."""


@dataclass(frozen=True)
class FromRows:
    """What stored rows tell: how metrics behave under attack, by metric and attack, and how they rank methods."""

    robustness: Mapping[str, Mapping[str, Robustness]] = field(default_factory=dict)
    rankings: Rankings | None = None


@dataclass(frozen=True)
class Moved:
    """A metric's mean of a method's model and of the retrained one, before and after an attack; more is more known."""

    before: float
    after: float
    ideal_before: float
    ideal_after: float

    @property
    def robustness(self) -> Robustness:
        """Its figures, each from 0 to 1."""
        gained, due = self.after - self.before, self.ideal_after - self.ideal_before
        return Robustness(
            rise=1.0 if gained <= max(due, 0.0) else max(due, 0.0) / gained,
            rise_symmetric=_alike(gained, due),
            stay=1.0 if self.after <= self.before else self.before / self.after,
            stay_symmetric=_alike(self.before, self.after),
        )


def _alike(one: float, other: float) -> float:
    size = abs(one) + abs(other)
    return 1.0 - abs(one - other) / size if size else 1.0


def robustness(rows: Sequence[Row], records: Records) -> dict[str, dict[str, Robustness]]:
    """By metric and attack, means over unlearned models and variants of rows that are ok.

    Models that were broken before they were attacked are left out, as they answer nothing before or after; so are
    attacked rows without their references, or without clean twins.
    """
    found: dict[str, dict[str, list[Robustness]]] = defaultdict(lambda: defaultdict(list))
    known = Facts()
    clean = Clean([row for row in rows if row.attack is None], known)
    for label, own in _on_weights(rows).items():
        lines = [*lines_of(own, known)]
        beside = References(lines, records, known)
        for row in (row for line in lines if line.is_method for row in line.rows):
            trio = beside.trio(row)
            twin = clean.trio(trio) if trio else None
            if trio is None or twin is None or not _is_whole(task_of(row), twin):
                continue
            for metric, change in changes(trio, twin, records):
                found[metric][label].append(change.robustness)
    return {metric: {label: _mean(of) for label, of in by.items()} for metric, by in found.items()}


def _is_whole(task: Task, clean: Trio) -> bool:
    """Whether a model has kept `WHOLE` of what there is to be kept, by the lower of its references."""
    for name in task.scored.conditions:
        own, *references = (each.metrics.get(name) for each in clean.three)
        values = [each.value for each in references if each is not None and each.value is not None]
        if own is None or not own.higher_is_better or not values:
            continue
        if own.value is None or own.value < WHOLE * min(values):
            return False
    return True


def _on_weights(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each attack on weights, by its name, and by its guard where that is off."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.attack is not None and row.attack.access == ON_WEIGHTS:
            off = " guard off" if row.attack.params.get("guard") == "off" else ""
            found[f"{row.attack.name}{off}"].append(row)
    return found


def changes(trio: Trio, twin: Trio, records: Records) -> Iterator[tuple[str, Moved]]:
    """Of every variant in which the forget set was asked, every metric that has values; ``twin`` is without attack."""
    task = measuring(task_of(trio.own))
    attacked = [by_variant(_asked(records(row))) for row in (trio.own, trio.ideal)]
    clean = [_asked(records(row)) for row in twin.three]
    for variant, own in attacked[0].items():
        ids = {each["id"] for each in own}
        before = [[each for each in of if each["id"] in ids] for of in clean]
        values = [_values(task, of) for of in (*before, own, attacked[1].get(variant, []))]
        for metric in values[0]:
            if all(each.get(metric) for each in values):
                found, nothing, ideal, after, ideal_after = (each[metric] for each in values)
                side = knowing(metric, nothing, ideal)
                yield metric, Moved(*(_known(of, side) for of in (found, after, ideal, ideal_after)))


def _asked(records: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Those of the forget set."""
    return [each for each in records if each.get("set") == FORGET]


def _values(task: Task, records: Sequence[Mapping[str, object]]) -> Values:
    try:
        return values_of(task, records)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # what is made of damaged records
        raise DataError(f"the samples of a row are not those of {task.name}") from error


def _known(values: Mapping[str, Sequence[float]], side: float) -> float:
    """How much is known, from 0 to 1, as metrics are."""
    mean = float(flat(values).mean())
    return mean if side > 0 else 1.0 - mean


def _mean(found: Sequence[Robustness]) -> Robustness:
    return Robustness(
        **{name: sum(getattr(each, name) for each in found) / len(found) for name in Robustness.model_fields}
    )
