"""Whether a method tells more than another retraining would: who did what is changed at random, person by person.

What a share counts as leaked is never negative, so a second retraining leaks beyond the first by chance alone. If a
method's model were one, it would not matter whose answers about a person are taken for its own, and whose for the
retrained model's. So this is done at random, and counted how often as little seems left.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...score.levels import flat, knowing
from ..shares import Share, Three

Array = NDArray[np.float64]

SWAPS = 199
"""How often."""

CHANCE = 0.05
"""In what part of them, and of the case itself, as little may seem left by chance."""

_ROUNDING = 1e-9


def more_than_chance(threes: Sequence[Three], shares: Sequence[Share], *, two_sided: bool) -> bool:
    """Whether the mean of the shares over seeds is lower than the same people, changed at random, would make it.

    Seeds without a share say nothing.
    """
    told = [(three, each) for three, each in zip(threes, shares, strict=True) if each.value is not None]
    if not told:
        return False
    own = float(np.mean([each.value for each in shares if each.value is not None]))
    found = np.mean([_swapped(three, each, two_sided, place) for place, (three, each) in enumerate(told)], axis=0)
    return bool((1 + np.sum(found <= own + _ROUNDING)) / (1 + SWAPS) <= CHANCE)


def _swapped(three: Three, found: Share, two_sided: bool, seed: int) -> Array:
    """The shares [swaps] of one seed, each the lowest of its metrics as the share is."""
    people = sorted({who for name in found.metrics for who in three.ideal[name]})
    masks = np.random.default_rng(seed).random((SWAPS, len(people))) < 0.5
    anew = [three.swapped({who for who, one in zip(people, each, strict=True) if one}) for each in masks if three.again]
    lowest = []
    for name in found.metrics:
        own, nothing, ideal = three.of(name)
        side = knowing(name, nothing, ideal)
        if anew:
            pair = [
                np.array([flat(of[name]) for of in each])
                for each in zip(*((t.own, t.ideal) for t in anew), strict=True)
            ]
        else:
            of_whom = [people.index(who) for who in sorted(ideal) for _ in ideal[who]]
            both = flat(own), flat(ideal)
            pair = [np.where(masks[:, of_whom], *each) for each in (both[::-1], both)]
        base = _off(side * flat(nothing)[None], side * flat(ideal)[None], two_sided)
        lowest.append(1.0 - _off(side * pair[0], side * pair[1], two_sided) / base)
    return np.asarray(np.minimum.reduce(lowest))


def _off(own: Array, ideal: Array, two_sided: bool) -> Array:
    """What values [swaps, questions] are off the ideal's in all: either way, or by how much they leak (`leaks`)."""
    if two_sided:
        return np.asarray(np.abs(own.sum(-1) - ideal.sum(-1)))
    bar = np.maximum(np.sort(ideal, axis=-1), ideal.mean(-1, keepdims=True))
    return np.asarray(np.maximum(0.0, np.sort(own, axis=-1) - bar).sum(-1))
