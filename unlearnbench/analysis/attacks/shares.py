"""How much of an unlearned model's forgetting is left under an attack, on the scale of its attacked references.

The base and the retrained model are attacked alike, with the same data, budget and seed. So doing nothing scores 0 and
retraining 1 under any attack, by construction: a number says what this attack brings back that it does not teach anew.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    over people, none where there is one person alone; ``below`` says that less is known than the retrained model knows,
    which gives a method away too. ``means`` are of the method's model, of the base and of the retrained one, by metric,
    whether or not it tells any.
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
    """Values of one kind of a method's model and of both references.

    ``again`` makes them anew with the values of some people changed between the method's model and the retrained one:
    of values that come of comparing these two it is more than to change them (`Attack.compared`).
    """

    own: Values
    nothing: Values
    ideal: Values
    again: "Callable[[Collection[str]], Three] | None" = None

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

    def named(self, metrics: Iterable[str]) -> list[str]:
        """What these are called here, where all three have values: a further case begins with its number (`worst`)."""
        return [name for metric in metrics for name in self.ideal if _plain(name) == metric and self.has(name)]

    def swapped(self, people: Collection[str]) -> "Three":
        """The same with these people's values changed between the method's model and the retrained one."""
        if self.again:
            return self.again(people)
        return Three(exchanged(self.own, self.ideal, people), self.nothing, exchanged(self.ideal, self.own, people))


def exchanged(own: Values, other: Values, people: Collection[str]) -> Values:
    """The values with those of some people taken from the other's, of metrics that both have."""
    return {
        metric: {who: other[metric][who] if who in people else values for who, values in of.items()}
        for metric, of in own.items()
        if other.get(metric)
    }


def _plain(name: str) -> str:
    return name.rpartition(": ")[2]


def gaps(three: Three, metrics: Iterable[str], *, two_sided: bool) -> dict[str, float]:
    """By how much the references are apart in each metric that all three have values of."""
    found = {}
    for name in three.named(metrics):
        _, nothing, ideal = three.of(name)
        apart = knowing(name, nothing, ideal) * float(flat(nothing).mean() - flat(ideal).mean())
        # Rank by rank too, as that is what a share is made of.
        found[name] = apart if two_sided else min(apart, gives_away(name, nothing, ideal))
    return found


def share(
    three: Three,
    metrics: Iterable[str],
    *,
    two_sided: bool,
    seed: int,
    least_gap: float = LEAST_GAP,
    told: Collection[str] | None = None,
) -> Share:
    """The lowest share of those of ``metrics`` in which the references are apart; ``two_sided`` as an attack says.

    Of those alone that are ``told`` by all seeds together, where that is known.
    """
    apart = gaps(three, metrics, two_sided=two_sided)
    means = {name: _means(*three.of(name)) for name in apart}
    values, draws, below = list[float](), list[Array](), False
    able = [name for name, gap in apart.items() if gap >= least_gap and (told is None or name in told)]
    for name in able:
        own, nothing, ideal = three.of(name)
        side = knowing(name, nothing, ideal)
        table = _two_sided(own, nothing, ideal) if two_sided else _one_sided(own, nothing, ideal, side)
        values.append(float(_left(table.sum(0, keepdims=True), two_sided)[0]))
        if len(table) > 1:
            draws.append(_left(resampled(table, np.random.default_rng(seed)), two_sided))
        below = below or bool(side * (means[name][2] - means[name][0]) >= least_gap)
    if not able:
        return Share(None, np.empty(0), means=means)
    drawn = np.minimum.reduce(draws) if len(draws) == len(able) else np.empty(0)
    return Share(min(values), drawn, tuple(able), below, means)


def shares_over_seeds(
    threes: Sequence[Three],
    metrics: Sequence[str],
    *,
    two_sided: bool,
    seeds: Sequence[int],
    least_gap: float = LEAST_GAP,
) -> list[Share]:
    """The `share` of each seed, by the metrics in which the references are apart on average over the seeds.

    None of a seed in which they are so in none of these: it is judged by the others.
    """
    found = [gaps(three, metrics, two_sided=two_sided) for three in threes]
    names = dict.fromkeys(name for each in found for name in each)
    by_name = {name: [each[name] for each in found if name in each] for name in names}
    told = {name for name, of in by_name.items() if np.mean(of) >= least_gap}
    return [
        share(three, metrics, two_sided=two_sided, seed=seed, least_gap=least_gap, told=told)
        for three, seed in zip(threes, seeds, strict=True)
    ]


def interval(draws: Sequence[Array]) -> tuple[float, float]:
    """The 95% interval of the mean over seeds of shares, by the bootstrap draws of each."""
    low, high = np.nanquantile(np.mean(draws, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _means(*three: Mapping[str, Sequence[float]]) -> tuple[float, float, float]:
    own, nothing, ideal = (float(flat(each).mean()) for each in three)
    return own, nothing, ideal


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
