"""How much of an unlearned model's forgetting is left under an attack, on the scale of its attacked references.

The base and the retrained model are attacked alike, with the same data, budget and seed. So doing nothing scores 0 and
retraining 1 under any attack, by construction: a number says what this attack brings back that it does not teach anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...contracts.attack import Values
from ...contracts.scored import LEAST_GAP
from ...errors import DataError
from ...metrics.statistics import LEVEL, resampled
from ..score.levels import flat, gives_away, knowing, leaks_by_cluster

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """The share of forgetting that is left of one level: 1 as of the retrained model, 0 as of the base.

    ``value`` is None where nobody can tell, as the attacked references are too close. ``draws`` are bootstrap values
    over people, ``below`` says that less is known than the retrained model knows, which gives a method away too.
    ``means`` are of the method's model, of the base and of the retrained one, by metric, whether or not it tells any.
    """

    value: float | None
    draws: Array
    metrics: tuple[str, ...] = ()
    below: bool = False
    means: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def recovery(self) -> float | None:
        """What came back: 0 nothing, 1 all."""
        return None if self.value is None else 1.0 - self.value


@dataclass(frozen=True)
class Three:
    """Values of one kind of a method's model and of both references."""

    own: Values
    nothing: Values
    ideal: Values

    @property
    def is_empty(self) -> bool:
        """Whether no metric is named: one that is named without values could not be told, and counts as that."""
        return not (self.own or self.nothing or self.ideal)

    def has(self, metric: str) -> bool:
        """Whether all three have values of a metric."""
        return all(each.get(metric) for each in (self.own, self.nothing, self.ideal))

    def of(self, metric: str) -> "tuple[Mapping[str, Sequence[float]], ...]":
        """The values of a metric of all three; raises `DataError` where they are of other questions."""
        found = (self.own[metric], self.nothing[metric], self.ideal[metric])
        sizes = [{cluster: len(values) for cluster, values in each.items()} for each in found]
        if sizes[0] != sizes[1] or sizes[0] != sizes[2]:
            raise DataError(f"{metric}: a method and its references were asked other questions under attack")
        return found


def share(three: Three, metrics: Iterable[str], *, two_sided: bool, seed: int, least_gap: float = LEAST_GAP) -> Share:
    """The lowest share of those of ``metrics`` in which the references are apart; ``two_sided`` as an attack says."""
    values, draws, told, below = list[float](), list[Array](), list[str](), False
    means: dict[str, tuple[float, float, float]] = {}
    for metric in metrics:
        if not three.has(metric):
            continue
        own, nothing, ideal = three.of(metric)
        means[metric] = (float(flat(own).mean()), float(flat(nothing).mean()), float(flat(ideal).mean()))
        side = knowing(metric, nothing, ideal)
        apart = side * (means[metric][1] - means[metric][2])
        if not two_sided:  # rank by rank too, as that is what a share is made of
            apart = min(apart, gives_away(metric, nothing, ideal))
        if apart < least_gap:
            continue
        table = _two_sided(own, nothing, ideal) if two_sided else _one_sided(own, nothing, ideal, side)
        values.append(float(_left(table.sum(0, keepdims=True), two_sided)[0]))
        draws.append(_left(resampled(table, np.random.default_rng(seed)), two_sided))
        told.append(metric)
        below = below or bool(side * (flat(ideal).mean() - flat(own).mean()) >= least_gap)
    if not told:
        return Share(None, np.empty(0), means=means)
    return Share(min(values), np.minimum.reduce(draws), tuple(told), below, means)


def interval(draws: Sequence[Array]) -> tuple[float, float]:
    """The 95% interval of the mean over seeds of shares, by the bootstrap draws of each."""
    low, high = np.nanquantile(np.mean(draws, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _one_sided(
    own: Mapping[str, Sequence[float]],
    nothing: Mapping[str, Sequence[float]],
    ideal: Mapping[str, Sequence[float]],
    side: float,
) -> Array:
    """By cluster: what the method leaks, and what the base does."""
    found = [leaks_by_cluster(each, ideal, side) for each in (own, nothing)]
    return np.array([[each[cluster] for each in found] for cluster in sorted(ideal)])


def _two_sided(
    own: Mapping[str, Sequence[float]], nothing: Mapping[str, Sequence[float]], ideal: Mapping[str, Sequence[float]]
) -> Array:
    """By cluster: how far the sums of method and base are from the retrained model's."""
    sums = [{cluster: float(np.sum(values)) for cluster, values in each.items()} for each in (own, nothing, ideal)]
    return np.array([[sums[0][c] - sums[2][c], sums[1][c] - sums[2][c]] for c in sorted(ideal)])


def _left(totals: Array, two_sided: bool) -> Array:
    """Shares of sums [draws, 2] of what the method and what the base are off; NaN where the base is not."""
    method, base = totals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        if two_sided:
            return np.where(base != 0, 1.0 - np.minimum(1.0, np.abs(method) / np.abs(base)), np.nan)
        return np.where(base > 0, 1.0 - method / base, np.nan)
