"""Levels: what a method still knows of the forget set, between doing nothing (0) and retraining (1).

A level is what an asker can see: what the model says (``text``), how likely it finds the truth (``logits``). Levels are
never averaged, and neither are a level's metrics: a secret that one of them shows is not kept by the others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...contracts.attack import Values
from ...metrics.direction import tells_more
from ...registry import attacks

Array = NDArray[np.float64]


def leaks(values: Array, ideal: Array) -> Array:
    """By how much each value gives more away than the ideal's values do; both have as many, in any order.

    The k-th highest value leaks what it has above the ideal's k-th highest, and above the ideal's mean. So values below
    the ideal's pay for none above them, and nothing is won by leaking few questions wholly while denying all others
    what even chance would give. Equal values leak alike.
    """
    if len(values) != len(ideal):
        raise ValueError(f"{len(values)} values, and {len(ideal)} of the ideal: the questions are not the same")
    if not len(values):
        return values
    bar = np.maximum(np.sort(ideal)[::-1], ideal.mean())
    excess = np.maximum(0.0, np.sort(values)[::-1] - bar)[::-1]
    _, ranks, counts = np.unique(values, return_inverse=True, return_counts=True)
    of_equals = np.bincount(np.sort(ranks), weights=excess) / counts
    return np.asarray(of_equals[ranks])


def leaks_by_cluster(
    values: Mapping[str, Sequence[float]], ideal: Mapping[str, Sequence[float]], side: float
) -> dict[str, float]:
    """The sum of the `leaks` of each cluster; ``side`` as `knowing` has it."""
    names = sorted(values)
    found = leaks(side * flat(values), side * flat(ideal))
    parts = np.split(found, np.cumsum([len(values[name]) for name in names])[:-1])
    return {name: float(part.sum()) for name, part in zip(names, parts, strict=True)}


def share(leaked: Array, by_nothing: Array) -> Array:
    """What part of the way from doing nothing (0) to the ideal (1) is gone; NaN where doing nothing leaks nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(by_nothing > 0, 1.0 - leaked / by_nothing, np.nan)


def shares(method: Values, nothing: Values, ideal: Values, metrics: Iterable[str]) -> dict[str, float]:
    """The `share` of each metric on one replicate; raises KeyError for a metric that one of the three has not."""
    found = {}
    for name in metrics:
        side = knowing(name, nothing[name], ideal[name])
        own, of_nothing = (sum(leaks_by_cluster(each[name], ideal[name], side).values()) for each in (method, nothing))
        found[name] = float(share(np.array(own), np.array(of_nothing)))
    return found


def levels(method: Values, nothing: Values, ideal: Values, rule: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Each level of ``rule`` (names of metrics by level) on one replicate: the lowest share of its metrics."""
    return {
        level: min(shares(method, nothing, ideal, metrics).values(), key=_or_nan) for level, metrics in rule.items()
    }


def _or_nan(value: float) -> tuple[bool, float]:
    """Sorts NaN before all numbers."""
    return not math.isnan(value), value


def knowing(name: str, nothing: Mapping[str, Sequence[float]], ideal: Mapping[str, Sequence[float]]) -> float:
    """1 where higher values of a metric tell more of the forget set, else -1; what stands before a ": " is no name.

    The metric says which; those of an attack's own are high where more is told. Of any other, the references say it:
    doing nothing tells more than retraining.
    """
    metric = name.rpartition(": ")[2]
    if (told := tells_more(metric)) is not None:
        return 1.0 if told else -1.0
    if metric.partition(".")[0] in attacks:
        return 1.0
    return 1.0 if flat(nothing).mean() >= flat(ideal).mean() else -1.0


def gives_away(name: str, nothing: Mapping[str, Sequence[float]], ideal: Mapping[str, Sequence[float]]) -> float:
    """How much doing nothing gives away beyond the ideal, a question: 0 where there is nothing to forget."""
    return sum(leaks_by_cluster(nothing, ideal, knowing(name, nothing, ideal)).values()) / len(flat(nothing))


def flat(by_cluster: Mapping[str, Sequence[float]]) -> Array:
    """All values of a metric, cluster after cluster in the order of their names."""
    return np.array([value for name in sorted(by_cluster) for value in by_cluster[name]], dtype=np.float64)
