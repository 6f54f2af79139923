"""Several pictures through a vision tower at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .cache import Picture

VALUES = 2**23
"""Numbers that go through a tower at once, unless a single picture has more: one of 1024 pixels, or 80 of 112."""


def encoded(encode: Callable[[Sequence[int]], Sequence[Picture]], pixels: Sequence[Tensor]) -> list[Picture]:
    """The pictures that ``encode`` makes of those at some places, given those of equal shape together."""
    alike: dict[torch.Size, list[int]] = {}
    for place, values in enumerate(pixels):
        alike.setdefault(values.shape, []).append(place)
    found: dict[int, Picture] = {}
    for shape, places in alike.items():
        most = max(1, VALUES // shape.numel())
        for start in range(0, len(places), most):
            part = places[start : start + most]
            found |= zip(part, encode(part), strict=True)
    return [found[place] for place in range(len(pixels))]


def with_tokens(pictures: list[Picture], project: Callable[[Sequence[Picture]], Sequence[Tensor]]) -> list[Picture]:
    """The same pictures, given the visual tokens that ``project`` makes of their features."""
    for picture, tokens in zip(pictures, project(pictures), strict=True):
        picture.tokens = tokens
    return pictures


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other; a single one is not copied."""
    return tensors[0] if len(tensors) == 1 else torch.cat([*tensors])
