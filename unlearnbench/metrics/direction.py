"""Which values of a metric are best: as the metric says it, and for all who show numbers."""

from typing import Final, Literal

Direction = Literal["higher", "lower", "retrained"]
"""More is better, less is, or the value of a model that was retrained without the forget set."""

ARROWS: Final[dict[Direction | None, str]] = {"higher": "↑", "lower": "↓", "retrained": "≈", None: ""}
"""How tables say it."""

FORGET = "forget"
"""The set of what is to be forgotten: to know less of it than a retrained model is no merit."""

_SAID: Final[dict[bool | None, Direction | None]] = {True: "higher", False: "lower", None: None}


def side(direction: Direction | None) -> bool | None:
    """A direction as rows have it in ``higher_is_better``: None where neither side is better."""
    return {"higher": True, "lower": False}.get(direction or "")


def direction_of(task: str, name: str, stored: bool | None) -> Direction | None:
    """The direction of a task's score: its metric decides, and where that is not known here, the row (``stored``).

    Rows of older versions may say otherwise than the metric does now.
    """
    from ..registry import tasks

    metric = tasks.get(task).metric_of(name) if task in tasks else None
    return _SAID[stored] if metric is None else metric().direction(name.partition(".")[0])


def best_near_retrained(name: str, direction: Direction | None) -> bool:
    """Whether the best value of a score is the retrained model's: always so on the forget set.

    An arrow there points away from the base, as far as the retrained model and no further.
    """
    return direction == "retrained" or (direction is not None and name.partition(".")[0] == FORGET)
