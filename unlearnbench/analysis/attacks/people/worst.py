"""The worst case of several askings: of every person what tells most, for a method and its references alike.

A worst case of *shares* would fall with every further asking by chance alone. This one does not: the retrained model
gains by each as a method does.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from ...score.levels import knowing
from ..shares import Three

Of = Mapping[str, Sequence[float]]


def worst(cases: Sequence[Three], *, apart: bool = False) -> Three:
    """By metric and person the values of the case that tells most by their mean, of a method and references alike.

    Cases are the variants of an attack, or of all attacks with one access. Only those that ask equally many questions
    of the same people are put in one; others stay beside them, and the metric's name then begins with a number:
    ``2: SET.METRIC``, which counts as that metric by itself. ``apart``: all stay so. A case in which one of the three
    has no values of a metric has no part in it. Raises `DataError` where a method and its references were asked
    otherwise.
    """
    own, nothing, ideal = found = (dict[str, Of](), dict[str, Of](), dict[str, Of]())
    for metric in dict.fromkeys(name for case in cases for name in case.ideal):
        rooms: dict[object, list[tuple[Of, ...]]] = {}
        for number, three in enumerate(case.of(metric) for case in cases if case.has(metric)):
            asked = frozenset((who, len(values)) for who, values in three[2].items())
            rooms.setdefault(number if apart else asked, []).append(three)
        for place, room in enumerate(rooms.values(), start=1):
            name = metric if place == 1 else f"{place}: {metric}"
            side = knowing(metric, *(_together([three[at] for three in room]) for at in (1, 2)))
            for into, of in zip(found, zip(*room, strict=True), strict=True):
                into[name] = _most(of, side)
    if any(case.again for case in cases):
        return Three(own, nothing, ideal, partial(_again, cases, apart))
    return Three(own, nothing, ideal)


def _again(cases: Sequence[Three], apart: bool, people: Collection[str]) -> Three:
    return worst([case.swapped(people) for case in cases], apart=apart)


def _most(of: Sequence[Of], side: float) -> Of:
    """By person the values whose mean is highest, or lowest where ``side`` is -1; the first of equals."""
    return {who: max((each[who] for each in of), key=lambda values: side * sum(values)) for who in of[0]}


def _together(of: Sequence[Of]) -> Of:
    return {f"{place} {who}": values for place, each in enumerate(of) for who, values in each.items()}
