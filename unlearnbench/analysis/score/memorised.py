"""What the references are worth: how much of the forget set the base knew, and whether the retrained model has learned.

A question that the base cannot answer measures no forgetting; what a retrained model keeps is what methods must keep.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ...contracts import Task
from ...errors import UnlearnbenchError
from ...registry import tasks
from ...results.row import Row
from ..lines import Line
from .levels import flat
from .references import References, Trio

_WHOLLY = 1 - 1e-9


def answered(row: Row, beside: References) -> tuple[int, int] | None:
    """How many questions of the forget set a row answers wholly, and of how many; None where its samples do not tell.

    That goes by the first metric of the task's first level, of what a model says.
    """
    rule = tasks.get(row.task.name).scored.levels if row.task.name in tasks else {}
    metric = next((metrics[0] for metrics in rule.values()), None)
    try:
        values = beside.values(row).get(metric) if metric is not None else None
    except UnlearnbenchError:
        return None
    return None if not values else (int((flat(values) >= _WHOLLY).sum()), len(flat(values)))


def gate(lines: Sequence[Line], beside: References) -> Iterator[str]:
    """What to say of bases that do not answer all of the forget set, over their seeds."""
    told = [found for line in lines if line.is_nothing for row in line.rows if (found := answered(row, beside))]
    known, asked = (sum(each) for each in zip(*told, strict=True)) if told else (0, 0)
    if known < asked:
        yield f"The base answers {known} of {asked} questions of the forget set: the others measure no forgetting"


def lessened(lines: Sequence[Line], beside: References) -> Iterator[str]:
    """What to say of retrained models that keep less than the base of what is to be kept: what methods may lose, then.

    By the task's conditions of which more is better, each over the seeds that have both references, with its tolerance.
    """
    rows = [row for line in lines if line.is_method for row in line.rows]
    trios = {(trio.nothing.row_id, trio.ideal.row_id): trio for row in rows if (trio := beside.trio(row))}
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for trio in trios.values():
        for name in tasks.get(trio.own.task.name).scored.conditions:
            nothing, ideal = trio.nothing.metrics.get(name), trio.ideal.metrics.get(name)
            if nothing and ideal and nothing.higher_is_better and None not in (nothing.value, ideal.value):
                found[name].append((float(nothing.value or 0), float(ideal.value or 0)))
    tolerances = {name: by for kind in _tasks(trios.values()) for name, by in kind.scored.conditions.items()}
    means = {name: [sum(each) / len(each) for each in zip(*pairs, strict=True)] for name, pairs in found.items()}
    if less := [name for name, (nothing, ideal) in means.items() if nothing - ideal > tolerances[name]]:
        told = ", ".join(f"{name} {means[name][1]:.3f}, the base {means[name][0]:.3f}" for name in less)
        yield f"The retrained model has learned less than the base, and methods may lose as much: {told}"


def _tasks(trios: Iterable[Trio]) -> list[type[Task]]:
    return [tasks.get(name) for name in dict.fromkeys(trio.own.task.name for trio in trios)]
