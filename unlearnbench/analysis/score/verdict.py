"""A word for what a method did, which a reader understands without the numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final, Literal

Verdict = Literal["erased", "hidden", "leaks", "overdone", "broken"]

ERASED = 0.9
"""From which a level counts as gone: a second retraining, which differs by chance alone, gets as much."""
WORST_SEED = 0.8
"""Below which a level may not lie in any seed, twice as far from 1: two good seeds make up for no leak in a third."""
APART = 0.5
"""The trace from which a truth that is less likely than for one who never knew it gives a method away (AUC .75)."""

WORDS: Final[dict[Verdict, str]] = {
    "erased": "nothing that was asked tells more than a model that never knew, and nothing else was lost",
    "hidden": "it does not say it, and it is still there: to be had by whoever sees likelihoods, or attacks it",
    "leaks": "it says what was to be forgotten",
    "overdone": "the truth is far less likely than for one who never knew it: unlearning is told at once",
    "broken": "it speaks gibberish, or lost what it had to keep",
}
"""What each means, the rule in docs/leaderboards.md."""


def verdict(levels: Mapping[str, Sequence[float]], trace: float | None, *, kept: bool) -> Verdict:
    """The word for levels, each of every seed, and the `trace`; ``kept``: all conditions are.

    The first level is what the model says.

    What broke is nothing else, as nobody would use it; then what leaks most easily counts, and how the silence was
    bought comes last.
    """
    said, *unsaid = levels.values()
    if not kept:
        return "broken"
    if not gone(said):
        return "leaks"
    if not all(map(gone, unsaid)):
        return "hidden"
    return "overdone" if trace is not None and trace >= APART else "erased"


def gone(level: Sequence[float]) -> bool:
    """Whether a level is, on average and in every seed; NaN is not."""
    return fmean(level) >= ERASED and all(each >= WORST_SEED for each in level)
