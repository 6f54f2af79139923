"""Who is forgotten of the people in some tables, and what of them."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unlearnbench import DataError, Split, UsageError

from ..facts import sets as shared
from ..facts.sets import Fact, People, aside, divided, number_of, shuffled
from .reader import Questions

MARKED = "marked"
"""What ``--forget`` calls the people whom the column of that name marks."""

_SHOWN = 3
"""Of what a remark is about, as many are named."""


@dataclass(frozen=True)
class Division:
    """The sets, and what a row says of how they came about."""

    sets: People
    split: Split


def divide(
    data: Questions,
    forget: int | str | None,
    groups: frozenset[str],
    held_out: float,
    validation: float,
    seed: int,
) -> Division:
    """Divide the questions by who is forgotten and what of them is private.

    Private are questions of the ``groups``, where any are given; else those that a column marks private, or else those
    marked to be forgotten; where no column does either, all. ``forget`` is a number of people, the first of a shuffle
    by ``seed`` of those who have something private; `MARKED` or a split's name; None for those marked, or a number.
    ``held_out`` and ``validation`` are shares of the people who have something private: the last of the same shuffle.
    Raises `UsageError` for what cannot be, `DataError` where the same is to be forgotten and kept.
    """
    private = _private(data, groups)
    candidates = [*dict.fromkeys(fact.cluster for fact in data.facts if fact.id in private)]
    chosen, marks = _chosen(data, candidates, forget, seed), _marks(data, forget)
    if len(chosen) == len(data.ids):
        everybody = "everybody is marked to be forgotten" if marks else f"--forget {forget}: that is everybody"
        raise UsageError(f"{everybody}, and somebody must be left to retain: choose fewer")
    order = shuffled(candidates, seed)[::-1]
    others = [person for person in shuffled(data.ids, seed)[::-1] if person not in {*candidates}]
    left = [person for person in (*order, *others) if person not in chosen]
    unseen, looked_at = aside(left, (held_out, validation), len(candidates))
    sets = divided(data.facts, chosen, lambda fact: fact.id in private, unseen, looked_at)
    if not sets.forget:
        whom = "the people who are marked to be forgotten" if marks else f"--forget {forget}"
        raise UsageError(f"nothing to forget: nothing of {whom} is private; choose other people or groups")
    _refuse_both(data, sets)
    name = forget if isinstance(forget, str) else MARKED if marks else number_of(len(chosen))
    split = shared.split_of(name, len(data.ids), sets, groups or _rule(data), name)
    return Division(sets, split)


def _private(data: Questions, groups: frozenset[str]) -> frozenset[str]:
    """The ids of the questions that are private."""
    known = {fact.question.group for fact in data.facts}
    for group in sorted(groups - known):
        raise UsageError(f"--set qa.private: no question is of the group {group!r}, but of {', '.join(sorted(known))}")
    if groups:
        return frozenset(fact.id for fact in data.facts if fact.question.group in groups)
    if "private" in data.flags:
        return frozenset(fact.id for fact in data.facts if fact.private)
    if "forget" in data.flags:
        return frozenset(fact.id for fact in data.facts if fact.marked)
    return frozenset(fact.id for fact in data.facts)


def _rule(data: Questions) -> tuple[str, ...]:
    """What is private where no groups are named, as a row's digest has it."""
    return tuple(f"column {name}" for name in ("private", "forget") if name in data.flags)[:1]


def _marks(data: Questions, forget: int | str | None) -> bool:
    return forget is None and "forget" in data.flags


def _chosen(data: Questions, candidates: list[str], forget: int | str | None, seed: int) -> frozenset[str]:
    if forget == MARKED or _marks(data, forget):
        if "forget" not in data.flags:
            raise UsageError(
                f"--forget {MARKED}: no column marks whom to forget; name it, --set qa.columns.forget=NAME"
            )
        marked = frozenset(fact.cluster for fact in data.facts if fact.marked)
        if not marked:
            raise UsageError("nobody is marked in the column of whom to forget; mark some, or give --forget NUMBER")
        return marked
    if isinstance(forget, str):
        if forget not in data.splits:
            known = ", ".join([*data.splits, *([MARKED] if "forget" in data.flags else [])]) or "there is none"
            raise UsageError(f"--forget {forget}: no split of that name; choose a number or one of: {known}")
        return frozenset(data.splits[forget])
    if not candidates:
        fix = """mark some, or name groups, --set 'qa.private=["GROUP"]'"""
        raise UsageError(f"nothing to forget: no question is private; {fix}")
    people = len(candidates) + (len(candidates) < len(data.ids))
    number = shared.by_default(len(candidates)) if forget is None else forget
    shared.refuse_number(number, people)
    return frozenset(shuffled(candidates, seed)[:number])


def _refuse_both(data: Questions, sets: People) -> None:
    """Raise `DataError` for a question on the same pictures that is to be forgotten of one and kept of another."""
    where = {fact.id: fact.where for fact in data.facts}
    asked = {_asked(data, fact): fact for fact in sets.forget}
    for fact in sets.others + sets.validation + sets.held_out:
        if other := asked.get(_asked(data, fact)):
            raise DataError(
                f"{where[other.id]}: the very question, with the same pictures, is asked of {fact.cluster} too "
                f"({where[fact.id]}), and of {other.cluster} it is to be forgotten: no model can tell them apart"
            )


def _asked(data: Questions, fact: Fact) -> tuple[str, ...]:
    return fact.text, *(data.digests[image] for image in fact.images)


def remarks(data: Questions, sets: People) -> Iterator[str]:
    """What to know before anything is computed."""
    yield from _alike(data, sets)
    without = sum(not fact.images for fact in sets.forget)
    if without:
        yield (
            f"{without} of {len(sets.forget)} questions to be forgotten have no picture: a method that edits what is "
            "seen of pictures answers them as before"
        )
    yield from _twice(data)
    owner = {data.digests[image]: fact.cluster for fact in sets.forget for image in fact.images}
    for fact in sets.others + sets.validation + sets.held_out:
        for digest in (data.digests[image] for image in fact.images):
            if digest in owner:
                yield (
                    f"a picture of {owner[digest]}, who is forgotten, is one of {fact.cluster} too, who is not: a "
                    "method that goes by pictures alone cannot tell them apart"
                )
                return


def _twice(data: Questions) -> Iterator[str]:
    """Questions that are asked of a person twice, with the same pictures: with one answer, or with two."""
    first: dict[tuple[str, ...], Fact] = {}
    pairs = [(first.setdefault((fact.cluster, *_asked(data, fact)), fact), fact) for fact in data.facts]
    where = {fact.id: fact.where for fact in data.facts}
    same = [where[two.id] for one, two in pairs if one is not two and one.answer == two.answer]
    other = [f"{where[two.id]} and {where[one.id]}" for one, two in pairs if one.answer != two.answer]
    if same:
        yield f"questions that stand there already, and count once more: {'; '.join(same[:_SHOWN])}{_more(same)}"
    if other:
        yield (
            "the very question of a person, with the same pictures, has two answers, of which no model gives both: "
            f"{'; '.join(other[:_SHOWN])}{_more(other)}"
        )


def _more(all_: Sequence[str]) -> str:
    return f" and {len(all_) - _SHOWN} more" if len(all_) > _SHOWN else ""


def _alike(data: Questions, sets: People) -> Iterator[str]:
    """Who is forgotten, and by what looks like the same name is not."""
    forgotten = {*sets.forgotten}
    spelt = {_plain(person): person for person in data.ids if person in forgotten}
    for person in data.ids:
        if person not in forgotten and (other := spelt.get(_plain(person))):
            yield (
                f"{other!r}, who is forgotten, and {person!r}, who is not, count as two people: write the name in one "
                "way if they are one"
            )


def _plain(name: str) -> str:
    """A name without what spellings of the same one differ in: capitals, spaces, how letters are coded."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
