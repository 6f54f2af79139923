"""Timing several ways to one result in turns, counting their operations, and a machine's rate of matrix products."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Scores, and what they weigh."""
    return 2 * query.shape[:3].numel() * key.shape[2] * (query.shape[3] + value.shape[3])


def _attention_backward(_: Tensor, query: Tensor, key: Tensor, value: Tensor, *__: Any, **___: Any) -> int:
    """Scores anew, gradients of scores and values, of queries and keys."""
    return 2 * query.shape[:3].numel() * key.shape[2] * (3 * query.shape[3] + 2 * value.shape[3])


KERNELS = ("flash_attention_for_cpu", "flash_attention", "efficient_attention", "cudnn_attention")
ATTENTION = {
    getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}{suffix}"): count
    for kernel in KERNELS
    for suffix, count in {"": _attention, "_backward": _attention_backward}.items()
}
"""What torch's counter leaves out on CPUs, or before torch 2.12 where several queries share a key (GQA)."""
_attention._get_raw = _attention_backward._get_raw = True  # type: ignore[attr-defined]  # given tensors, not shapes


class _Everywhere(nullcontext[None]):
    """In place of what tells in which module an operation is: its hooks fail on adapters under checkpointing."""

    parents: ClassVar[set[str]] = {"Global"}


class Clock:
    """Seconds of what is done within it, the device's work included; or, ``counting``, its operations.

    Operations are those of matrix products, convolutions and attention, forwards and backwards, as torch counts them.
    """

    def __init__(self, device: torch.device, *, counting: bool = False) -> None:
        self.device, self.counting = device, counting
        self.seconds, self.operations = 0.0, 0

    def __enter__(self) -> Self:
        wait(self.device)
        if self.counting:
            self._counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
            self._counter.mod_tracker = _Everywhere()  # type: ignore[assignment]
            self._counter.__enter__()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *failure: Any) -> None:
        wait(self.device)
        self.seconds += time.perf_counter() - self._start
        if self.counting:
            self._counter.__exit__(*failure)
            self.operations += int(self._counter.get_total_flops())


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of several: what this machine can do at most."""
    side, best = 8192 if device.type == "cuda" else 2048, float("inf")
    matrix = torch.rand(side, side, device=device, dtype=dtype)
    for _ in range(6):
        with Clock(device) as clock:
            matrix @ matrix
        best = min(best, clock.seconds)
    return 2 * side**3 / best


Way = Callable[[Clock], Any]
"""Does something, the part that counts within the clock, and returns what came of it."""


def compare(
    ways: Mapping[str, Way], repeats: int, device: torch.device, rate: float
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """A line for each way, the last of which is the fast one, and what each returned.

    ``seconds`` are medians over ``repeats`` turns; ``times`` is how many times as long as the fast way it took;
    ``tflop`` are counted in a turn before those, which warms up; ``share`` is the part of the machine's ``rate`` that
    it reached.
    """
    operations = {}
    for name, way in ways.items():
        counting = Clock(device, counting=True)
        way(counting)
        operations[name] = counting.operations
    found: dict[str, Any] = {}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            clock = Clock(device)
            found[name] = way(clock)
            taken[name].append(clock.seconds)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    lines = {}
    for name in ways:
        reached = operations[name] / medians[name]
        lines[name] = {
            "seconds": round(medians[name], 4),
            "times": round(medians[name] / medians[next(reversed(medians))], 2),
            "tflop": round(operations[name] / 1e12, 5),
            "gflop_per_second": round(reached / 1e9, 2),
            "share": round(reached / rate, 3),
        }
    return lines, found
