"""Who is forgotten in FIUBench, by where people stand in its data, whatever split.json lies beside them.

Two split.json are in circulation that give different people the same names: the one of FIUBench's repository on
GitHub, which the paper's numbers belong to, and the one beside the data on the hub. Both name rows of ``full.json`` in
order, so a split is a range of row numbers; no file of others is shipped.

FIUBench is recognised by facts of the data alone: all of its 400 people are there, and the ids of the first 156, those
whom the published splits name, are theirs and in that order. Wherever that holds, row numbers mean the same people.
"""

import hashlib
from collections.abc import Sequence
from itertools import chain

PEOPLE = 400
"""FIUBench is the first so many records of its ``full.json``."""

FORGET = {"forget1": range(4), "forget5": range(6, 26), "forget10": range(36, 76)}
"""The forget sets of the paper (the repository's split.json): rows, from 0."""

FORGET_HUB = {"forget1": range(6), "forget5": range(6, 36), "forget10": range(36, 96)}
"""What the hub's split.json calls by the same names."""

RETAIN = range(96, 156)
"""Whom both files keep to measure what is retained (``retain15`` and its part ``retain5``; the hub's ``retain10``)."""

PARAPHRASED = range(160)
"""The people with paraphrased and perturbed variants of their questions."""

_NAMED = RETAIN.stop
_DIGEST = "d68bd9ed678ccb9812a38d75baa691a25c4746998fa44bf42a90fbbb71332e3e"
"""SHA-256 of the first 156 ids, one a line."""


def is_fiubench(ids: Sequence[str]) -> bool:
    """Whether these are the unique ids of FIUBench's people, in its order."""
    return len(ids) == PEOPLE and hashlib.sha256("\n".join(ids[:_NAMED]).encode()).hexdigest() == _DIGEST


def forgotten(number: int) -> tuple[int, ...]:
    """The rows of the people to forget, from 1 to all but one of them.

    4, 20 and 40 are the published forget1, forget5 and forget10; fewer are the first of the next larger one. No
    published split is larger: more are forget10 and forget5 together (60), and then everybody else in the data's order,
    of whom those kept for measuring come after all others with paraphrases, and those without paraphrases last.
    """
    for rows in FORGET.values():
        if number <= len(rows):
            return tuple(rows[:number])
    order = (FORGET["forget10"], FORGET["forget5"], _but_retained(), RETAIN, range(PEOPLE))
    return tuple(dict.fromkeys(chain.from_iterable(order)))[:number]


def _but_retained() -> list[int]:
    return [row for row in PARAPHRASED if row not in RETAIN]


def spared(ids: Sequence[str]) -> list[str]:
    """The ids in the order in which people are held out, the first first, and then kept for validation.

    First those whom no published split names, in the falling order of their ids (the numbers of random pictures), then
    the others from the last row on: so the same people are kept apart whoever is forgotten, unless nearly all are.
    """
    return [*sorted(ids[_NAMED:], reverse=True), *reversed(ids[:_NAMED])]


def name_of(rows: Sequence[int]) -> str | None:
    """What a published file calls exactly these people; the hub's names say that they are the hub's."""
    wanted = sorted(rows)
    for names, whose in ((FORGET, ""), (FORGET_HUB, " (the hub's)")):
        for name, own in names.items():
            if list(own) == wanted:
                return name + whose
    return None
