"""How much of the forget set the base knew: a question that it cannot answer measures no forgetting."""

from collections.abc import Iterator, Sequence

from ...errors import UnlearnbenchError
from ...registry import tasks
from ...results.row import Row
from ..lines import Line
from .levels import flat
from .references import References

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
