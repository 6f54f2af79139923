"""What a stage is told about the run it is part of: its seed, and where to report progress."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from . import distributed

T = TypeVar("T")


class Bar(Protocol):
    """One running progress bar."""

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on; ``figures`` (losses, say) are shown beside the bar."""


class Progress(Protocol):
    """Somewhere to show what is going on."""

    def bar(self, what: str, total: int) -> Any:
        """A context manager that yields a `Bar` of ``total`` steps."""


class Journal(Protocol):
    """Somewhere that remembers what a model has said."""

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        """What ``answer`` returned when it was last asked this; asks it if it never was."""


class Checkpoint(Protocol):
    """Where the state of one training is kept (`unlearnbench.training.checkpoint`)."""

    def due(self) -> bool:
        """Whether the state should be saved now."""

    def save(
        self,
        parameters: Sequence[nn.Parameter],
        optimizer: Any,
        facts: dict[str, Any],
        copies: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Save it, with tensors that the training keeps beside."""

    def load(
        self, parameters: Sequence[nn.Parameter], optimizer: Any
    ) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Put back what was saved and return its facts and the tensors beside; None if there is nothing."""


class Checkpoints(Protocol):
    """Where a stage's trainings are kept, so that one that is interrupted goes on."""

    def training(self, what: str) -> Checkpoint:
        """That of the stage's next training."""


class NoCheckpoints:
    """Keeps nothing."""

    def training(self, what: str) -> Checkpoint:
        """A checkpoint that is never due."""
        return self

    def due(self) -> bool:
        """Never."""
        return False

    def save(
        self,
        parameters: Sequence[nn.Parameter],
        optimizer: Any,
        facts: dict[str, Any],
        copies: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Do nothing."""

    def load(
        self, parameters: Sequence[nn.Parameter], optimizer: Any
    ) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Find nothing."""
        return None


class Forgetful:
    """Remembers nothing."""

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        """Ask."""
        return answer()


@dataclass(frozen=True)
class Marked:
    """A journal in which the same questions are other ones than in ``journal``: they are asked in another state."""

    journal: Journal
    mark: str

    def once(self, question: object, answer: Callable[[], Any]) -> Any:
        """As of ``journal``."""
        return self.journal.once([self.mark, question], answer)


class Silent:
    """Shows nothing."""

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """A bar that nobody sees."""
        yield self

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Unseen:
    """What a model loses on the true answers about people it never saw: nats per token, and what that rests on."""

    loss: float
    people: int
    questions: int


@dataclass
class Run:
    """A stage's surroundings.

    ``seed`` drives everything random in the stage; ``cost`` collects what the row reports: a training adds its
    seconds, its seconds per epoch and what an epoch is, its samples per second and the examples that it saw of each
    set, which ``set_of`` gives by a sample's id; ``notes`` what else a reader of the row should know, kept as JSON:
    tensors and arrays become numbers. ``unseen`` tells what the starting model loses on people it never saw, from at
    most so many of their questions.
    ``journal`` remembers answers of the model that is evaluated, ``checkpoints`` the state of trainings.
    """

    seed: int = 0
    progress: Progress = field(default_factory=Silent)
    cost: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    journal: Journal = field(default_factory=Forgetful)
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    set_of: Mapping[str, str] = field(default_factory=dict)
    unseen: Callable[[int], Unseen | None] = lambda most: None

    def generator(self) -> torch.Generator:
        """A fresh generator at the run's seed: the same numbers on every call."""
        return torch.Generator().manual_seed(self.seed)

    def in_parts(
        self,
        what: str,
        items: Sequence[T],
        size: int,
        named: Callable[[T], object],
        answer: Callable[[Sequence[T]], list[Any]],
    ) -> list[Any]:
        """What ``answer``, which is given so many of ``items`` at a time, says of each, in JSON's types.

        Processes share out the parts, and the journal remembers them by what each item is ``named``, in such types too:
        what is killed loses a part.
        """
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        mine = []
        with self.progress.bar(what, len(items)) as bar:
            for part in distributed.shared_out(parts):
                mine.append(self.journal.once([named(each) for each in part], partial(answer, part)))
                bar.advance(len(part) * distributed.processes())
        found: list[list[Any]] = [[]] * len(parts)
        told = distributed.gathered(mine)
        for place, own in enumerate(told):
            found[place :: len(told)] = own
        return [said for part in found for said in part]
