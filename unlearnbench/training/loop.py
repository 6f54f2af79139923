"""The training loop: every stage and method trains through `fit`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from transformers import get_cosine_schedule_with_warmup

from ..errors import UnlearnbenchError
from .params import TrainParams
from .run import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Shuffled(Generic[T]):
    """Batches of ``items`` in an order that ``seed`` and the epoch decide; the last batch may be short."""

    items: Sequence[T]
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return -(-len(self.items) // self.batch_size)

    def epoch(self, number: int) -> Iterator[list[T]]:
        """The batches of one epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self.items), generator=generator).tolist()
        for start in range(0, len(order), self.batch_size):
            yield [self.items[index] for index in order[start : start + self.batch_size]]


@dataclass(frozen=True)
class Outcome:
    """How a training went: seconds, epochs done, the last epoch's mean of every loss part, why it ended."""

    seconds: float
    epochs: int
    losses: dict[str, float]
    stopped: str


def fit(
    parameters: Sequence[nn.Parameter],
    batches: Shuffled[Any],
    loss: Callable[[Any], Mapping[str, Tensor]],
    params: TrainParams,
    run: Run,
    *,
    what: str = "training",
    enough: Callable[[Mapping[str, float]], bool] | None = None,
) -> Outcome:
    """Train ``parameters`` for ``params.epochs``: the sum of the parts that ``loss`` returns is descended.

    ``enough`` sees each epoch's mean parts and may end the training. A parameter that a step does not touch gets a
    zero gradient, not none, so that leaving out samples whose gradient is zero changes nothing. Raises
    `UnlearnbenchError` when a loss is not finite.
    """
    optimizer = torch.optim.AdamW(parameters, lr=params.learning_rate, weight_decay=params.weight_decay)
    steps = max(1, len(batches) * params.epochs)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(steps * params.warmup_ratio), steps)
    start, means, epoch, stopped = time.perf_counter(), dict[str, float](), 0, "epochs done"
    with run.progress.bar(what, steps) as bar:
        for epoch in range(1, params.epochs + 1):
            means = _epoch(batches.epoch(epoch), loss, parameters, optimizer, schedule, params.clip_norm, bar)
            if enough and enough(means):
                stopped = "enough"
                break
    seconds = time.perf_counter() - start
    run.cost["train_seconds"] = run.cost.get("train_seconds", 0.0) + seconds
    run.cost["seconds_per_epoch"] = seconds / max(1, epoch)
    return Outcome(seconds, epoch, means, stopped)


def _epoch(
    batches: Iterator[Any],
    loss: Callable[[Any], Mapping[str, Tensor]],
    parameters: Sequence[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    clip_norm: float,
    bar: Any,
) -> dict[str, float]:
    """One pass; the mean of every loss part."""
    sums: dict[str, float] = {}
    count = 0
    for batch in batches:
        parts = loss(batch)
        total = torch.stack(list(parts.values())).sum()
        if not torch.isfinite(total):
            shown = ", ".join(f"{name} {float(part.detach()):.3g}" for name, part in parts.items())
            raise UnlearnbenchError(f"training diverged: the loss is not finite ({shown}); lower the learning rate")
        optimizer.zero_grad()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        schedule.step()
        count += 1
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + float(part.detach())
        bar.advance(1, **{name: value / count for name, value in sums.items()})
    return {name: value / count for name, value in sums.items()}
