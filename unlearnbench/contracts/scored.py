"""Which of a task's metrics make up a method's score; leaderboards say it for themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_GAP = 0.1
"""How much doing nothing must give away beyond the ideal, a question of each metric: else there is nothing to score."""


@dataclass(frozen=True)
class Scored:
    """What a task adds to the score of a method; empty where it adds nothing."""

    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Metrics of the forget set by level, that is by what an asker can see: first what the model says, then what only
    likelihoods show. Of each, `Task.by_question` gives the values of single questions."""
    also_traced: tuple[str, ...] = ()
    """Likelihoods of the truth that the trace looks at beside those of ``levels``: they tell a method from a retrained
    model, though not who knows."""
    conditions: Mapping[str, float] = field(default_factory=dict)
    """Metrics that a method must keep, with how far each may fall below the references, in its own unit."""
    if_any: frozenset[str] = frozenset()
    """Metrics of ``levels`` that count only where the data have what they are taken from, and are left out elsewhere;
    of any other, a lack of values means that there is no score."""
