"""How far a model is from one that was retrained without the forget set, from values of single questions.

All are pure functions of two lists of numbers, one a question: those of the model and those of the retrained one, in
any order and not necessarily as many. Where a list is empty or a number is NaN there is no distance, None.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ForgetQuality:
    """A two-sample Kolmogorov-Smirnov test: the largest distance of the distribution functions, and its p-value."""

    statistic: float
    p_value: float


def gap(own: Sequence[float], retrained: Sequence[float]) -> float | None:
    """The difference of the means, of mean NLLs in nats a token: above 0 the truth is less likely than to the ideal."""
    return math.fsum(own) / len(own) - math.fsum(retrained) / len(retrained) if _known(own, retrained) else None


def auc(own: Sequence[float], retrained: Sequence[float]) -> float | None:
    """The chance that a value of one's own is above one of the retrained model's, ties counted half.

    Of mean NLLs: above 1/2 the truth is less likely than to a model that never knew it, below 1/2 likelier.
    """
    if not _known(own, retrained):
        return None
    import numpy as np

    below = np.sort(np.asarray(retrained, dtype=np.float64))
    mine = np.asarray(own, dtype=np.float64)
    ahead = np.searchsorted(below, mine, side="left") + np.searchsorted(below, mine, side="right")
    return float(ahead.sum() / (2 * len(mine) * len(below)))


def told_apart(own: Sequence[float], retrained: Sequence[float]) -> float | None:
    """``2 |AUC - 1/2|``: 0 where nobody can tell the two models by such a value, 1 where every pair tells."""
    found = auc(own, retrained)
    return None if found is None else abs(2 * found - 1)


def forget_quality(own: Sequence[float], retrained: Sequence[float]) -> ForgetQuality | None:
    """The field's forget quality (TOFU, FIUBench): a two-sided KS test that the truth ratios are of one distribution.

    A p-value of 1 where they are the same; FIUBench tabulates its logarithm. It goes by ranks, so that logarithms of
    the ratios give the same. The more questions, the smaller it gets for the same ``statistic``.
    """
    if not _known(own, retrained):
        return None
    from scipy.stats import ks_2samp

    found = ks_2samp(own, retrained)
    return ForgetQuality(float(found.statistic), float(found.pvalue))


def _known(*values: Sequence[float]) -> bool:
    return all(values) and not any(math.isnan(value) for each in values for value in each)
