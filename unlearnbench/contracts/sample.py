"""What is learned and asked: queries, samples, and the sets that a task divides its samples into."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import UsageError


class Query(Protocol):
    """Whatever can be asked: a text, and any number of pictures that it is about, none included."""

    @property
    def text(self) -> str:
        """The question."""

    @property
    def images(self) -> tuple[Path, ...]:
        """The files of its pictures, in the order in which the prompt shows them."""


@dataclass(frozen=True)
class Asked:
    """A text and its pictures: the plainest `Query`.

    ``begun`` is what the answer is made to begin with, as whoever writes the whole prompt can: the model goes on from
    there, and what it says is only the rest.
    """

    text: str
    images: tuple[Path, ...] = ()
    begun: str = ""


def begun(query: Query) -> str:
    """What the answer to a query is made to begin with: nothing, of any query that does not say it."""
    text: str = getattr(query, "begun", "")
    return text


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn: by the model's probabilities at ``temperature``, from the likeliest tokens alone.

    These are the fewest that hold ``top_p`` of the probability. Every query has draws of its own, which follow from
    ``seed``, its text and its pictures' names: a query is answered alike in whatever batch it is asked, and several
    answers to it need several seeds. Raises `UsageError` for a temperature or a share out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"temperature {self.temperature} cannot be sampled at; give a number above zero, or none")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p {self.top_p} is no share; give a number above zero and up to one")


@dataclass(frozen=True)
class Sample:
    """A query and its true answer.

    ``cluster`` names what its questions are not independent of, a person for instance: intervals resample clusters.
    ``tags`` say of what kind it is, in the benchmark's own words. What else a benchmark knows of a sample is its own:
    subclasses have further fields. A sample is a `Query` itself.
    """

    id: str
    cluster: str
    query: Query
    answer: str
    tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The question."""
        return self.query.text

    @property
    def images(self) -> tuple[Path, ...]:
        """The pictures that it is about."""
        return self.query.images

    @property
    def attribute(self) -> str:
        """What it asks for, in whatever words: by default the question itself."""
        return self.text

    @property
    def keywords(self) -> tuple[str, ...]:
        """What of the answer tells it: by default all of it."""
        return (self.answer,)

    @property
    def choices(self) -> tuple[str, ...]:
        """Answers to choose from, in words of one kind, the true one first: by default none."""
        return ()

    @property
    def rewordings(self) -> tuple[str, ...]:
        """The same question in other words: by default none."""
        return ()


FEW = 15
"""Up to so many strangers are too few to be divided."""

LEARNED = ("forget", "nonprivate", "others", "validation", "held_out")
"""The sets that the base model learns."""


@dataclass(frozen=True)
class Sets:
    """The samples that models are trained on, divided by what is to be forgotten; a set may be missing, so be empty.

    ``forget`` is to be forgotten. ``nonprivate`` is what else the clusters to be forgotten have; ``others`` are all
    other clusters': these two are what is to be retained. ``validation`` are clusters that the base knows like the
    others, but on whom no method trains and no score rests, so that training may look at them to decide when to stop.
    A task may add sets by names of its own in ``further``: nobody trains on those either, but a method may read them.

    The rest is out of every method's reach: ``held_out`` are clusters that the base knows like the others, bystanders
    by whom it is seen what unlearning does to people on whom it never trained; ``acquaintances`` are clusters that
    the pretrained model knows and nobody trains on, celebrities for instance; of ``strangers`` no model that is
    compared ever learns (one kind does of those that metrics are checked by): some of them tell early stopping what not
    knowing somebody loses (`bounding`), the others are `nonmembers`.

    What a task asks may differ from all of these. ``forgotten`` are the clusters to be forgotten, by default those of
    the forget set.
    """

    forget: tuple[Sample, ...] = ()
    nonprivate: tuple[Sample, ...] = ()
    others: tuple[Sample, ...] = ()
    forgotten: tuple[str, ...] = ()
    validation: tuple[Sample, ...] = ()
    held_out: tuple[Sample, ...] = ()
    strangers: tuple[Sample, ...] = ()
    acquaintances: tuple[Sample, ...] = ()
    further: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.forgotten:
            object.__setattr__(self, "forgotten", clusters(self.forget))

    @property
    def retain(self) -> tuple[Sample, ...]:
        """The retain set: what else is known of the forgotten clusters, and everything about the others."""
        return self.nonprivate + self.others

    @property
    def all(self) -> tuple[Sample, ...]:
        """Every sample that the base learns, each once."""
        return self.forget + self.retain + self.validation + self.held_out

    @property
    def bounding(self) -> tuple[Sample, ...]:
        """The strangers by whose loss a training may stop: every other one, or all where they are `FEW` people."""
        return _of_every_other(self.strangers, first=True)

    @property
    def nonmembers(self) -> tuple[Sample, ...]:
        """The strangers with whom attacks compare the forgotten.

        They are others than the `bounding` ones, on whom a method that stops at their loss was tuned; where strangers
        are `FEW`, the same, since a half of them tells neither what not knowing loses nor who was trained on.
        """
        return _of_every_other(self.strangers, first=False)

    @property
    def set_of(self) -> dict[str, str]:
        """The set that each sample which the base learns is of, by the sample's id."""
        return {sample.id: name for name in LEARNED for sample in getattr(self, name)}

    @property
    def in_order(self) -> tuple[Sample, ...]:
        """`all` in an order that does not depend on what is forgotten: by cluster and id, numbers in it by value."""
        return tuple(sorted(self.all, key=lambda sample: (sample.cluster, _natural(sample.id))))

    @property
    def sizes(self) -> dict[str, int]:
        """How many samples each set has, ``retain`` the non-private ones and the others together."""
        names = ("forget", "nonprivate", "retain", "validation", "held_out", "acquaintances")
        return {name: len(getattr(self, name)) for name in names}

    @property
    def early_stopping(self) -> str:
        """Whose losses a training may look at to stop in time, in words."""
        strangers, validation = len(clusters(self.bounding)), len(clusters(self.validation))
        bounded = f", bounded by what {strangers} strangers lose" if strangers else ""
        if validation:
            return f"looks at the forget set{bounded} and at the validation set ({validation})"
        return (
            f"looks at the forget set alone{bounded}: nobody is in a validation set, so a bound on what those lose "
            "never binds"
        )


def clusters(samples: Iterable[Sample]) -> tuple[str, ...]:
    """What samples belong to, each once, in their order."""
    return tuple(dict.fromkeys(sample.cluster for sample in samples))


def _of_every_other(samples: tuple[Sample, ...], *, first: bool) -> tuple[Sample, ...]:
    """Those of every other cluster, from the first or from the second on; of `FEW` clusters all."""
    people = clusters(samples)
    if len(people) <= FEW:
        return samples
    chosen = {*people[0 if first else 1 :: 2]}
    return tuple(sample for sample in samples if sample.cluster in chosen)


def _natural(text: str) -> tuple[tuple[str, int], ...]:
    """A key by which ``p/10`` comes after ``p/9``: text and number by turns."""
    return tuple((letters, int(digits or 0)) for letters, digits in re.findall(r"(\D*)(\d*)", text))
