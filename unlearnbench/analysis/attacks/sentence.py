"""An honest sentence on one method: what was tried, and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..means import Mean
from .of_lines import AttackedLine, AttackOn
from .verdict import AttackVerdict


@dataclass(frozen=True)
class Tried:
    """An attack on a method: the word for it, and the lowest share of forgetting that it leaves.

    ``word`` is None where nothing could be compared, ``left`` where nobody can tell.
    """

    attack: str
    access: str
    word: AttackVerdict | None
    left: Mean | None


_TOLD: dict[AttackVerdict, str] = {
    "comes back": "of what was forgotten came back",
    "leaks": "leaked without any attack, and attacked gave away",
    "holds": "held",
}
_UNTOLD: dict[AttackVerdict | None, str] = {
    "broken": "broken",
    "inconclusive": "inconclusive",
    "cannot tell": "cannot tell",
    None: "not compared",
}
"""Of those of which no share is told, what is said."""


def tried(on: AttackOn, line: AttackedLine) -> Tried:
    """An attack in one setting on a method."""
    return Tried(on.label, on.attack.access, line.verdict, line.left)


def sentence(found: Sequence[Tried]) -> str:
    """What was tried on one method, and what of the forgotten came back; plain text, to be escaped by whoever shows it.

    What holds is said with its number too: that nothing came back is so within its interval only.
    """
    if not found:
        return "Tried: nothing. Nobody knows what comes back."
    by_access: dict[str, list[str]] = {}
    for each in found:
        by_access.setdefault(each.access, []).append(each.attack)
    parts = ["Tried: " + ", ".join(f"{', '.join(names)} ({access})" for access, names in by_access.items())]
    for word, said in _TOLD.items():
        if told := [_back(each) for each in found if each.word == word]:
            parts.append(f"{said}: {', '.join(told)}")
        elif word == "comes back":
            parts.append(f"{said}: nothing that these attacks can tell")
    for untold, said in _UNTOLD.items():
        if names := [each.attack for each in found if each.word == untold]:
            parts.append(f"{said} under {', '.join(names)}")
    return f"{'; '.join(parts)}."


def _back(each: Tried) -> str:
    """How much of what was forgotten is there, in per cent with its interval."""
    if each.left is None or each.left.mean is None:
        return each.attack
    back, width = 1.0 - each.left.mean, each.left.half_width
    within = "" if width is None else f" [{_percent(back - width)}, {_percent(back + width)}]"
    return f"{_percent(back)}{within} under {each.attack}"


def _percent(value: float) -> str:
    return f"{round(100 * value)}%"
