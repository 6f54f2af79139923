"""Gradients that a method has a say in: parts of a loss with a backward pass of their own, and masks.

Both hold for weights that are cut up among processes, of whose gradients each process has its own part.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import PluginError
from ...runtime import distributed

GradientHook = Callable[[Sequence[nn.Parameter]], None]
"""What is called once a step with all that is trained, between the backward pass and clipping.

Gradients are then those of the whole batch, summed over micro-batches and processes; it may change them in place. Of a
cut-up weight a process has its own part, for which `unlearnbench.runtime.distributed.like` cuts a whole tensor up.
"""


class Masks:
    """How far each number of a parameter may be moved by a gradient: that is multiplied by its mask, of its shape.

    A parameter without a mask is moved as it would be. A mask of zeros and ones holds only where momentum from before
    and weight decay do not move the rest: mask from the first step on, without decay. It is itself a `GradientHook`.
    """

    def __init__(self, of: Mapping[nn.Parameter, Tensor]) -> None:
        self._of = dict(of)
        for parameter, mask in self._of.items():
            if mask.shape != parameter.shape:
                raise PluginError(
                    f"a mask is {list(mask.shape)} and its parameter {list(parameter.shape)}; give both one shape"
                )

    @torch.no_grad()
    def __call__(self, parameters: Iterable[nn.Parameter]) -> None:
        """Multiply the gradients of ``parameters`` by their masks."""
        for parameter in parameters:
            if parameter in self._of and parameter.grad is not None:
                parameter.grad.mul_(distributed.like(parameter, self._of[parameter].to(parameter.grad.dtype)))


@dataclass(frozen=True)
class Apart:
    """A part of a loss that has a backward pass of its own, so that one part's activations are held at a time.

    ``value`` is called when its turn comes, after the parts that share a pass; it returns a mean over the batch. With
    ``masks`` this part's gradient is masked, and no other's.
    """

    value: Callable[[], Tensor]
    masks: Masks | None = None

    def __post_init__(self) -> None:
        if not callable(self.value):
            raise PluginError(f"Apart holds a {type(self.value).__name__}; give a function: Apart(lambda: ...)")


Parts = Mapping[str, Tensor | Apart]
"""The parts of a loss by name, each a mean over the batch's items: those that are tensors share a backward pass."""


def checked(parts: Any) -> Parts:
    """What a loss returned, or a part of it, if it is `Parts`; raises `PluginError`."""
    if not isinstance(parts, Mapping):
        raise PluginError(f'the loss returned a {type(parts).__name__}; return its parts by names: {{"forget": ...}}')
    for name, part in parts.items():
        if not isinstance(part, Tensor | Apart):
            raise PluginError(f"the loss's part {name!r} is a {type(part).__name__}; give a tensor")
        if isinstance(part, Tensor) and part.numel() != 1:
            raise PluginError(f"the loss's part {name!r} is of shape {list(part.shape)}; give its mean over the batch")
    return parts


@contextmanager
def masked(masks: Masks | None, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Mask what a backward pass within adds to the gradients of ``parameters``, and not what was there before."""
    if masks is None:
        yield
        return
    before = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    yield
    masks(parameters)
    for parameter, earlier in zip(parameters, before, strict=True):
        if earlier is not None:
            parameter.grad = earlier if parameter.grad is None else parameter.grad.add_(earlier)
