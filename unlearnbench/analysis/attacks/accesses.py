"""All attacks with one access together: whoever has it may try each, so of every person what tells most counts."""

from collections.abc import Mapping, Sequence
from typing import get_args

from ...contracts.attack import Access
from ..facts import ELSEWHERE, Facts
from ..lines import Line
from .of_lines import AttackedLine, AttackOn
from .outcome import together
from .over_seeds import Variant

Key = tuple[str, object]


def key_of(line: Line, known: Facts) -> Key:
    """What a method's lines under several attacks have in common, and no other's."""
    return known.method(line.rows[0]), line.facts.get(ELSEWHERE)


def by_access(found: Sequence[AttackOn]) -> dict[str, list[AttackOn]]:
    """Attacks on one model by what they need a hand on, the least first."""
    return {each: own for each in get_args(Access) if (own := [on for on in found if on.attack.access == each])}


def all_of(found: Sequence[AttackOn], known: Facts) -> Mapping[Key, Variant]:
    """By method, the worst case over several attacks on one model, on the seeds with which all were made.

    Without methods that were not attacked by all. An attack that counts both sides has no part in it: of what tells
    most it knows nothing.
    """
    lines: dict[Key, list[AttackedLine]] = {}
    one_sided = [on for on in found if any(line.worst and not line.worst.found[0].two_sided for line in on.lines)]
    for line in (line for on in one_sided for line in on.lines if line.variants):
        lines.setdefault(key_of(line.line, known), []).append(line)
    whole = {key: of for key, of in lines.items() if len(of) == len(one_sided) > 1}
    return {key: made for key, of in whole.items() if (made := _together(of))}


def _together(lines: Sequence[AttackedLine]) -> Variant | None:
    counted, others = ([of.by_replicate for line in lines for of in line.parts[part]] for part in (0, 1))
    seeds = [at for at in counted[0] if all(at in of for of in counted)]
    outcomes = (together([of[at] for of in counted], [of[at] for of in others]) for at in seeds)
    return Variant(tuple(outcomes)) if seeds else None
