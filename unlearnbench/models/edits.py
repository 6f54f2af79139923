"""What a method changed of a model: small enough to store, enough to make the change again.

A method returns an `Edit`; the engine saves it, and later loads and applies it to a fresh copy of the model it
started from. So what is evaluated is what was stored.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import StoreError
from .vlm import VLM


class Edit(ABC):
    """A change of a model that can be saved, loaded and applied."""

    trainable_parameters: int = 0

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the change into an existing, empty ``folder``; tensors as safetensors."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, model: VLM) -> Self:
        """Read back what `save` wrote."""

    @abstractmethod
    def apply(self, model: VLM) -> None:
        """Make the change, in place."""


class Weights(Edit):
    """New values for some of a model's own parameters, by name."""

    FILE = "weights.safetensors"

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.trainable_parameters = sum(tensor.numel() for tensor in tensors.values())

    @classmethod
    def of(cls, parameters: dict[str, nn.Parameter]) -> Self:
        """The present values of ``parameters``."""
        return cls({name: parameter.detach().clone() for name, parameter in parameters.items()})

    def save(self, folder: Path) -> None:  # noqa: D102
        save_file({name: tensor.contiguous().cpu() for name, tensor in self.tensors.items()}, folder / self.FILE)

    @classmethod
    def load(cls, folder: Path, model: VLM) -> Self:  # noqa: D102
        return cls(load_file(folder / cls.FILE))

    @torch.no_grad()
    def apply(self, model: VLM) -> None:  # noqa: D102
        own = dict(model.model.named_parameters())
        check_names("stored weights", self.tensors, own)
        for name, tensor in self.tensors.items():
            own[name].copy_(tensor)
        model.refresh()


def check_names(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise `StoreError` if ``given`` has a name that is not ``known``."""
    strange = sorted(set(given) - set(known))
    if strange:
        raise StoreError(f"{what} name {strange[0]!r}, which the model lacks; remove the artefact and run again")
