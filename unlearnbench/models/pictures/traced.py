"""How the numbers that a vision tower reads follow from a picture's pixels, found by looking at what comes of them.

At a picture's own size a processor scales nothing: every number is one pixel's value, shifted and scaled by its
channel, or a constant where there is padding. Which pixel that is, is read off pictures whose pixels spell out their
places. So no family need describe its patches, tiles or repeated frames.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...errors import ModelError
from .cache import Picture

BASE = 251
"""Places are spelled in digits below this number, one a picture: any 8-bit value would do."""

TOLERANCE = 0.1
"""By how much of a step of 8 bits a number may be off, processors working in float32."""


class Processing(Protocol):
    """What a model does with pixels (`unlearnbench.models.contract.vlm.VLM`)."""

    name: ClassVar[str]
    processor: Any

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def own_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The size at which nothing is scaled."""

    def preprocess(self, image: Image.Image, processor: Any) -> Any:
        """Make of a picture what the tower reads."""

    def pixel_values(self, preprocessed: Any) -> Tensor:
        """The numbers of that."""

    def with_pixel_values(self, preprocessed: Any, values: Tensor) -> Any:
        """The same with others."""

    def encode(self, preprocessed: Any) -> Picture:
        """Run the vision tower and the projector."""


@dataclass(frozen=True)
class Traced:
    """Pictures of one ``size`` (width, height) as a model reads them.

    ``place`` is where among all values, flat [height, width, 3], each number's pixel stands, ``slope`` and ``offset``
    are what is made of it; ``preprocessed`` is any picture of the size.
    """

    model: Processing
    size: tuple[int, int]
    place: Tensor
    slope: Tensor
    offset: Tensor
    preprocessed: Any

    @classmethod
    def of(cls, model: Processing, width: int, height: int) -> "Traced":
        """Of pictures as large as one of this size is made; raises `ModelError` where some are scaled all the same."""
        size = model.own_size(width, height)
        if size is None:
            raise ModelError(
                f"models of the family {model.name} scale every picture, so that no pixel can be traced; let its class "
                "define own_size, if there is a size at which they do not"
            )
        dark, bright = (_numbers(model, np.full((size[1], size[0], 3), value, np.uint8)) for value in (0, 255))
        slope = (bright - dark) / 255
        place, count = np.zeros(len(dark), np.int64), size[0] * size[1] * 3
        for digit in range(max(1, math.ceil(math.log(count, BASE)))):
            spelled = (np.arange(count) // BASE**digit % BASE).astype(np.uint8).reshape(size[1], size[0], 3)
            place += _read(_numbers(model, spelled), dark, slope) * BASE**digit
        _verify(model, size, place, slope, dark)
        known = model.preprocess(Image.new("RGB", size), model.processor)
        placed = [torch.tensor(each, device=model.device) for each in (place, slope, dark)]
        return cls(model, size, placed[0], placed[1].float(), placed[2].float(), known)

    def see(self, values: Tensor) -> Picture:
        """The picture of these ``values`` [height, width, 3] from 0 to 255, differentiable in them."""
        numbers = values.flatten()[self.place] * self.slope + self.offset
        shape = self.model.pixel_values(self.preprocessed).shape
        return self.model.encode(self.model.with_pixel_values(self.preprocessed, numbers.view(shape)))


def _numbers(model: Processing, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the tower reads of a picture, flat."""
    values = model.pixel_values(model.preprocess(Image.fromarray(picture), model.processor))
    return values.double().flatten().numpy(force=True)


def _read(numbers: NDArray[np.float64], dark: NDArray[np.float64], slope: NDArray[np.float64]) -> NDArray[np.int64]:
    """The pixel values behind numbers, 0 for those of padding."""
    values = np.divide(numbers - dark, slope, out=np.zeros_like(numbers), where=slope != 0)
    return values.round().astype(np.int64)


def _verify(
    model: Processing,
    size: tuple[int, int],
    place: NDArray[np.int64],
    slope: NDArray[np.float64],
    dark: NDArray[np.float64],
) -> None:
    """Raise `ModelError` unless the numbers of a picture of noise are those of its pixels in their places."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    told = noise.flatten()[place.clip(0, noise.size - 1)] * slope + dark
    if np.abs(told - _numbers(model, noise)).max() > TOLERANCE * np.abs(slope).max():
        raise ModelError(f"the family {model.name} scales pictures at what it says is their own size: see its own_size")
