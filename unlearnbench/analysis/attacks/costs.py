"""What an attacked model lost beside the attacked references, and whether it can be attacked at all.

A model that answers nothing any more tells nothing either, and so is none that has forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np

from ...contracts import Attack, Task
from ...contracts.attack import of_variant
from ...contracts.metric import FORGOTTEN
from ...contracts.scored import LEAST_GAP
from ...results.row import Row, Score
from ..score.conditions import lost
from ..score.references import Trio

FEWEST = 20
"""Questions behind a condition, below which nothing follows from it."""


@dataclass(frozen=True)
class Costs:
    """The conditions that are ``lost`` for sure, and those on what is to be kept that can be ``judged`` at all."""

    lost: tuple[str, ...]
    judged: tuple[str, ...]

    @classmethod
    def together(cls, found: "Sequence[Costs]") -> "Costs":
        """Of several variants: what any of them lost, and what any can be judged by."""
        both = ((each.lost for each in found), (each.judged for each in found))
        lost, judged = (tuple(dict.fromkeys(name for own in of for name in own)) for of in both)
        return cls(lost, judged)


def costs_of(task: Task, trio: Trio, variant: str) -> Costs:
    """What a variant of an attack cost a model, or ("") what a model had lost without one."""
    found = [*_losses(task, trio, variant)]
    judged = (name for name, _, _ in found if name.partition(".")[0] not in FORGOTTEN)
    return Costs(tuple(name for name, least, tolerance in found if least > tolerance), tuple(judged))


def lost_of(task: Task, trio: Trio, variant: str) -> list[str]:
    """The conditions that a model surely breaks, in a variant of its attack ("" of a model as it is).

    The interval of the loss beside the worse of the references lies above the tolerance as a whole. It is made of the
    rows' own intervals over people, as if what one model loses by chance told nothing of what another does, which is
    too wide rather than too narrow. A condition of fewer than `FEWEST` questions says nothing; one without a value,
    where both references have one, is lost: it was asked, and what says nothing is no answer.
    """
    return [*costs_of(task, trio, variant).lost]


def _losses(task: Task, trio: Trio, variant: str) -> Iterator[tuple[str, float, float]]:
    """Conditions that can be judged, by how much each is lost at least, and its tolerance."""
    for metric, tolerance in task.scored.conditions.items():
        own, nothing, ideal = (row.metrics.get(of_variant(metric, variant)) for row in trio.three)
        if nothing is None or ideal is None or nothing.value is None or ideal.value is None:
            continue
        if min(_questions(nothing), _questions(ideal)) < FEWEST:
            continue
        if own is None or own.value is None:
            yield metric, float("inf"), tolerance
            continue
        higher = ideal.higher_is_better is not False
        worse = min((nothing, ideal), key=lambda each: (each.value or 0.0) * (1 if higher else -1))
        widths = [_half(each) for each in (own, worse)]
        loss = lost(np.array([own.value]), np.array([nothing.value]), np.array([ideal.value]), [higher])[0]
        if None not in widths:
            yield metric, float(loss) - hypot(*(each or 0.0 for each in widths)), tolerance


def _questions(of: Score) -> int:
    return of.n if of.questions is None else of.questions


def _half(of: Score) -> float | None:
    """Half of the interval, on its longer side; None without one."""
    if of.value is None or of.ci_low is None or of.ci_high is None:
        return None
    return max(of.value - of.ci_low, of.ci_high - of.value)


def unable_of(attack: Attack, trio: Trio) -> list[str]:
    """The controls in which the attacked model falls too far behind the retrained one, or that show nothing there."""
    found = []
    for metric, least in attack.controls.items():
        own, _, ideal = (_value(row, metric) for row in trio.three)
        if own is None or ideal is None or ideal < LEAST_GAP or own < least * ideal:
            found.append(metric)
    return found


def _value(row: Row, metric: str) -> float | None:
    return row.metrics[metric].value if metric in row.metrics else None
