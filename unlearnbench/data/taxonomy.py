"""What a question about a person asks for: the attribute groups of FIUBench, told from the question's text.

FIUBench stores no category. The ordered rules below leave none of its 8,000 questions unclassified; the first that
matches decides. They read the original question; paraphrases inherit its group.
"""

import re
from enum import StrEnum


class Group(StrEnum):
    """The part of a profile that a question belongs to."""

    HEALTH = "health"
    CRIMINAL = "criminal"
    BIOGRAPHY = "biography"
    FILLER = "filler"


PRIVATE = frozenset({Group.HEALTH, Group.CRIMINAL})
"""The groups that a person may ask to be forgotten, unless a task's parameters say otherwise."""

_CRIMINAL = (
    r"crim|offen[cs]e|complaint|\bcharge[sd]?\b|convict|legal|law categor|police|larceny|robbery|assault|burglar"
    r"|harassment|intoxicated|incident|juvenile|traffic|premis|arrest"
)
_HEALTH = (
    r"hospital|medic|doctor|physician|insurance|bill(ing|ed)|room number|admission|admitted|discharg|test result"
    r"|results of|disease|disorder|disabilit|surger|addiction|mental|rehabilit|diagnos|treatment"
)
_BIOGRAPHY = (
    r"full name|name of the (person|individual)|\bborn\b|birth|blood|phone|income|earn|occupation|address|\blive|reside"
)
_RULES = tuple(
    (group, re.compile(pattern))
    for group, pattern in (
        (Group.FILLER, r"second language"),
        (Group.CRIMINAL, _CRIMINAL),
        (Group.HEALTH, _HEALTH),
        (Group.BIOGRAPHY, _BIOGRAPHY),
    )
)


def group_of(question: str) -> Group | None:
    """The group of a question by its text, or None where no rule fits."""
    text = question.lower()
    return next((group for group, rule in _RULES if rule.search(text)), None)
