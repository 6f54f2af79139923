"""How methods are ranked: the score, the constraint of utility, and which differences are more than chance.

docs/leaderboards.md says the same in words. Nothing here knows of files, rows or pages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..analysis.lines import Replicate

Array = NDArray[np.float64]

RESAMPLES = 1000
SURE = 0.975
"""Share of resamples in which one method must lead for the 95% interval of the difference to lie above 0."""

_ROUNDING = 1e-9


def forgotten(value: Array, nothing: Array, ideal: Array) -> Array:
    """The score: 0 for what does nothing, 1 for the ideal; the one formula of every leaderboard.

    Of each metric of the forget set, the share of the way from ``nothing`` to ``ideal`` that ``value`` has gone, and
    no more than all of it: to know less than a model that never saw the data is no merit. The mean over the metrics,
    which are the last axis of all three. Below 0 where a method knows more than before.
    """
    share = np.minimum(1.0, (nothing - value) / (nothing - ideal))
    return np.asarray(share.mean(axis=-1))


def lost(value: Array, nothing: Array, ideal: Array, higher_is_better: Sequence[bool]) -> Array:
    """How much of each utility is lost, in the metric's own unit; 0 for a gain, so that none makes up for a loss.

    Measured from the worse of the two references, as no method need keep what retraining itself loses. The metrics are
    the last axis of all three.
    """
    sign = np.where(higher_is_better, 1.0, -1.0)
    return np.asarray(np.maximum(0.0, np.minimum(sign * nothing, sign * ideal) - sign * value))


def keeps(losses: Array, tolerance: Array) -> NDArray[np.bool_]:
    """Whether each utility [metrics] is kept: its mean loss over the replicates [replicates, metrics] is tolerable."""
    return np.asarray(losses.mean(axis=0) <= tolerance + _ROUNDING)


@dataclass(frozen=True)
class Clusters:
    """What a method's metrics are means of: ``sums`` and ``counts`` [replicates, metrics, clusters]."""

    sums: Array
    counts: Array

    def resampled(self, weights: Array) -> Array:
        """The metrics [resamples, replicates, metrics] once every cluster counts as often as ``weights`` say."""
        totals, numbers = (np.einsum("rmc,bc->brm", part, weights) for part in (self.sums, self.counts))
        with np.errstate(invalid="ignore"):  # a resample without any value of a metric says nothing of it
            return np.asarray(totals / numbers)


@dataclass(frozen=True)
class Resampling:
    """Clusters (people) and replicates (seeds) drawn with replacement, the same for all methods: a paired bootstrap."""

    weights: Array
    """How often each cluster was drawn [resamples, clusters]."""
    picks: Array
    """Numbers from 0 to 1 that pick replicates [resamples, most replicates]."""

    @classmethod
    def of(cls, clusters: int, replicates: int, resamples: int = RESAMPLES) -> "Resampling":
        """Drawn from seed 0, so that a leaderboard ranks alike whenever it is built."""
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
        return cls(drawn.astype(np.float64), rng.random((resamples, replicates)))

    def scores(self, value: Clusters, nothing: Clusters, ideal: Clusters) -> Array:
        """The score [resamples] of a method with the references of its replicates."""
        with np.errstate(invalid="ignore", divide="ignore"):
            by_replicate = forgotten(*(each.resampled(self.weights) for each in (value, nothing, ideal)))
        by_replicate = np.nan_to_num(by_replicate, nan=-np.inf)  # what a draw says nothing of counts for nobody
        count = by_replicate.shape[1]
        chosen = (self.picks[:, :count] * count).astype(int)
        return np.asarray(np.take_along_axis(by_replicate, chosen, axis=1).mean(axis=1))


def leads(scores: Sequence[Array]) -> NDArray[np.bool_]:
    """Whether the method of each row leads that of each column in enough of the resamples, which all share."""
    drawn = np.array(scores)
    return np.array([(one > drawn).mean(axis=1) >= SURE for one in drawn]).reshape(len(drawn), len(drawn))


def differ(scores: Sequence[Mapping[Replicate, float]]) -> NDArray[np.bool_]:
    """Whether the 95% interval of the difference of two methods' scores over seeds leaves out 0, for every two.

    Paired, by Student's t, over the replicates that both have, or Welch's where they have not two in common. A
    bootstrap of three seeds alone would call every sixth pair of equal methods different.
    """
    alike: dict[tuple[Replicate, ...], list[int]] = {}
    for place, each in enumerate(scores):
        alike.setdefault(tuple(sorted(each)), []).append(place)
    found = np.zeros((len(scores), len(scores)), dtype=bool)
    for seeds, places in alike.items():
        for others, rivals in alike.items():
            common = [each for each in seeds if each in others]
            paired = len(common) >= 2
            one = np.array([[scores[at][each] for each in (common if paired else seeds)] for at in places])
            other = np.array([[scores[at][each] for each in (common if paired else others)] for at in rivals])
            found[np.ix_(places, rivals)] = (_paired if paired else _apart)(one, other)
    return found


def _paired(one: Array, other: Array) -> NDArray[np.bool_]:
    """[methods, methods] of scores [methods, the same replicates]."""
    from scipy.special import stdtrit

    gaps = one[:, None] - other[None]
    count = gaps.shape[-1]
    width = stdtrit(count - 1, SURE) * gaps.std(axis=-1, ddof=1) / math.sqrt(count)
    return np.asarray(np.abs(gaps.mean(axis=-1)) > width + _ROUNDING)


def _apart(one: Array, other: Array) -> NDArray[np.bool_]:
    """[methods, methods] of scores [methods, replicates] that are not the same; False for a single replicate."""
    from scipy.special import stdtrit

    if min(one.shape[1], other.shape[1]) < 2:
        return np.zeros((len(one), len(other)), dtype=bool)
    errors = [each.var(axis=1, ddof=1) / each.shape[1] for each in (one, other)]
    error = errors[0][:, None] + errors[1][None]
    squares = errors[0][:, None] ** 2 / (one.shape[1] - 1) + errors[1][None] ** 2 / (other.shape[1] - 1)
    freedom = np.where(squares > 0, error**2 / np.where(squares > 0, squares, 1), 1.0)
    gap = np.abs(one.mean(axis=1)[:, None] - other.mean(axis=1)[None])
    return np.asarray(gap > stdtrit(freedom, SURE) * np.sqrt(error) + _ROUNDING)


def ranks(beats: NDArray[np.bool_]) -> list[int]:
    """A method's rank: one more than the number of methods that surely beat it. Ties share a rank."""
    return [1 + int(column.sum()) for column in beats.T]
