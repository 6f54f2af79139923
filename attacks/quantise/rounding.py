"""How weights are rounded: to the nearest of a group's codes, by this file or as a library does it."""

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from unlearnbench import Edit, absorb

from .routes import Route, needed

if TYPE_CHECKING:
    from unlearnbench import VLM


class Quantised(Edit):
    """Linear layers of the language model, rounded to so many bits; they hold the rounded values as floats."""

    FILE = "quantised.json"

    def __init__(self, bits: int, group: int, route: Route = "rtn") -> None:
        self.bits, self.group, self.route = bits, group, route

    def save(self, folder: Path) -> None:
        """How it rounds: the weights follow from that."""
        told = {"bits": self.bits, "group": self.group, "route": self.route}
        (folder / self.FILE).write_text(json.dumps(told) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, model: "VLM") -> Self:
        """Read them back."""
        return cls(**json.loads((folder / cls.FILE).read_text(encoding="utf-8")))

    @torch.no_grad()
    def apply(self, model: "VLM") -> None:
        """Round the weights, in place: an adapter's together with what it is added to, in float32."""
        adapted, done = {name.rpartition(".")[0] for name in model.language_linears()}, set[str]()

        def rounded(name: str, weight: Tensor) -> Tensor:
            if name not in adapted:  # which has linear layers within it
                return weight
            done.add(name)
            return self.rounded(weight)

        absorb(model, rounded)
        changed = [weight for name, weight in quantisable(model) if name not in done]
        for weight in changed:
            weight.copy_(self.rounded(weight))
        model.refresh(changed)

    def rounded(self, weight: Tensor) -> Tensor:
        """What becomes of a weight [rows, columns], in float32."""
        if self.route == "rtn":
            return restored(*quantised(weight, self.bits, self.group), weight.shape[1])
        # To libraries every group is a row: they may not let one end within a row.
        groups = grouped(weight, self.group).flatten(0, 1).contiguous()
        by = by_torchao(groups, self.bits) if self.route == "torchao" else by_bitsandbytes(groups, self.route)
        return by.view(weight.shape[0], -1)[:, : weight.shape[1]]


def quantisable(model: "VLM") -> "list[tuple[str, nn.Parameter]]":
    """The weights that are rounded, by their names: those of all linear layers in the language model's blocks."""
    named = dict(model.model.named_parameters())
    return [(name, named[f"{name}.weight"]) for name in model.language_linears()]


def quantised(weight: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor]:
    """Codes [rows, groups, group] and scales [rows, groups, 1] of a weight [rows, columns], in float32.

    The scale of a group is its largest absolute value over 2^(bits - 1) - 1; a last group may be filled up with zeros.
    """
    padded = grouped(weight, group)
    most = 2 ** (bits - 1) - 1
    scale = (padded.abs().amax(-1, keepdim=True) / most).clamp_min(torch.finfo(torch.float32).tiny)
    return (padded / scale).round().clamp(-most - 1, most), scale


def grouped(weight: Tensor, group: int) -> Tensor:
    """A weight [rows, columns] in groups of a row's numbers, filled up with zeros: [rows, groups, group], float32."""
    rows, columns = weight.shape
    return nn.functional.pad(weight.detach().float(), (0, -columns % group)).view(rows, -1, group)


def restored(codes: Tensor, scale: Tensor, columns: int) -> Tensor:
    """The weight [rows, columns] that codes and scales stand for."""
    return (codes * scale).flatten(1)[:, :columns]


@torch.no_grad()
def codes_changed(model: "VLM", base: "VLM", bits: int, group: int) -> tuple[int, int]:
    """Of how many weights of a rounded model the codes are not those that the base's get, and of how many in all.

    Rounded weights have the codes that they were rounded to; the base's are rounded, and stored, alike before.
    """
    changed, of = 0, 0
    for (_, own), (_, other) in zip(quantisable(model), quantisable(base), strict=True):
        rounded = restored(*quantised(other, bits, group), other.shape[1]).to(own.dtype)
        codes = [quantised(weight, bits, group)[0].flatten(1)[:, : own.shape[1]] for weight in (own, rounded)]
        changed, of = changed + int((codes[0] != codes[1]).sum()), of + own.numel()
    return changed, of


def by_bitsandbytes(groups: Tensor, route: Route) -> Tensor:
    """Groups [groups, numbers], each with a scale of its own, as bitsandbytes rounds them to 4 bits."""
    functional = needed(route).functional
    codes, state = functional.quantize_4bit(groups, blocksize=groups.shape[1], quant_type=route.removeprefix("bnb-"))
    rounded: Tensor = functional.dequantize_4bit(codes, state)
    return rounded.float()


def by_torchao(groups: Tensor, bits: int) -> Tensor:
    """The same as torchao rounds to so many bits."""
    needed("torchao")
    quantization = import_module("torchao.quantization")
    layer = nn.Linear(groups.shape[1], groups.shape[0], bias=False, device=groups.device)
    layer.weight.data = groups
    kind = getattr(torch, f"int{bits}")
    how = quantization.IntxWeightOnlyConfig(kind, quantization.PerGroup(groups.shape[1]))
    model = nn.Sequential(layer)
    quantization.quantize_(model, how)
    weight: Any = model[0].weight
    rounded: Tensor = weight.dequantize()
    return rounded.float()
