"""Which values of a metric are best: as the metric says it, and for all who show numbers."""

from typing import TYPE_CHECKING, Final

from ..contracts.metric import FORGOTTEN, Direction
from ..registry import metrics, tasks

if TYPE_CHECKING:
    from ..contracts import Task
    from ..contracts.metric import Metric

ARROWS: Final[dict[Direction | None, str]] = {"higher": "↑", "lower": "↓", "retrained": "≈", None: ""}
"""How tables say it."""

_SAID: Final[dict[bool | None, Direction | None]] = {True: "higher", False: "lower", None: None}


def side(direction: Direction | None) -> bool | None:
    """A direction as rows have it in ``higher_is_better``: None where neither side is better."""
    return {"higher": True, "lower": False}.get(direction or "")


def metric_of(task: "type[Task]", name: str) -> "type[Metric] | None":
    """The registered metric that a task's score ``SET.METRIC`` is a mean of, which then says which values are best.

    None where the task computes the score itself, and ``higher_is_better`` in the row says it.
    """
    set_name, _, known = name.partition(".")
    return metrics.get(known) if set_name in task.metric_sets and known in metrics else None


def direction_of(task: str, name: str, stored: bool | None) -> Direction | None:
    """The direction of a task's score: its metric decides, and where that is not known here, the row (``stored``).

    Rows of older versions may say otherwise than the metric does now.
    """
    metric = metric_of(tasks.get(task), name) if task in tasks else None
    return _SAID[stored] if metric is None else metric().direction(name.partition(".")[0])


KEPT: Final = "retain"
"""A set that is to be kept: there a metric of knowledge is best where a model knows more."""


def tells_more(name: str) -> bool | None:
    """Whether higher values of a score ``SET.METRIC`` tell more; None for a metric that is not registered, or of none.

    That is which values are best where something is to be known. ``name`` may stand behind an attack's, and ": ".
    """
    known = name.rpartition(": ")[2].partition(".")[2]
    return side(metrics.get(known)().direction(KEPT)) if known in metrics else None


def best_near_retrained(name: str, direction: Direction | None) -> bool:
    """Whether the best value of a score is the retrained model's: always so on the forget set.

    An arrow there points away from the base, as far as the retrained model and no further.
    """
    return direction == "retrained" or (direction is not None and name.partition(".")[0] in FORGOTTEN)
