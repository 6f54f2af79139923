"""Means over seeds with their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True)
class Mean:
    """A mean over ``n`` replicates and half the width of its 95% interval by Student's t, None for a single one.

    ``mean`` is None where a replicate has no value: a mean of the others would flatter.
    """

    mean: float | None
    half_width: float | None = None
    n: int = 1

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Mean":
        """The mean of one value a replicate."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return cls(None, None, len(values))
        if len(known) == 1:
            return cls(known[0])
        from scipy.special import stdtrit

        off = [value - known[0] for value in known]  # so that equal values have a width of exactly 0
        middle = fmean(off)
        variance = math.fsum((each - middle) ** 2 for each in off) / (len(known) - 1)
        width = float(stdtrit(len(known) - 1, 0.975)) * math.sqrt(variance / len(known))
        return cls(fmean(known), width, len(known))
