"""Conditions: what a method must keep, each with a tolerance in its metric's own unit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SLACK = 2.0
"""By how many tolerances a loss may be off at worst: the upper bound of its 95% interval must not lie above."""

_ROUNDING = 1e-9


def lost(value: Array, nothing: Array, ideal: Array, higher_is_better: Sequence[bool]) -> Array:
    """How much of each condition is lost, in the metric's own unit; 0 for a gain, so that none makes up for a loss.

    Measured from the worse of the two references, as no method need keep what retraining itself loses. The metrics are
    the last axis of all three.
    """
    sign = np.where(higher_is_better, 1.0, -1.0)
    return np.asarray(np.maximum(0.0, np.minimum(sign * nothing, sign * ideal) - sign * value))


def keeps(loss: Array, tolerance: Array, upper: Array | None = None) -> NDArray[np.bool_]:
    """Whether each condition is kept: its mean loss is tolerable, and ``upper``, where known, is no more than twice."""
    fine = loss <= tolerance + _ROUNDING
    return np.asarray(fine if upper is None else fine & (upper <= SLACK * tolerance + _ROUNDING))
