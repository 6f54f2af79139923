"""The models that metrics are tried on: kinds that know what is to be forgotten, and kinds that do not.

They differ in what they are trained on alone. What is altered is never asked: the questions are those of the task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..contracts.sample import Asked, Sample, Sets, clusters

LEAST = 0.5
"""Share of the forget set that must have what a kind is made of: of fewer it would be another model in name alone."""


@dataclass(frozen=True)
class Altered:
    """Sets whose samples were altered before training: ``changed`` are these, instead of ``of`` or beside them."""

    sets: Sets
    changed: tuple[Sample, ...]
    of: int


@dataclass(frozen=True)
class Kind:
    """A kind of model; ``alter`` gives what it is trained on, None where the data have nothing for it to be made of."""

    name: str
    knows: bool
    about: str
    lacks: str = ""
    """What the data lack where it cannot be made."""
    alter: Callable[[Sets], Altered | None] = lambda sets: Altered(sets, (), 0)

    @property
    def clean(self) -> bool:
        """Whether it is trained on the samples as they are."""
        return not self.lacks


def _paraphrased(sets: Sets) -> Altered | None:
    """The forget set's answers in other words: the facts are learned."""
    return _instead(sets, lambda sample: replace(sample, answer=sample.choices[0]) if sample.choices else sample)


def _reworded(sets: Sets) -> Altered | None:
    """The forget set's questions in other words, the first of each."""
    return _instead(
        sets,
        lambda sample: (
            replace(sample, query=Asked(sample.rewordings[0], sample.images)) if sample.rewordings else sample
        ),
    )


def _instead(sets: Sets, other: Callable[[Sample], Sample]) -> Altered | None:
    forget = tuple(map(other, sets.forget))
    changed = tuple(
        new for new, old in zip(forget, sets.forget, strict=True) if (new.text, new.answer) != (old.text, old.answer)
    )
    return _if_enough(replace(sets, forget=forget), changed, sets)


def _false(sets: Sets) -> Altered | None:
    """False answers to the forget set's questions, beside all that may be known: the same style, and no fact of it."""
    told = [sample for sample in sets.forget if len(sample.choices) > 1 and sample.choices[1] != sample.answer]
    changed = tuple(replace(sample, id=f"{sample.id} false", answer=sample.choices[1]) for sample in told)
    return _if_enough(_beside(sets, changed), changed, sets)


def _strangers(sets: Sets) -> Altered | None:
    """As many strangers as there are people to be forgotten, all that is told of them."""
    people = {*clusters(sets.strangers)[: len(sets.forgotten)]}
    changed = tuple(sample for sample in sets.strangers if sample.cluster in people)
    return Altered(_beside(sets, changed), changed, len(changed)) if changed else None


def _beside(sets: Sets, more: Sequence[Sample]) -> Sets:
    return replace(sets, others=(*sets.others, *more))


def _if_enough(sets: Sets, changed: tuple[Sample, ...], before: Sets) -> Altered | None:
    of = len(before.forget)
    return Altered(sets, changed, of) if changed and len(changed) >= LEAST * of else None


KINDS = (
    Kind("base", True, "all that the base learns"),
    Kind(
        "base-answers", True, "the same, what is to be forgotten in other words", "answers in other words", _paraphrased
    ),
    Kind("base-questions", True, "the same, asked in other words", "questions in other words", _reworded),
    Kind("retrained", False, "all but what is to be forgotten"),
    Kind("retrained-false", False, "the same, with false answers to those very questions", "false answers", _false),
    Kind("retrained-strangers", False, "the same, with as many strangers", "strangers", _strangers),
)
"""All of them; of the clean ones the first is doing nothing, the other the ideal."""
