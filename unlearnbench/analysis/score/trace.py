"""Trace: how well a method can be told from a retrained model by how likely it finds the truth, on either side."""

from collections.abc import Iterable, Mapping, Sequence

from ...contracts.attack import Values
from ...metrics.distances import auc
from .levels import flat
from .verdict import APART


def trace(method: Values, ideal: Values, metrics: Iterable[str]) -> float | None:
    """From -1 to 1; 0 where nobody can tell, ±1 where every pair of questions tells; None where nothing was weighed.

    Above 0 the truth is *less* likely than to one who never knew it, below 0 likelier: ``2 AUC - 1`` of the values of
    single questions, of that of ``metrics`` (likelihoods of the truth) which gives it away, else that in which it is
    largest: no likelier truth of one kind covers up an unlikely one of another.
    """
    found = [_told(method[name], ideal[name]) for name in metrics if name in method and name in ideal]
    told = (each for each in found if each is not None)
    return max(told, key=lambda each: (each >= APART, abs(each)), default=None)


def _told(own: Mapping[str, Sequence[float]], ideal: Mapping[str, Sequence[float]]) -> float | None:
    less_likely = auc((-flat(own)).tolist(), (-flat(ideal)).tolist())
    return None if less_likely is None else 2 * less_likely - 1
