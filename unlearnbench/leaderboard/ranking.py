"""How methods are ranked: the score, the constraint of utility, and which differences are more than chance.

docs/leaderboards.md says the same in words. Nothing here knows of files, rows or pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """How much of each utility is lost, in the metric's own unit: below 0 for a gain.

    Measured from the worse of the two references, as no method need keep what retraining itself loses. The metrics are
    the last axis of all three.
    """
    sign = np.where(higher_is_better, 1.0, -1.0)
    return np.asarray(np.minimum(sign * nothing, sign * ideal) - sign * value)


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
        count = by_replicate.shape[1]
        chosen = (self.picks[:, :count] * count).astype(int)
        return np.asarray(np.take_along_axis(by_replicate, chosen, axis=1).mean(axis=1))


def better(scores: Sequence[Array]) -> NDArray[np.bool_]:
    """Whether the method of each row surely beats that of each column, from their scores over the same resamples."""
    drawn = np.array(scores)
    return np.array([(one > drawn).mean(axis=1) >= SURE for one in drawn]).reshape(len(drawn), len(drawn))


def ranks(beats: NDArray[np.bool_]) -> list[int]:
    """A method's rank: one more than the number of methods that surely beat it. Ties share a rank."""
    return [1 + int(column.sum()) for column in beats.T]
