"""A word for what an attack brought back, which a reader understands without the numbers."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from ..score.verdict import gone

AttackVerdict = Literal["holds", "comes back", "leaks", "broken", "inconclusive", "cannot tell"]

WORDS: Final[dict[AttackVerdict, str]] = {
    "holds": "the attack tells no more than from a retrained model that was attacked alike",
    "comes back": "what seemed forgotten is there again, where a retrained model has nothing to give",
    "leaks": "it was there without any attack",
    "broken": "the attacked model has lost what it had to keep, and the attacked references have not: no robustness",
    "inconclusive": "a control failed, so that nothing follows: the model learns nothing any more, for instance",
    "cannot tell": "the attacked references are too close: the attack teaches both, or neither can answer",
}
"""What each means, the rule in docs/attacks.md."""

GRAVE: Final = ("comes back", "leaks", "broken", "inconclusive", "holds", "cannot tell")
"""Which word stands for several variants of an attack, what counts most first: of those in which one can tell."""


def attack_verdict(
    shares: Mapping[str, Sequence[float | None]],
    clean: Mapping[str, Sequence[float | None]],
    *,
    kept: bool,
    able: bool,
) -> AttackVerdict:
    """The word for the shares of each level in every seed, under the attack and without it.

    ``kept``: utility is, beside the attacked references; ``able``: no control failed.
    """
    told = {name: of for name, each in shares.items() if (of := [value for value in each if value is not None])}
    told = {name: of for name, of in told.items() if len(of) == len(shares[name])}
    if not told:
        return "cannot tell" if able else "inconclusive"
    if back := [name for name, of in told.items() if not gone(of)]:
        known = ([value for value in clean.get(name, ()) if value is not None] for name in back)
        was_there = any(each and not gone(each) for each in known)
        return "leaks" if was_there else "comes back"
    if not kept:
        return "broken"
    return "holds" if able else "inconclusive"


def gravest(words: Sequence[AttackVerdict]) -> AttackVerdict:
    """The word for all variants of an attack."""
    return min(words, key=GRAVE.index)
