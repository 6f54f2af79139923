"""How methods are ranked: what chance does to scores and losses, and which differences are more than chance.

docs/leaderboards.md says the same in words; what a score is, `analysis.score` says. Nothing here knows of files, rows
or pages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..analysis.score.conditions import lost
from ..analysis.score.levels import share
from ..analysis.score.verdict import ERASED

Array = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.05
"""The chance, at most, that a board of equal methods calls any one of them surely better than any other."""
UPPER = 0.95
"""The quantile of the resampled losses that is their upper bound."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Leaked:
    """What a method and doing nothing give away: sums of leaks [replicates, metrics, clusters]."""

    own: Array
    nothing: Array

    def shares(self, weights: Array) -> Array:
        """The share of each metric [resamples, replicates, metrics] once every cluster counts as ``weights`` say."""
        own, nothing = (_weighed(part, weights) for part in (self.own, self.nothing))
        return share(own, nothing)


@dataclass(frozen=True)
class Clusters:
    """What a method's metrics are means of: ``sums`` and ``counts`` [replicates, metrics, clusters]."""

    sums: Array
    counts: Array

    def resampled(self, weights: Array) -> Array:
        """The metrics [resamples, replicates, metrics] once every cluster counts as ``weights`` say."""
        totals, numbers = (_weighed(part, weights) for part in (self.sums, self.counts))
        return np.asarray(totals / numbers)


@dataclass(frozen=True)
class Resampling:
    """People and seeds drawn anew, the same for all methods: a paired bootstrap.

    Every cluster (a person) gets a random weight (the Bayesian bootstrap: of the few people of a replicate none is ever
    left out), and replicates (seeds) are drawn with replacement.
    """

    weights: Array
    """Of each cluster, 1 on average [resamples, clusters]."""
    picks: NDArray[np.int64]
    """Which replicates were drawn [resamples, replicates]."""

    @classmethod
    def of(cls, clusters: int, replicates: int, resamples: int = RESAMPLES) -> "Resampling":
        """Drawn from seed 0, so that a leaderboard ranks alike whenever it is built."""
        rng = np.random.default_rng(0)
        picks = rng.integers(replicates, size=(resamples, replicates))
        return cls(rng.exponential(size=(resamples, clusters)), picks)

    def scores(self, leaked: Leaked) -> Array:
        """The score [resamples] of a method: of each replicate the lowest share, then their mean."""
        return self._mean(leaked.shares(self.weights).min(axis=-1, keepdims=True))[:, 0]

    def losses(self, own: Array, nothing: Array, ideal: Array, higher_is_better: Sequence[bool]) -> Array:
        """The mean loss of each condition [resamples, metrics], of a method and both references resampled."""
        return self._mean(lost(own, nothing, ideal, higher_is_better))

    def _mean(self, values: Array) -> Array:
        """Over the drawn replicates, of values [resamples, replicates, metrics]."""
        return np.asarray(np.take_along_axis(values, self.picks[:, :, None], axis=1).mean(axis=1))


def _weighed(part: Array, weights: Array) -> Array:
    """Sums over clusters [resamples, replicates, metrics] of ``part`` [replicates, metrics, clusters]."""
    return np.asarray(np.moveaxis(part @ weights.T, -1, 0))


def half_width(scores: Sequence[float], draws: Array, tail: float = LEVEL / 2) -> float | None:
    """Half of a score's interval, by default of 95%: the wider of Student's t over seeds and of the bootstrap.

    ``tail`` is the chance to lie above it, or below. None for one seed.
    """
    from scipy.special import ndtri, stdtrit

    if len(scores) < 2:
        return None
    over_seeds = float(stdtrit(len(scores) - 1, 1 - tail)) * np.std(scores, ddof=1) / math.sqrt(len(scores))
    return float(max(over_seeds, ndtri(1 - tail) * draws.std()))


def chances(scores: Array, draws: Array) -> Array:
    """How likely each difference of two methods would be if they were equal [methods, methods], 1 for a single seed.

    ``scores`` [methods, replicates] and ``draws`` [methods, resamples] are paired. The larger of two p-values counts:
    of Student's paired test over seeds, as a bootstrap of three seeds alone would call every sixth pair of equals
    different, and of the bootstrap's standard error, as seeds that forget the same people say nothing of other people,
    and three seeds may agree by chance.
    """
    from scipy.special import ndtr, stdtr

    count = scores.shape[1]
    if count < 2:
        return np.ones((len(scores), len(scores)))
    gaps = scores[:, None] - scores[None]
    mean = np.abs(gaps.mean(axis=-1))
    over_seeds = gaps.std(axis=-1, ddof=1) / math.sqrt(count)
    covariance = np.atleast_2d(np.cov(draws))
    of_draws = np.sqrt(np.maximum(0.0, np.diag(covariance)[:, None] + np.diag(covariance)[None] - 2 * covariance))
    by_t = 2 * stdtr(count - 1, -_ratio(mean, over_seeds))
    by_bootstrap = 2 * ndtr(-_ratio(mean, of_draws))
    return np.asarray(np.maximum(by_t, by_bootstrap))


def _ratio(mean: Array, error: Array) -> Array:
    """How many standard errors a difference is; no difference is none, however sure."""
    return np.where(mean <= _ROUNDING, 0.0, mean / np.maximum(error, _ROUNDING))


def surely_better(scores: Array, draws: Array) -> NDArray[np.bool_]:
    """Whether the method of each row surely beats that of each column, by Holm's correction over all pairs.

    From `ERASED` on, scores are equal: a second retraining stays below 1 by chance alone, and silence does not. Who
    lies surely below is beaten by all who surely do not, as three seeds are too few for all pairs (`_on_either_side`).
    """
    apart = _on_either_side(scores, draws)
    scores, draws = np.minimum(scores, ERASED), np.minimum(draws, ERASED)
    pairs = np.triu_indices(len(scores), k=1)
    chance = chances(scores, draws)[pairs]
    order = np.argsort(chance, kind="stable")
    allowed = LEVEL / np.arange(len(chance), 0, -1)
    fine = np.zeros(len(chance), dtype=bool)
    fine[order] = np.logical_and.accumulate(chance[order] <= allowed)
    sure = np.zeros((len(scores), len(scores)), dtype=bool)
    sure[pairs] = fine
    means = scores.mean(axis=1)
    return np.asarray(((sure | sure.T) & (means[:, None] > means[None])) | apart)


def _on_either_side(scores: Array, draws: Array) -> NDArray[np.bool_]:
    """Whether the method of each row lies surely at `ERASED` or above, and that of each column surely below.

    Of equals, one must err upwards and another downwards. With so small a tail for each of them that happens in
    LEVEL / 2 of all boards at most, however many they are.
    """
    tail = math.sqrt(LEVEL / 2) / max(1, len(scores))
    widths = [half_width(of, drawn, tail) for of, drawn in zip(scores, draws, strict=True)]
    half = np.array([math.inf if width is None else width for width in widths])
    means = scores.mean(axis=1)
    return np.asarray((means - half >= ERASED)[:, None] & (means + half < ERASED)[None])


def ranks(beats: NDArray[np.bool_]) -> list[int]:
    """A method's rank: one more than the number of methods that surely beat it. Ties share a rank."""
    return [1 + int(column.sum()) for column in beats.T]
