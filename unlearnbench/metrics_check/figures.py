"""What a metric makes of the pool: how well it tells who knows, how far seeds move it, and that its ends are exact.

Pure functions of values of single questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..analysis.score.levels import flat, knowing, shares
from ..metrics.distances import auc
from ..metrics.statistics import LEVEL, RESAMPLES, resampled

Array = NDArray[np.float64]
ByCluster = Mapping[str, Sequence[float]]

DIGITS = 12
"""Beyond which means differ by the order of their sums alone."""


@dataclass(frozen=True)
class Valued:
    """The values of one metric that a model of the pool got, by cluster (a person)."""

    kind: str
    knows: bool
    clean: bool
    seed: int
    values: ByCluster


class MetricFigures(BaseModel):
    """Of one metric; AUC and d' are turned so that more of them is better, whichever side knows."""

    model_config = ConfigDict(frozen=True)

    higher_knows: bool
    means: dict[str, dict[int, float]]
    """By kind and seed."""
    faithfulness: float
    faithfulness_low: float
    faithfulness_high: float
    nothing: float
    ideal: float
    seed_sd: float
    d_prime: float | None
    """None where seeds do not move it at all and the references differ: no number is large enough."""
    floor: float | None
    """None where doing nothing leaks nothing, so that there is no scale."""
    at_nothing: tuple[float | None, ...]
    at_ideal: tuple[float | None, ...]
    """The share that each seed's references have on their own scale."""


def figures(metric: str, models: Sequence[Valued], seed: int = 0) -> MetricFigures:
    """All of them; ``seed`` is that of the bootstrap. Raises ValueError for values that are not finite."""
    if any(not math.isfinite(value) for model in models for of in model.values.values() for value in of):
        raise ValueError("a value is not finite")
    nothing = {each.seed: each.values for each in models if each.clean and each.knows}
    ideal = {each.seed: each.values for each in models if each.clean and not each.knows}
    side = knowing(metric, _all(nothing), _all(ideal))
    knows = np.array([each.knows for each in models])
    means = np.array([_mean(flat(each.values)) for each in models])
    low, high = _interval(side * _resampled(models, seed), knows, seed)
    found = auc([*(side * means[knows])], [*(side * means[~knows])])
    assert found is not None  # both are there, and numbers
    by_kind: dict[str, dict[int, float]] = {}
    for each, mean in zip(models, means, strict=True):
        by_kind.setdefault(each.kind, {})[each.seed] = float(mean)
    ends = [{s: _mean(flat(of)) for s, of in reference.items()} for reference in (nothing, ideal)]
    top, bottom = (float(np.mean([*each.values()])) for each in ends)
    spread = seed_sd(by_kind)
    return MetricFigures(
        higher_knows=side > 0,
        means=by_kind,
        faithfulness=found,
        faithfulness_low=min(low, found),
        faithfulness_high=max(high, found),
        nothing=top,
        ideal=bottom,
        seed_sd=spread,
        d_prime=d_prime(side * (top - bottom), spread),
        floor=_floor(metric, nothing, ideal),
        at_nothing=tuple(_share(metric, nothing[s], nothing[s], ideal[s]) for s in nothing),
        at_ideal=tuple(_share(metric, ideal[s], nothing[s], ideal[s]) for s in nothing),
    )


def seed_sd(by_kind: Mapping[str, Mapping[int, float]]) -> float:
    """By how much means differ from seed to seed: the standard deviation within kinds, pooled over them."""
    within = [np.var([*of.values()], ddof=1) for of in by_kind.values() if len(of) > 1]
    return round(float(np.sqrt(np.mean(within))), DIGITS) if within else math.nan


def d_prime(gap: float, spread: float) -> float | None:
    """The references' distance in standard deviations of seeds; None where it is more than any number."""
    if round(gap, DIGITS) == 0:
        return 0.0
    return gap / spread if spread else None


def _floor(metric: str, nothing: Mapping[int, ByCluster], ideal: Mapping[int, ByCluster]) -> float | None:
    """The largest distance of one retrained model's share from the 1 of another, on that one's scale."""
    found = [_share(metric, ideal[other], nothing[own], ideal[own]) for own, other in permutations(nothing, 2)]
    told = [abs(1.0 - each) for each in found if each is not None]
    return max(told) if told and len(told) == len(found) else None


def _share(metric: str, own: ByCluster, nothing: ByCluster, ideal: ByCluster) -> float | None:
    """The share as leaderboards take it; None where there is no scale."""
    found = shares({metric: own}, {metric: nothing}, {metric: ideal}, [metric])[metric]
    return None if math.isnan(found) else found


def _resampled(models: Sequence[Valued], seed: int) -> Array:
    """Means [resamples, models] once people are drawn anew, the same for all models."""
    people = sorted({name for each in models for name in each.values})
    sums = [[math.fsum(each.values.get(name, ())) for each in models] for name in people]
    counts = [[float(len(each.values.get(name, ()))) for each in models] for name in people]
    totals = resampled(np.hstack([np.array(sums), np.array(counts)]), np.random.default_rng(seed))
    with np.errstate(divide="ignore", invalid="ignore"):
        means = totals[:, : len(models)] / totals[:, len(models) :]
    return np.asarray(np.round(means, DIGITS))


def _interval(means: Array, knows: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """The 95% interval of the AUC: people and, within those that know and those that do not, models drawn anew."""
    rng = np.random.default_rng(seed)
    picked = []
    for group in (np.flatnonzero(knows), np.flatnonzero(~knows)):
        picks = group[rng.integers(len(group), size=(RESAMPLES, len(group)))]
        picked.append(np.take_along_axis(means, picks, axis=1))
    own, others = picked[0][:, :, None], picked[1][:, None, :]
    drawn = ((own > others) + (own == others) / 2).mean(axis=(1, 2))
    drawn[np.isnan(means).any(axis=1)] = np.nan
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _all(by_seed: Mapping[int, ByCluster]) -> dict[str, list[float]]:
    """The values of all seeds, by seed and cluster."""
    return {f"{seed} {name}": [*of] for seed, own in by_seed.items() for name, of in own.items()}


def _mean(values: Array) -> float:
    return round(math.fsum(values) / len(values), DIGITS)
