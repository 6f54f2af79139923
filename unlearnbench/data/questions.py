"""Identities and their questions, and the forget, non-private and retain sets that they are divided into."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from .taxonomy import Group

Variant = Literal["github", "hf", "custom"]
"""Which ``split.json`` a dataset has: one of the two that FIUBench published, or another."""


HELD_OUT = 0.1
"""Share of the identities that is held out unless a task says otherwise."""


@dataclass(frozen=True)
class Question:
    """A question about the person in a picture; ``index`` is its place (0-19) among the person's questions."""

    index: int
    question: str
    answer: str
    keywords: tuple[str, ...]
    group: Group
    paraphrased_questions: tuple[str, ...] = ()
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """A fictitious person: one picture, and the questions asked about it."""

    unique_id: str
    name: str
    image: Path
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Dataset:
    """Everything in a folder of identities; ``strangers`` are further people, of whom no model ever learns anything.

    ``splits`` maps a name to unique ids; ``fingerprint`` is the SHA-256 (hex) of the files' content, pictures included.
    """

    identities: tuple[Identity, ...]
    splits: dict[str, tuple[str, ...]]
    variant: Variant
    fingerprint: str
    root: Path
    strangers: tuple[Identity, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One question on one picture."""

    id: str
    unique_id: str
    image: Path
    question: Question

    @property
    def text(self) -> str:
        """The question in its original wording."""
        return self.question.question

    @property
    def answer(self) -> str:
        """The true answer."""
        return self.question.answer


@dataclass(frozen=True)
class Sets:
    """The parts of a dataset when ``forget_ids`` ask for their private facts to be forgotten (arXiv 2510.07567).

    ``forget`` are their private questions, ``nonprivate`` their others, on the same pictures; ``others`` are all
    questions about everybody else but the ``held_out``: people whom the base model knows like the others, but on whom
    no method trains and no score rests, so that training may look at them to decide when to stop. ``strangers`` are
    people whom no model ever learns of: not the base, not the retrained model, no method.
    """

    forget: tuple[Sample, ...]
    nonprivate: tuple[Sample, ...]
    others: tuple[Sample, ...]
    forget_ids: tuple[str, ...]
    held_out: tuple[Sample, ...] = ()
    strangers: tuple[Sample, ...] = ()

    @property
    def retain(self) -> tuple[Sample, ...]:
        """The retain set: non-private questions of the forgotten, and everything about the others."""
        return self.nonprivate + self.others

    @property
    def all(self) -> tuple[Sample, ...]:
        """Every sample that the base learns, each once."""
        return self.forget + self.retain + self.held_out

    @property
    def set_of(self) -> dict[str, str]:
        """The set that each sample which the base learns is of, by the sample's id."""
        named = {
            "forget": self.forget,
            "nonprivate": self.nonprivate,
            "others": self.others,
            "held_out": self.held_out,
        }
        return {sample.id: name for name, samples in named.items() for sample in samples}

    @property
    def in_order(self) -> tuple[Sample, ...]:
        """`all` in an order that does not depend on who is forgotten."""
        return tuple(sorted(self.all, key=lambda sample: (sample.unique_id, sample.question.index)))


def split_sets(
    dataset: Dataset, forget: int | str | None, private: frozenset[Group], held_out: float = HELD_OUT
) -> Sets:
    """Divide ``dataset`` by who is forgotten and which groups of questions are private.

    ``forget`` is a number of identities (the first of a fixed shuffle, so that smaller sets lie within larger ones),
    the name of a split, or None for a tenth of the identities and at least four. ``held_out`` is the share of all
    identities, at least one, that is held out: the last of the same shuffle, so that they are the same people for every
    ``forget``; fewer or nobody where else nobody would be left to retain. Samples keep the dataset's order. Raises
    `UsageError` where nobody would be left to retain, or nothing to forget.
    """
    if isinstance(forget, str):
        chosen = _named(dataset, forget)
    else:
        chosen = _drawn(dataset, max(4, len(dataset.identities) // 10) if forget is None else forget)
    aside = _held_out(dataset, chosen, held_out)
    forgotten = [identity for identity in dataset.identities if identity.unique_id in chosen]
    asked = samples(forgotten)
    sets = Sets(
        forget=tuple(sample for sample in asked if sample.question.group in private),
        nonprivate=tuple(sample for sample in asked if sample.question.group not in private),
        others=samples(identity for identity in dataset.identities if identity.unique_id not in chosen | aside),
        forget_ids=tuple(identity.unique_id for identity in forgotten),
        held_out=samples(identity for identity in dataset.identities if identity.unique_id in aside),
        strangers=samples(dataset.strangers),
    )
    if not sets.forget:
        groups = ", ".join(sorted(private)) or "none"
        raise UsageError(
            f"nothing to forget: the {len(chosen)} identities of --forget {forget} have no question of the private "
            f"groups ({groups}); choose other identities or other private groups"
        )
    return sets


def samples(identities: Iterable[Identity]) -> tuple[Sample, ...]:
    """Every question of ``identities``, in order."""
    return tuple(
        Sample(f"{identity.unique_id}/{question.index}", identity.unique_id, identity.image, question)
        for identity in identities
        for question in identity.questions
    )


def _drawn(dataset: Dataset, number: int) -> frozenset[str]:
    ids = [identity.unique_id for identity in dataset.identities]
    if not 1 <= number < len(ids):
        raise UsageError(
            f"--forget {number}: the data has {len(ids)} identities, and somebody must be left to retain; "
            f"choose a number from 1 to {len(ids) - 1}"
        )
    return frozenset(_shuffled(dataset)[:number])


def _held_out(dataset: Dataset, forgotten: frozenset[str], share: float) -> frozenset[str]:
    left = [unique_id for unique_id in _shuffled(dataset) if unique_id not in forgotten]
    wanted = max(1, round(share * len(dataset.identities))) if share else 0
    number = min(wanted, len(left) - 1)
    return frozenset(left[len(left) - number :])


def _shuffled(dataset: Dataset) -> list[str]:
    """The identities in an order that is always the same."""
    ids = [identity.unique_id for identity in dataset.identities]
    random.Random(0).shuffle(ids)
    return ids


def _named(dataset: Dataset, name: str) -> frozenset[str]:
    if name not in dataset.splits:
        known = ", ".join(dataset.splits) or "it has none"
        raise UsageError(f"--forget {name}: split.json has no split of that name; choose a number or one of: {known}")
    chosen = frozenset(dataset.splits[name])
    if len(chosen) == len(dataset.identities):
        raise UsageError(
            f"--forget {name}: this split holds all {len(chosen)} identities, and somebody must be left to retain; "
            "choose a smaller split or a number"
        )
    return chosen
