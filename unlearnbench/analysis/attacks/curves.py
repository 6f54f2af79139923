"""Curves over what an attack's variants differ in by degrees: how much came back after so many steps, for instance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..means import Mean
from ..score.levels import flat
from ..score.references import task_of
from .of_lines import AttackedLine
from .outcome import attack_of, levels_of
from .over_seeds import Variant


@dataclass(frozen=True)
class CurvePoint:
    """What is known at one degree of an attack, means over seeds.

    ``recovery`` is 0 where nothing came back that does not come back of the retrained model, 1 where all did, with its
    interval; None where nobody can tell. ``known`` are the metric's means of the method's model, of the base and of
    the retrained one.
    """

    degree: float
    recovery: Mean | None
    known: tuple[float, float, float]


@dataclass(frozen=True)
class Curve:
    """One level of one attack on one method; ``axis`` is what degrees are counted in.

    ``base`` is the metric's mean of the base, asked the same without any attack; None where it was not.
    """

    axis: str
    level: str
    metric: str
    points: tuple[CurvePoint, ...]
    base: float | None

    @property
    def last(self) -> Mean | None:
        """The recovery at the last degree."""
        return self.points[-1].recovery

    @property
    def area(self) -> float | None:
        """The mean recovery over the axis, from its first degree to its last; None where somewhere nobody can tell."""
        known = (point.recovery.mean for point in self.points if point.recovery)
        values = [value for value in known if value is not None]
        degrees = [point.degree for point in self.points]
        if len(values) < len(degrees) or len(values) < 2:
            return None
        return float(np.trapezoid(values, degrees)) / (degrees[-1] - degrees[0])

    @property
    def half(self) -> float | None:
        """The first degree at which the attacked model knows half of what the base does; None where it never does."""
        if self.base is None:
            return None
        return next((point.degree for point in self.points if point.known[0] >= self.base / 2), None)


def curves(line: AttackedLine) -> tuple[Curve, ...]:
    """By level, how an attacked method's curve goes; none where its attack has no axis, or nothing was to compare."""
    if not line.line.rows or not line.variants:
        return ()
    row = line.line.rows[0]
    attack = attack_of(row)
    if not attack.axis:
        return ()
    placed = [(attack.degree(name), variant) for name, variant in line.variants.items()]
    variants = sorted(((degree, each) for degree, each in placed if degree is not None), key=lambda pair: pair[0])
    made = (_curve(attack.axis, level, metrics, variants) for level, metrics in levels_of(attack, task_of(row)).items())
    return tuple(each for each in made if each is not None)


def _curve(axis: str, level: str, metrics: Sequence[str], variants: Sequence[tuple[float, Variant]]) -> Curve | None:
    """That of a level; its metric is the first that all models have values of."""
    common = (
        name for name in metrics if all(name in each.means for _, variant in variants for each in variant.shares[level])
    )
    metric = next(common, None)
    if metric is None or not variants:
        return None
    points = tuple(_point(degree, variant, level, metric) for degree, variant in variants)
    return Curve(axis, level, metric, points, _base(variants[0][1], metric))


def _point(degree: float, variant: Variant, level: str, metric: str) -> CurvePoint:
    left = variant.levels[level].share
    back = None if left is None or left.mean is None else replace(left, mean=1.0 - left.mean)
    own, nothing, ideal = (float(each) for each in np.mean([*_means(variant, level, metric)], axis=0))
    return CurvePoint(degree, back, (own, nothing, ideal))


def _means(variant: Variant, level: str, metric: str) -> Iterator[tuple[float, float, float]]:
    """By seed."""
    yield from (each.means[metric] for each in variant.shares[level])


def _base(variant: Variant, metric: str) -> float | None:
    """The base's mean of the same questions, not attacked."""
    known = [flat(each.clean.nothing[metric]).mean() for each in variant.found if each.clean and each.clean.has(metric)]
    return float(np.mean(known)) if known else None
