"""What the training loop takes and gives: losses, batches, rules to stop by, groups of parameters, an outcome."""

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ...errors import PluginError
from .gradients import Parts

T = TypeVar("T")
Loss = Callable[[Any], Parts]
"""From a batch to the parts of its loss, each a mean over the batch's items."""


class Stop(Protocol):
    """What may end a training early."""

    def __call__(self, step: int, /) -> str | None:
        """From the number of steps done to the reason to stop, if there is one."""

    def state(self) -> dict[str, Any]:
        """What it must be given back to go on in another process, as JSON; may be empty."""

    def restore(self, state: dict[str, Any], /) -> None:
        """Go on from what `state` returned."""


def kept(stop: Stop) -> dict[str, Any]:
    """The state of what may stop a training; raises `PluginError` for one that a checkpoint could not hold.

    To be asked before the first step and after it, so that no training ends with its first checkpoint.
    """
    if missing := [name for name in ("state", "restore") if not callable(getattr(stop, name, None))]:
        raise PluginError(
            f"what stops the training, a {type(stop).__name__}, has no {' and no '.join(missing)}, by which an "
            "interrupted training goes on: define both, as unlearnbench.EarlyStopping does"
        )
    state = stop.state()
    try:
        json.dumps(state)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{type(stop).__name__}.state() is not JSON ({error}); return numbers, text, lists") from None
    return state


class Batches(Protocol):
    """What `fit` goes through."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> Iterator[list[Any]]:
        """The batches of one epoch."""


def drawn(
    items: Sequence[T], generator: torch.Generator, together: Callable[[T], Hashable] | None = None, at_a_time: int = 1
) -> list[int]:
    """The places of ``items`` in an order that is drawn.

    Of those that ``together`` gives one value, which is not empty, up to ``at_a_time`` follow each other: they are
    parted at random, as evenly as can be, and the parts are drawn.
    """
    order = torch.randperm(len(items), generator=generator).tolist()
    if together is None or at_a_time == 1:
        return order
    alike: dict[Hashable, list[int]] = {}
    for place in order:
        alike.setdefault(together(items[place]) or (place,), []).append(place)
    parts = [
        own[part :: -(-len(own) // at_a_time)] for own in alike.values() for part in range(-(-len(own) // at_a_time))
    ]
    return [place for part in torch.randperm(len(parts), generator=generator).tolist() for place in parts[part]]


def in_parts(items: Sequence[T], size: int, together: Callable[[T], Hashable] | None = None) -> list[list[T]]:
    """``items`` in their order, in parts of at most ``size``.

    Neighbours to which ``together`` gives one value, which is not empty, are parted only where they are more than that.
    """
    numbered = [*enumerate(items)]
    alike = groupby(numbered, lambda item: (together and together(item[1])) or (item[0],))
    parts: list[list[T]] = [[]]
    for _, some in alike:
        row = [item for _, item in some]
        if together and len(parts[-1]) + len(row) > size >= len(row):
            parts.append([])
        for item in row:
            if len(parts[-1]) == size:
                parts.append([])
            parts[-1].append(item)
    return [part for part in parts if part]


@dataclass(frozen=True)
class Shuffled(Generic[T]):
    """Batches of ``items`` in an order that ``seed`` and the epoch decide; the last batch may be short.

    ``together`` and ``at_a_time`` are as `drawn` takes them: batches with several questions about a picture.
    """

    items: Sequence[T]
    batch_size: int
    seed: int
    together: Callable[[T], Hashable] | None = None
    at_a_time: int = 1

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def epoch(self, number: int) -> Iterator[list[T]]:
        """The batches of one epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = drawn(self.items, generator, self.together, self.at_a_time)
        for start in range(0, len(order), self.batch_size):
            yield [self.items[index] for index in order[start : start + self.batch_size]]


@dataclass(frozen=True)
class Group:
    """Parameters with a peak learning rate, and a largest norm of their gradient, of their own."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    clip_norm: float


@dataclass(frozen=True)
class Outcome:
    """How a training went: seconds, epochs and steps done, the last epoch's mean of every loss part, why it ended."""

    seconds: float
    epochs: int
    steps: int
    losses: dict[str, float]
    stopped: str
    micro_batch_size: int
    resumed_at: list[int] = field(default_factory=list)
    """The steps after which an interrupted training went on."""
    copies: dict[int, list[Tensor]] = field(default_factory=dict)
    """What was trained, as it was after those steps of which it was to be kept; on the CPU."""

    @property
    def note(self) -> dict[str, Any]:
        """What a row says of it."""
        facts: dict[str, Any] = {"epochs": self.epochs, "steps": self.steps, "stopped": self.stopped}
        resumed = {"resumed_at": self.resumed_at} if self.resumed_at else {}
        return facts | {"micro_batch_size": self.micro_batch_size} | self.losses | resumed
