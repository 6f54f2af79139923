"""Models of every kind whose answers are right by chance, so that nothing need be trained."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from unlearnbench.metrics_check.figures import Valued
from unlearnbench.metrics_check.kinds import KINDS

SEEDS = (0, 1)
PEOPLE, EACH = 5, 6


def models(known: Sequence[float], noise: float = 0.05, shift: float = 0.0) -> list[Valued]:
    """A model of each kind and seed: answers right with that chance by kind, ``shift`` more for the second seed."""
    rng = np.random.default_rng(4)
    found = []
    for (kind, mean), seed in product(zip(KINDS, known, strict=True), SEEDS):
        values = np.clip(rng.normal(mean + shift * seed, noise, size=(PEOPLE, EACH)), 0, 1)
        by_person = {f"p{place}": [*map(float, own)] for place, own in enumerate(values)}
        found.append(Valued(kind.name, kind.knows, kind.clean, seed, by_person))
    return found
