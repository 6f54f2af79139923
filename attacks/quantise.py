"""Quantisation: do fewer bits a weight undo what unlearning changed by a little? Nobody need mean it."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from unlearnbench import NOTHING, Attack, AttackParams, Edit, Footprint, MetricValue, UsageError, attack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unlearnbench import VLM, Counts, Run, Sets, Target, Task, Workload

WEIGHTS = "weights"
"""The set of the one record that is of no question."""


Route = Literal["rtn", "bnb-nf4", "bnb-fp4", "torchao"]


class QuantiseParams(AttackParams):
    """Round-to-nearest, symmetric, by groups of a row's numbers; or as a library rounds."""

    route: Route = Field("rtn", description="who rounds: rtn, this file; bnb-..: bitsandbytes, 4 bits alone; torchao")
    bits: tuple[int, ...] = Field((8, 4), min_length=1, description="bits a weight, each a variant")
    group: int = Field(128, ge=1, description="numbers of a row that share a scale")

    presets: ClassVar = {"tiny": {"group": 32}}

    @model_validator(mode="before")
    @classmethod
    def _four_bits(cls, values: Any) -> Any:
        if isinstance(values, dict) and str(values.get("route", "")).startswith("bnb"):
            return {"bits": (4,)} | values
        return values

    @model_validator(mode="after")
    def _as_the_route_can(self) -> Self:
        if self.route.startswith("bnb") and self.bits != (4,):
            raise ValueError(f"route={self.route} has 4 bits alone: leave bits out")
        return self


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
        """Round the weights, in place."""
        changed = [weight for _, weight in quantisable(model)]
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


@attack("quantise", reference="arXiv:2410.16454")
class Quantise(Attack):
    """The language model's linear layers rounded to 8 and to 4 bits, as models are when they are put to use.

    An adapter is merged in float32 before: rounded under a live one, what it learned would stay in full precision.
    Embeddings, head, projector, tower, and what a method put beside the weights stay as they are.
    """

    access = "weights-write"
    needs = ("base",)
    Params = QuantiseParams
    params: QuantiseParams

    def change(self, model: "VLM", sets: "Sets", run: "Run") -> "Mapping[str, Edit]":
        """A variant for each number of bits."""
        if self.params.route != "rtn":
            needed(self.params.route)
        return {f"{bits} bits": Quantised(bits, self.params.group, self.params.route) for bits in self.params.bits}

    def ask(self, model: "VLM", target: "Target", run: "Run") -> dict[str, list[dict[str, Any]]]:
        """The questions, and of how many weights the codes are no longer the base's."""
        found = super().ask(model, target, run)
        if self.params.route != "rtn" or not target.variant:
            return found
        changed, of = codes_changed(model, target.beside("base"), int(target.variant.split()[0]), self.params.group)
        return {"": [*found[""], {"set": WEIGHTS, "id": "codes", "changed": changed, "of": of}]}

    def measured(self, task: "Task", records: Sequence[Any]) -> dict[str, MetricValue]:
        """The task's metrics, and the share of codes that changed."""
        found = super().measured(task, [each for each in records if each["set"] != WEIGHTS])
        for each in (each for each in records if each["set"] == WEIGHTS):
            found["quantise.codes_changed"] = MetricValue(each["changed"] / each["of"], None, None, each["of"], None)
        return found

    def values(self, task: "Task", records: Sequence[Any]) -> "Mapping[str, Mapping[str, Sequence[float]]]":
        """The task's own."""
        return super().values(task, [each for each in records if each["set"] != WEIGHTS])

    def footprint(self, model: "Counts", work: "Workload") -> Footprint:
        """Nothing is trained."""
        return NOTHING

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


LIBRARIES: dict[str, str] = {"bnb-nf4": "bitsandbytes", "bnb-fp4": "bitsandbytes", "torchao": "torchao"}


def needed(route: Route) -> Any:
    """The library of a route; raises `UsageError` that says what to install."""
    name = LIBRARIES[route]
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"attack quantise: route={route} needs {name}, which is not installed: pip install 'unlearnbench[{name}]', "
            "or leave the route out"
        ) from None


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
