"""How long the rest of a grid takes, judged by the cells that it has computed."""

from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine.planning import Plan

Kind = tuple[str, ...]


class TimeLeft:
    """The seconds that are left: every cell takes what those like it took, the more alike the better.

    First those of the same model, method and task are asked, then of the same method and task, of the task, all.
    """

    def __init__(self, plans: "Iterable[Plan]") -> None:
        self._left = {plan.row_id: plan for plan in plans}
        self._took: dict[Kind, list[float]] = {}

    def ended(self, plan: "Plan") -> None:
        """A cell needs no more time."""
        self._left.pop(plan.row_id, None)

    def took(self, plan: "Plan", seconds: float) -> None:
        """A cell was computed in so long."""
        for kind in _kinds(plan):
            self._took.setdefault(kind, []).append(seconds)

    def seconds(self, working: Mapping[str, float], workers: int) -> float | None:
        """What is left; ``working`` tells of cells under way the seconds so far. None where no cell tells yet."""
        if not self._took:
            return None
        each = [max(0.0, self._expected(plan) - working.get(name, 0.0)) for name, plan in [*self._left.items()]]
        return sum(each) / max(1, min(workers, len(each)))

    def _expected(self, plan: "Plan") -> float:
        return fmean(next(self._took[kind] for kind in _kinds(plan) if kind in self._took))


def _kinds(plan: "Plan") -> Iterator[Kind]:
    """What a cell is like, from the narrowest to the widest."""
    cell = plan.cell
    asked = (cell.task, cell.attack or "")
    yield from ((cell.model, cell.method, *asked), (cell.method, *asked), asked, (cell.task,), ())


def spelt(seconds: float) -> str:
    """Hours, minutes and seconds as a clock has them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
