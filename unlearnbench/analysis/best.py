"""Who is best in a column: the one rule of tables, pictures, leaderboards and their pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..contracts.metric import Direction
from .means import Mean

_MOST = 0.5
"""Share of the scale from which an interval spans most of it: such a mean says too little to win."""


@dataclass(frozen=True)
class Entrant:
    """A line in a column. Only those of one ``contest`` (people, data, questions) are compared with each other."""

    cell: Mean | None
    competes: bool
    contest: str
    ideal: Mean | None = None
    """The retrained model's value in the same contest."""


def best_of(
    entrants: Sequence[Entrant],
    direction: Direction | None,
    shown: Callable[[float], str],
    *,
    near_ideal: bool = False,
    scale: float | None = None,
) -> frozenset[int]:
    """The places of the best of at least two competing lines in each contest; all that look alike once shown.

    With ``near_ideal`` that is what is nearest to the retrained model, and without such a model nobody. A mean whose
    interval over seeds spans most of the ``scale`` does not win, and does not keep others from it.
    """
    contests: dict[str, list[int]] = {}
    for place, entrant in enumerate(entrants):
        if entrant.competes and _mean(entrant.cell) is not None:
            contests.setdefault(entrant.contest, []).append(place)
    found: set[int] = set()
    for places in contests.values():
        if direction is not None and len(places) > 1:
            sure = [place for place in places if is_sure(entrants[place].cell, scale)]
            if near_ideal:
                sure = [place for place in sure if is_sure(entrants[place].ideal, scale)]
            found |= _first({place: _behind(entrants[place], direction, near_ideal) for place in sure}, shown)
    return frozenset(found)


def _behind(entrant: Entrant, direction: Direction, near_ideal: bool) -> float:
    """How far a line lies behind what would be best; of two numbers the smaller wins."""
    mean = _mean(entrant.cell) or 0.0
    if near_ideal:
        return abs(mean - (_mean(entrant.ideal) or 0.0))
    return -mean if direction == "higher" else mean


def _first(behind: dict[int, float], shown: Callable[[float], str]) -> set[int]:
    least = min(behind.values(), default=0.0)
    return {place for place, each in behind.items() if shown(abs(each)) == shown(abs(least)) and each * least >= 0}


def _mean(cell: Mean | None) -> float | None:
    return None if cell is None else cell.mean


def is_sure(cell: Mean | None, scale: float | None) -> bool:
    """Whether there is a mean whose interval over seeds does not span most of the scale."""
    if cell is None or cell.mean is None:
        return False
    return scale is None or cell.half_width is None or 2 * cell.half_width <= _MOST * scale
