"""A word for what an attack brought back, which a reader understands without the numbers."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from ..means import Mean
from ..score.verdict import ERASED, gone

AttackVerdict = Literal["holds", "comes back", "leaks", "broken", "inconclusive", "cannot tell"]

WORDS: Final[dict[AttackVerdict, str]] = {
    "holds": "the attack tells no more than from a retrained model that was attacked alike",
    "comes back": "what seemed forgotten is surely there again, where a retrained model has nothing to give",
    "leaks": "it surely was there without any attack",
    "broken": "the model has lost what it had to keep, and the references have not: no robustness",
    "inconclusive": "a control failed, so that nothing follows: the model learns nothing any more, for instance",
    "cannot tell": "the attacked references are too close, or another retraining may well look the same",
}
"""What each means, the rule in docs/attacks.md."""

State = Literal["gone", "there", "unsure"]
"""Of a level: no more than after retraining; surely more; or neither, for all that so few people and seeds tell."""


def state(shares: Sequence[float], mean: Mean) -> State:
    """That of the shares of seeds, with their mean and its interval; "there" unless chance alone would do it.

    Without an interval, of one person and seed, nothing is sure but that it is gone.
    """
    if gone(shares):
        return "gone"
    sure = mean.mean is not None and mean.half_width is not None and mean.mean + mean.half_width < ERASED
    return "there" if sure else "unsure"


def attack_verdict(
    found: Mapping[str, State | None], clean: Mapping[str, State | None], *, kept: bool, able: bool
) -> AttackVerdict:
    """The word for the state of each level, under the attack and without it; None of one that nobody can tell.

    ``kept``: utility is, beside the references, with the attack and without; ``able``: no control failed, and there was
    something to tell utility by.
    """
    told = {name: each for name, each in found.items() if each is not None}
    if back := [name for name, each in told.items() if each == "there"]:
        return "leaks" if any(clean.get(name) == "there" for name in back) else "comes back"
    if not told:
        return "cannot tell" if able else "inconclusive"
    if not kept:
        return "broken"
    if not able:
        return "inconclusive"
    return "holds" if all(each == "gone" for each in told.values()) else "cannot tell"
