"""Means with bootstrap intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class MetricValue:
    """A number with its 95% interval; every field is JSON-safe, and ``reason`` explains whatever is None.

    ``n`` counts the values behind the number. ``higher_is_better`` is None for a number that has no better side.
    ``questions`` of the set's ``of_questions`` have such a value; None where the number is no mean over questions.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    higher_is_better: bool | None
    reason: str | None = None
    questions: int | None = None
    of_questions: int | None = None


def over_questions(
    values: Sequence[tuple[str, Sequence[float | None]]], *, seed: int, higher_is_better: bool | None
) -> MetricValue:
    """`summarise` of the values of questions, each with the cluster that it belongs to; says how many have any."""
    flat = [(value, cluster) for cluster, own in values for value in own]
    found = summarise(
        [value for value, _ in flat],
        clusters=[cluster for _, cluster in flat],
        seed=seed,
        higher_is_better=higher_is_better,
    )
    have = sum(any(value is not None for value in own) for _, own in values)
    return replace(found, questions=have, of_questions=len(values))


class _Counted(Protocol):
    @property
    def questions(self) -> int | None: ...

    @property
    def of_questions(self) -> int | None: ...


def thin(metrics: Mapping[str, _Counted]) -> str | None:
    """Which metrics rest on fewer than half of the questions of their set, in one line; None where none does."""
    few = [
        f"{name} ({each.questions:,} of {each.of_questions:,})"
        for name, each in metrics.items()
        if each.questions is not None and each.of_questions is not None and 2 * each.questions < each.of_questions
    ]
    if not few:
        return None
    return f"fewer than half of the questions are behind {', '.join(few)}: the others lack what the metric needs"


def summarise(
    values: Sequence[float | None],
    *,
    clusters: Sequence[str] | None,
    seed: int,
    higher_is_better: bool | None,
    resamples: int = RESAMPLES,
) -> MetricValue:
    """The mean of ``values`` with a percentile bootstrap interval; the order of the values never matters.

    Where ``clusters`` names what each value belongs to (questions about one person are not independent), whole clusters
    are resampled. None stands for an undefined value, which is left out; a value that is not finite makes the mean
    undefined. The interval is None for fewer than two clusters.
    """
    import numpy as np

    names = [str(i) for i in range(len(values))] if clusters is None else clusters
    defined = [(value, name) for value, name in zip(values, names, strict=True) if value is not None]
    broken = sum(not math.isfinite(value) for value, _ in defined)
    if broken:
        return undefined(f"{broken} of {len(defined)} values are not finite", higher_is_better, n=len(defined))
    if not defined:
        return undefined(f"undefined for all {len(values)} samples" if values else "no samples", higher_is_better)
    members: defaultdict[str, list[float]] = defaultdict(list)
    for value, name in defined:
        members[name].append(value)
    rows = np.array(sorted((math.fsum(group), len(group)) for group in members.values()), dtype=np.float64)
    totals = resampled(rows, np.random.default_rng(seed), resamples)
    mean = math.fsum(value for value, _ in defined) / len(defined)
    return estimate(mean, totals[:, 0] / totals[:, 1], len(rows), n=len(defined), higher_is_better=higher_is_better)


def resampled(rows: NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Column totals [resamples, columns] of random draws, with replacement, of as many of the ``rows`` as there are."""
    import numpy as np

    picks = rng.integers(len(rows), size=(resamples, len(rows)))
    return np.stack([column[picks].sum(axis=1) for column in rows.T], axis=1)


def estimate(
    value: float, draws: NDArray[np.float64], clusters: int, *, n: int, higher_is_better: bool | None
) -> MetricValue:
    """``value`` with the percentile interval of its bootstrap ``draws``, of which NaN (undefined) ones are left out."""
    import numpy as np

    if clusters < 2:
        reason = "an interval needs two independent samples at least"
        return MetricValue(value, None, None, n, higher_is_better, reason)
    if np.isnan(draws).all():
        return MetricValue(value, None, None, n, higher_is_better, "an interval needs more samples")
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # Rounding must not leave the value outside its own interval.
    return MetricValue(value, min(float(low), value), max(float(high), value), n, higher_is_better)


def proportion(rate: float, n: int, *, independent: float | None = None, higher_is_better: bool | None) -> MetricValue:
    """A share of ``n`` cases with its Wilson interval, of so many as are ``independent`` of each other, all by default.

    It tells also of shares of 0 and of 1, of which a bootstrap says nothing.
    """
    if not n:
        return undefined("no samples", higher_is_better)
    size = n if independent is None else independent
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = (rate + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(rate * (1 - rate) / size + z * z / (4 * size * size))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return MetricValue(rate, min(low, rate), max(high, rate), n, higher_is_better)


def undefined(reason: str, higher_is_better: bool | None, *, n: int = 0) -> MetricValue:
    """A metric that has no value, and why."""
    return MetricValue(None, None, None, n, higher_is_better, reason)
