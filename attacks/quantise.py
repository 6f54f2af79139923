"""Quantisation: do fewer bits a weight undo what unlearning changed by a little? Nobody need mean it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from unlearnbench import Attack, AttackParams, Edit, attack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlearnbench import VLM, Run, Sets


class QuantiseParams(AttackParams):
    """Round-to-nearest, symmetric, by groups of a row's numbers."""

    bits: tuple[int, ...] = Field((8, 4), min_length=1, description="bits a weight, each a variant")
    group: int = Field(128, ge=1, description="numbers of a row that share a scale")

    presets: ClassVar = {"tiny": {"group": 32}}


class Quantised(Edit):
    """Linear layers of the language model, rounded to so many bits; they hold the rounded values as floats."""

    FILE = "quantised.json"

    def __init__(self, bits: int, group: int) -> None:
        self.bits, self.group = bits, group

    def save(self, folder: Path) -> None:
        """Its two numbers: the weights follow from them."""
        (folder / self.FILE).write_text(json.dumps({"bits": self.bits, "group": self.group}) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, model: "VLM") -> Self:
        """Read them back."""
        return cls(**json.loads((folder / cls.FILE).read_text(encoding="utf-8")))

    @torch.no_grad()
    def apply(self, model: "VLM") -> None:
        """Round the weights, in place."""
        changed = [weight for _, weight in quantisable(model)]
        for weight in changed:
            codes, scale = quantised(weight, self.bits, self.group)
            weight.copy_(restored(codes, scale, weight.shape[1]))
        model.refresh(changed)


@attack("quantise", reference="arXiv:2410.16454")
class Quantise(Attack):
    """The language model's linear layers rounded to 8 and to 4 bits, as models are when they are put to use.

    An adapter is merged in float32 before: rounded under a live one, what it learned would stay in full precision.
    Embeddings, head, projector, tower, and what a method put beside the weights stay as they are.
    """

    access = "weights-write"
    Params = QuantiseParams
    params: QuantiseParams

    def change(self, model: "VLM", sets: "Sets", run: "Run") -> "Mapping[str, Edit]":
        """A variant for each number of bits."""
        return {f"{bits} bits": Quantised(bits, self.params.group) for bits in self.params.bits}

    @classmethod
    def edit_class(cls) -> type[Quantised]:
        """Its own."""
        return Quantised


def quantisable(model: "VLM") -> "list[tuple[str, nn.Parameter]]":
    """The weights that are rounded, by their names: those of all linear layers in the language model's blocks."""
    named = dict(model.model.named_parameters())
    return [(name, named[f"{name}.weight"]) for name in model.language_linears()]


def quantised(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """Codes [rows, groups, group] and scales [rows, groups, 1] of a weight [rows, columns], in float32.

    The scale of a group is its largest absolute value over 2^(bits - 1) - 1; a last group may be filled up with zeros.
    """
    rows, columns = weight.shape
    padded = nn.functional.pad(weight.float(), (0, -columns % group)).view(rows, -1, group)
    most = 2 ** (bits - 1) - 1
    scale = (padded.abs().amax(-1, keepdim=True) / most).clamp_min(torch.finfo(torch.float32).tiny)
    return (padded / scale).round().clamp(-most - 1, most), scale


def restored(codes: Tensor, scale: Tensor, columns: int) -> Tensor:
    """The weight [rows, columns] that codes and scales stand for."""
    return (codes * scale).flatten(1)[:, :columns]
