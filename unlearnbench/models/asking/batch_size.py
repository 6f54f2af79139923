"""How many questions at a time memory holds: found by a first few, halved where it runs out after all."""

import gc
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from ...runtime.memory import PeakMemory, free_memory, held_memory, is_short

S = TypeVar("S")
T = TypeVar("T")

FEW = 16
"""Questions that are asked first."""

MANY = 128
"""Most questions at a time. On two CPU cores tiny models answer 200 or 400 at a time hardly faster than 100."""

SHARE = 0.5
"""The most that a batch may take of the memory that is free.

Pictures will want some, pieces are lost, and the keys and values of a batch may stay until those of the next are read.
"""


class Held(Generic[S, T]):
    """Asks in parts as large as memory holds: halved where it runs out, and no larger from then on.

    ``most`` is that limit, None as long as there is none.
    """

    def __init__(self, ask: Callable[[Sequence[S]], list[T]], device: torch.device) -> None:
        self.ask, self.device = ask, device
        self.most: int | None = None
        self._asked, self._took, self._free = 0, 0, 0

    def __call__(self, asked: Sequence[S]) -> list[T]:
        """What is said to all of them; raises the error where memory does not hold a single one."""
        size = min(len(asked), self.most or len(asked))
        try:
            first = self._measured(asked[:size]) if not self._asked else self.ask(asked[:size])
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not is_short(error):
                raise
            first = None
        if first is None:  # outside of the handler, whose exception holds on to the memory of the failed attempt
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.most = (size + 1) // 2
            return self(asked)
        return first if size == len(asked) else [*first, *self(asked[size:])]

    def _measured(self, asked: Sequence[S]) -> list[T]:
        """Ask the first ones, and see what memory it takes."""
        free, held = free_memory(self.device.type), held_memory(self.device.type)
        with PeakMemory(self.device.type) as memory:
            said = self.ask(asked)
        self._asked, self._took, self._free = len(asked), max(1, memory.peak - held), free
        return said

    def size(self) -> int:
        """How many at a time, after the first few, which are among the longest: a power of two unless memory ran out.

        So a little more or less memory that is free makes no other batches, which would show in the last digits.
        """
        if self.most:
            return self.most
        size, holds = FEW, SHARE * self._free * self._asked / self._took
        while 2 * size <= min(MANY, holds):
            size *= 2
        return size
