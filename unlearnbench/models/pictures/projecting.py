"""Several pictures in one call of the projector, which on small pictures takes longer to start than to compute."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .cache import Picture

ENOUGH = 2**26
"""Bytes of features with which a call has enough to do: to join more would copy them and save nothing."""


def projected(pictures: Sequence[Picture], project: Callable[[Picture], Tensor], along: int | None) -> list[Tensor]:
    """``project`` of each picture, of those together whose features can be joined ``along`` a dimension of them.

    Every token comes from equally many of a picture's features. With ``along`` None each picture goes by itself.
    """
    if along is None:
        return [project(picture) for picture in pictures]
    found: dict[int, Tensor] = {}
    for places in _together(pictures, along):
        own = [pictures[place] for place in places]
        if len(own) == 1:
            found[places[0]] = project(own[0])
            continue
        joined = torch.cat([picture.features for picture in own], dim=along)
        tokens = project(replace(own[0], features=joined))
        each = tokens.shape[-2] / joined.shape[along]
        counts = [round(picture.features.shape[along] * each) for picture in own]
        found |= zip(places, tokens.split(counts, dim=-2), strict=True)  # type: ignore[no-untyped-call]
    return [found[place] for place in range(len(pictures))]


def _together(pictures: Sequence[Picture], along: int) -> Iterator[list[int]]:
    """The places of pictures that go through the projector at once, in their order: alike but ``along`` a dimension."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, picture in enumerate(pictures):
        shape = picture.features.shape
        alike.setdefault((*shape[:along], *shape[along + 1 :]), []).append(place)
    for places in alike.values():
        part, held = list[int](), 0
        for place in places:
            size = pictures[place].features.nbytes
            if part and held + size > ENOUGH:
                yield part
                part, held = [], 0
            part, held = [*part, place], held + size
        yield part
