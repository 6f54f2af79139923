"""Text that goes round in circles, whatever its language."""

from functools import cache
from typing import TYPE_CHECKING

from ..words import folded

if TYPE_CHECKING:
    from regex import Pattern

_CIRCLES = (
    r"(?P<any>\D{2,40}?)(?P=any){3,}",  # four times anything: "of the of the of the of the"
    r"(?P<part>\p{L}{3,40}?)(?P=part){2,}",  # three times a part of a word: "thethethe"
    r"(?P<half>\p{L}{5,40}?)(?P=half)",  # twice a long one: "lephonelephone"
    r"(?P<letter>\p{L})(?P=letter){4,}",
    r"(?P<digit>\d)(?P=digit){7,}",
    r"(?P<digits>\d{2,4}?)(?P=digits){4,}",
    r"(?P<sign>[^\p{L}\p{M}\p{N}\s._*=#~-])(?P=sign){3,}",  # rules and dots may be drawn
    r"[,;:]\s*[,.;:]",
)

_FEWEST = 6
"""Runs of three words from which on it counts how many of them differ."""
_DIFFERENT = 0.75
"""Share of them that differs at least."""


@cache
def _circles() -> "Pattern[str]":
    import regex

    return regex.compile("|".join(_CIRCLES))


def loops(text: str) -> str | None:
    """How ``text`` goes round in circles, in a few words; None where it does not."""
    plain = folded(text)
    if found := _circles().search(plain):
        return f"repeats {found.group()[:20]!r}"
    said = plain.split()
    named = [word.isalpha() for word in said]
    doubled = [place for place in range(1, len(said)) if named[place] and said[place] == said[place - 1]]
    if len(doubled) > 1:
        return f"repeats the word {said[doubled[0]]!r}"
    threes = [*zip(said, said[1:], said[2:], strict=False)]
    if len(threes) >= _FEWEST and len({*threes}) < _DIFFERENT * len(threes):
        return "repeats its phrases"
    return None
