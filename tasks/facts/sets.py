"""Questions about people, and the forget, non-private and other sets that they are divided into."""

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from unlearnbench import Sample, Sets, Split, UsageError
from unlearnbench.contracts.sample import clusters

ToldBy = Literal["data", "wording", "rule"]
"""How a question's group is known: given beside it, by a wording of FIUBench's, or guessed by a rule."""

HELD_OUT = 0.1
"""Share of the people that no method sees unless a task says otherwise."""

VALIDATION = 0.1
"""Share of the people that methods may look at to stop in time, unless a task says otherwise."""


@dataclass(frozen=True)
class Question:
    """A question about somebody; ``index`` is its place, from 0, among the person's questions.

    ``attribute`` is what it asks for, in whatever words; by default that is the question itself.
    """

    index: int
    question: str
    answer: str
    keywords: tuple[str, ...]
    group: str
    paraphrased_questions: tuple[str, ...] = ()
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()
    told_by: ToldBy = "wording"
    attribute: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attribute", self.attribute or self.question)


@dataclass(frozen=True)
class Fact(Sample):
    """One question on the pictures that it is about; ``question`` is all that the data have of it.

    Its tags are the question's group and, where the data tell one, what it asks for in whatever words.
    """

    question: Question = field(kw_only=True)

    @property
    def image(self) -> Path:
        """The first of its pictures."""
        return self.images[0]

    @property
    def attribute(self) -> str:
        """As the data name it."""
        return self.question.attribute

    @property
    def keywords(self) -> tuple[str, ...]:
        """As the data name them, where they do."""
        return self.question.keywords or super().keywords

    @property
    def choices(self) -> tuple[str, ...]:
        """The answer in other words, and false answers in the same."""
        true, false = self.question.paraphrased_answer, self.question.perturbed_answers
        return (true, *false) if true and false else ()

    @property
    def rewordings(self) -> tuple[str, ...]:
        """As the data have them."""
        return self.question.paraphrased_questions


@dataclass(frozen=True)
class People(Sets):
    """The sets when private facts of the people ``forgotten`` are to be forgotten (arXiv 2510.07567)."""

    forget: tuple[Fact, ...] = ()
    nonprivate: tuple[Fact, ...] = ()
    others: tuple[Fact, ...] = ()
    validation: tuple[Fact, ...] = ()
    held_out: tuple[Fact, ...] = ()
    strangers: tuple[Fact, ...] = ()
    acquaintances: tuple[Fact, ...] = ()

    @property
    def in_order(self) -> tuple[Fact, ...]:
        """Everybody's questions in an order that does not depend on who is forgotten."""
        everybody = self.forget + self.nonprivate + self.others + self.validation + self.held_out
        return tuple(sorted(everybody, key=lambda fact: (fact.cluster, fact.question.index)))


def divided(
    facts: Iterable[Fact],
    chosen: Collection[str],
    private: Callable[[Fact], bool],
    held_out: Collection[str] = (),
    validation: Collection[str] = (),
    *,
    strangers: tuple[Fact, ...] = (),
    acquaintances: tuple[Fact, ...] = (),
) -> People:
    """The sets, when what is ``private`` of the people ``chosen`` is to be forgotten; facts keep their order.

    ``held_out`` and ``validation`` are further people, and whoever is of none of these is retained.
    """
    of: dict[str, None] = {}
    parts = defaultdict[str, list[Fact]](list)
    for fact in facts:
        if fact.cluster in chosen:
            parts["forget" if private(fact) else "nonprivate"].append(fact)
        elif fact.cluster in held_out:
            parts["held_out"].append(fact)
        else:
            parts["validation" if fact.cluster in validation else "others"].append(fact)
        of[fact.cluster] = None
    return People(
        forget=tuple(parts["forget"]),
        nonprivate=tuple(parts["nonprivate"]),
        others=tuple(parts["others"]),
        forgotten=tuple(person for person in of if person in chosen),
        validation=tuple(parts["validation"]),
        held_out=tuple(parts["held_out"]),
        strangers=strangers,
        acquaintances=acquaintances,
    )


def by_default(people: int) -> int:
    """How many of so many people are forgotten where nobody says it."""
    return max(1, min(max(4, people * 2 // 15), people - 1))


def refuse_number(number: int, people: int) -> None:
    """Raise `UsageError` unless so many of the ``people`` can be forgotten."""
    if people == 1:
        raise UsageError("the data has one identity, and somebody must be left to retain: give data of several")
    if not 1 <= number < people:
        raise UsageError(
            f"--forget {number}: the data has {people} identities, and somebody must be left to retain; "
            f"choose a number from 1 to {people - 1}"
        )


def aside(order: Iterable[str], shares: Iterable[float], people: int) -> Iterator[frozenset[str]]:
    """Who is kept apart for each of the ``shares`` of all ``people``, at least one each.

    They are taken from the ``order`` of those who are not forgotten, one after the other, as long as somebody is left
    to retain.
    """
    left = [*order]
    for share in shares:
        wanted = max(1, round(share * people)) if share else 0
        apart = left[: max(0, min(wanted, len(left) - 1))]
        yield frozenset(apart)
        left = left[len(apart) :]


def shuffled(ids: Sequence[str], seed: int) -> list[str]:
    """The ids in an order that is always the same for a seed: the first are forgotten, the last are kept apart."""
    order = [*ids]
    random.Random(f"forget {seed}").shuffle(order)
    return order


def number_of(people: int) -> str:
    """So many people in words."""
    return "1 person" if people == 1 else f"{people} people"


def split_of(name: str, of: int, sets: Sets, private: Iterable[str], drawn: str | None) -> Split:
    """How a row names the division of ``of`` people into ``sets``; ``drawn`` as of `Split.made`."""
    return Split.made(
        name,
        of=of,
        forget=sets.forgotten,
        validation=clusters(sets.validation),
        held_out=clusters(sets.held_out),
        private=map(str, private),
        drawn=drawn,
    )
