"""Putting a model from elsewhere in the place of the one at hand, whose processor and configuration stay."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError
from torch import Tensor

from ...errors import ModelError
from ...runtime.memory import is_short
from ..contract.edits import Adapter, Alteration
from ..contract.vlm import VLM
from .elsewhere import Elsewhere
from .load import network


class Replacement(Alteration):
    """All weights of a model from elsewhere, and its adapter on them if it has one."""

    def __init__(self, origin: Elsewhere) -> None:
        self.origin = origin

    def apply(self, model: VLM) -> None:
        """Take the weights over; an adapter stays beside them, as it was trained.

        Raises `ModelError` where names or shapes are others than the model's.
        """
        self._take(model)
        if self.origin.adapter:
            with _fitting(self.origin.text):
                Adapter.read(self.origin.adapter).apply(model)

    def merge(self, model: VLM) -> None:
        """The same, the adapter added to the weights."""
        self._take(model)
        if self.origin.adapter:
            with _fitting(self.origin.text):
                Adapter.read(self.origin.adapter).merge(model)

    @torch.no_grad()
    def _take(self, model: VLM) -> None:
        theirs = network(self.origin.text, self.origin.folder, model.dtype).state_dict()
        own = model.model.state_dict()
        if fault := _difference(own, theirs):
            raise ModelError(f"model {self.origin.text} cannot take the place of --model: {fault}")
        for name, tensor in theirs.items():
            own[name].copy_(tensor)
        model.refresh(model.model.parameters())


def _difference(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """The first weight that only one of two models has, or that has another shape; empty where there is none."""
    if others := sorted(own.keys() ^ theirs.keys()):
        return f"only one of the two has {others[0]} ({len(others)} such in all)"
    unlike = [name for name, tensor in own.items() if tensor.shape != theirs[name].shape]
    if not unlike:
        return ""
    shapes = f"{list(theirs[unlike[0]].shape)} and not {list(own[unlike[0]].shape)}"
    return f"{unlike[0]} is {shapes} ({len(unlike)} such in all); give --model the model that it was made from"


@contextmanager
def _fitting(text: str) -> Iterator[None]:
    """What PEFT raises over an adapter of another model, and what it only warns of, becomes a `ModelError`."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Found missing adapter keys")
            yield
    except (ValueError, KeyError, RuntimeError, UserWarning, SafetensorError) as error:
        if is_short(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"the adapter of {text} does not fit the model: {reason}; is it one of that model?") from error
