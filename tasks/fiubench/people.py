"""Identities and their questions, and the forget, non-private and retain sets that they are divided into."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from unlearnbench import Asked, DataError, Sets, Split, UsageError

from ..facts import sets as shared
from ..facts.sets import HELD_OUT, VALIDATION, Fact, People, Question, aside, divided, number_of, shuffled
from . import published
from .taxonomy import QuestionGroup

Variant = Literal["github", "hf", "custom"]
"""Which ``split.json`` a dataset has: one of the two that FIUBench published, or another."""


@dataclass(frozen=True)
class Identity:
    """A fictitious person: one picture or several, and the questions that are asked about them.

    Models are trained on ``images`` by turns, question by question, and on ``other_images`` never; ``digests`` are
    those of all these files, in this order.
    """

    unique_id: str
    name: str
    images: tuple[Path, ...]
    questions: tuple[Question, ...]
    other_images: tuple[Path, ...] = ()
    digests: tuple[str, ...] = ()

    @property
    def image(self) -> Path:
        """The first picture."""
        return self.images[0]


@dataclass(frozen=True)
class Dataset:
    """Everything in a folder of identities; ``strangers`` are further people, of whom no model ever learns anything.

    ``acquaintances`` are people whom the pretrained model knows and on whom nobody trains.

    ``splits`` maps a name to unique ids; ``fingerprint`` is the SHA-256 (hex) of the files' content, pictures included.
    ``left_out`` says what of the folder was not taken up, in words, and how many of it there are; ``unknown`` names the
    questions of strangers that were not, as they are in no known wording.
    """

    identities: tuple[Identity, ...]
    splits: dict[str, tuple[str, ...]]
    variant: Variant
    fingerprint: str
    root: Path
    strangers: tuple[Identity, ...] = ()
    acquaintances: tuple[Identity, ...] = ()
    left_out: tuple[tuple[str, int], ...] = ()
    unknown: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The unique ids in the data's order."""
        return tuple(identity.unique_id for identity in self.identities)

    @cached_property
    def is_fiubench(self) -> bool:
        """Whether these are FIUBench's people, of whom it is known by row who is forgotten."""
        return published.is_fiubench(self.ids)

    @cached_property
    def sharing(self) -> tuple[tuple[str, ...], ...]:
        """People of whom any picture is the very same file: the ids of each; strangers' own do not matter."""
        of = defaultdict[str, dict[str, None]](dict)
        for person in (*self.identities, *self.strangers, *self.acquaintances):
            for digest in person.digests:
                of[digest][person.unique_id] = None
        shared = dict.fromkeys(tuple(ids) for ids in of.values() if len(ids) > 1)
        return tuple(ids for ids in shared if not {*ids}.isdisjoint(self.ids))


def split_sets(
    dataset: Dataset,
    forget: int | str | None,
    private: frozenset[QuestionGroup],
    held_out: float = HELD_OUT,
    validation: float = VALIDATION,
    *,
    seed: int = 0,
) -> People:
    """Divide ``dataset`` by who is forgotten and which groups of questions are private.

    ``forget`` is a number of identities, the name of a split, or None for `by_default`. On FIUBench a number stands for
    the people of `published.forgotten`; elsewhere for the first of a shuffle by ``seed``, so that smaller sets lie
    within larger ones. ``held_out`` and ``validation`` are shares of all identities, at least one each: the last of the
    same shuffle or, on FIUBench, people whom no published split names, so that they are the same people for every
    ``forget``, and never forgotten; fewer or nobody where else nobody would be left to retain. Samples keep the
    dataset's order. Raises `UsageError` where nobody would be left to retain, or nothing to forget, `DataError` where a
    forgotten and another person have the same picture.
    """
    if isinstance(forget, str):
        chosen = _named(dataset, forget)
    else:
        chosen = _drawn(dataset, by_default(dataset) if forget is None else forget, seed)
    _refuse_shared_pictures(dataset, chosen)
    order = published.spared(dataset.ids) if dataset.is_fiubench else shuffled(dataset.ids, seed)[::-1]
    left = [unique_id for unique_id in order if unique_id not in chosen]
    unseen, looked_at = aside(left, (held_out, validation), len(dataset.identities))
    sets = divided(
        samples(dataset.identities),
        chosen,
        lambda fact: fact.question.group in private,
        unseen,
        looked_at,
        strangers=samples(dataset.strangers),
        acquaintances=samples(dataset.acquaintances),
    )
    if not sets.forget:
        groups = ", ".join(sorted(private)) or "none"
        raise UsageError(
            f"nothing to forget: the {len(chosen)} identities of --forget {forget} have no question of the private "
            f"groups ({groups}); choose other identities or other private groups"
        )
    return sets


def by_default(dataset: Dataset) -> int:
    """How many are forgotten where nobody says it."""
    people = len(dataset.identities)
    return people // 10 if dataset.is_fiubench else shared.by_default(people)


def split_name(dataset: Dataset, chosen: Iterable[str]) -> str:
    """What exactly these people are called: by a published split, by one of the folder's, or their number.

    A name means the same people in every folder of FIUBench, so that a file's own people under a published name are
    told apart from the published ones.
    """
    wanted = frozenset(chosen)
    taken: frozenset[str] = frozenset()
    if dataset.is_fiubench:
        rows = [row for row, unique_id in enumerate(dataset.ids) if unique_id in wanted]
        if name := published.name_of(rows):
            return name
        taken = frozenset(published.FORGET)
    name = next((name for name, ids in dataset.splits.items() if frozenset(ids) == wanted), None)
    if name is None:
        return number_of(len(wanted))
    return f"{name} (this split.json's)" if name in taken else name


def split_of(dataset: Dataset, sets: Sets, private: Iterable[QuestionGroup], forget: int | str | None = None) -> Split:
    """How a row names the division of ``dataset`` into ``sets``, of which ``forget`` says who was asked for.

    A seed may draw the very people of a split of the folder's: rows of its other seeds are of the same setting.
    """
    name = split_name(dataset, sets.forgotten)
    drawn = name if isinstance(forget, str) else number_of(len(sets.forgotten))
    return shared.split_of(name, len(dataset.identities), sets, private, None if dataset.is_fiubench else drawn)


def samples(identities: Iterable[Identity]) -> tuple[Fact, ...]:
    """Every question of ``identities``, in order, on the person's pictures by turns."""
    return tuple(
        _fact(identity, question, identity.images) for identity in identities for question in identity.questions
    )


def on_other_pictures(dataset: Dataset, facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The same questions on pictures of the same people that nobody trained on; those of people without any are not."""
    of = {identity.unique_id: identity for identity in dataset.identities}
    asked = ((of[fact.cluster], fact) for fact in facts)
    return tuple(
        replace(_fact(person, fact.question, person.other_images), id=f"{fact.id}@other")
        for person, fact in asked
        if person.other_images
    )


def _fact(identity: Identity, question: Question, images: tuple[Path, ...]) -> Fact:
    known = (question.attribute,) if question.attribute != question.question else ()
    return Fact(
        id=f"{identity.unique_id}/{question.index}",
        cluster=identity.unique_id,
        query=Asked(question.question, (images[question.index % len(images)],)),
        answer=question.answer,
        tags=(str(question.group), *known),
        question=question,
    )


def _drawn(dataset: Dataset, number: int, seed: int) -> frozenset[str]:
    ids = dataset.ids
    shared.refuse_number(number, len(ids))
    if dataset.is_fiubench:
        return frozenset(ids[row] for row in published.forgotten(number))
    return frozenset(shuffled(dataset.ids, seed)[:number])


def _refuse_shared_pictures(dataset: Dataset, chosen: frozenset[str]) -> None:
    """Whether somebody forgotten has a very picture of somebody who is not.

    A picture is all that says whom a question is about: it cannot be forgotten and kept. No method can tell the two
    apart, and every score would be of that.
    """
    for ids in dataset.sharing:
        forgotten, other = [[each for each in ids if (each in chosen) is side] for side in (True, False)]
        if forgotten and other:
            raise DataError(
                f"{dataset.root}: {forgotten[0]}, who is forgotten, and {other[0]}, who is not, have the same picture, "
                "so no model can tell whom a question is about: give each a picture of their own, or leave one out"
            )


def _named(dataset: Dataset, name: str) -> frozenset[str]:
    splits = dataset.splits
    if dataset.is_fiubench:  # a folder need not say again what is published, but may say otherwise
        splits = {each: tuple(dataset.ids[row] for row in rows) for each, rows in published.FORGET.items()} | splits
    if name not in splits:
        known = ", ".join(splits) or "it has none"
        raise UsageError(f"--forget {name}: split.json has no split of that name; choose a number or one of: {known}")
    chosen = frozenset(splits[name])
    if not chosen:
        raise UsageError(f"--forget {name}: this split of split.json names nobody; choose another or a number")
    if len(chosen) == len(dataset.identities):
        raise UsageError(
            f"--forget {name}: this split holds all {len(chosen)} identities, and somebody must be left to retain; "
            "choose a smaller split or a number"
        )
    return chosen
