"""Calculating with what trainings have changed: sums, multiples and differences of adapters and of weights.

A method that scales or negates an update (task vectors, Ilharco et al. 2022, arXiv:2212.04089), or puts several
together, trains as any other, takes a `Change` of each training, calculates, and returns its `edit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..models.contract.edits import Adapter, Trained, Weights, quiet
from ..models.contract.vlm import VLM


@dataclass(frozen=True)
class Change:
    """What is added to a model's weights, in float32 by their names in the whole model.

    ``low_rank`` is what adapters change: for each layer factors B [outputs, r] and A [r, inputs] of what is added to
    its weight, B @ A. ``dense`` is any other change, a tensor of the weight's shape.
    """

    low_rank: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    dense: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def between(cls, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> "Change":
        """What leads from some weights to the same weights ``after``."""
        return cls(dense={name: after[name].detach().float() - before[name].detach().float() for name in after})

    @classmethod
    def taken_off(cls, model: VLM, adapter: Adapter) -> "Change":
        """What a freshly trained ``adapter`` changes; ``model`` is then as it was before, and may be trained anew."""
        from peft.utils.other import ModulesToSaveWrapper

        adapted = adapter.peft.get_base_model()
        low_rank = _factors(adapted)
        beside = {n: each for n, each in adapted.named_modules() if isinstance(each, ModulesToSaveWrapper)}
        trained, own = dict[str, Tensor](), dict[str, Tensor]()
        for name, wrapper in beside.items():
            for inner, value in wrapper.modules_to_save["default"].named_parameters():
                trained[f"{name}.{inner}"] = value
            for inner, value in wrapper.original_module.named_parameters():
                own[f"{name}.{inner}"] = value
        change = cls(low_rank, cls.between(own, trained).dense)
        originals = {name: wrapper.original_module for name, wrapper in beside.items()}
        adapter.peft.unload()
        for name, module in originals.items():  # PEFT leaves the trained copy there
            adapted.set_submodule(name, module)
        model.model.eval().requires_grad_(False)
        model.refresh()
        return change

    def __add__(self, other: "Change") -> "Change":
        low_rank = dict(self.low_rank)
        for name, (b, a) in other.low_rank.items():
            if name in low_rank:
                b, a = torch.cat([low_rank[name][0], b], 1), torch.cat([low_rank[name][1], a])
            low_rank[name] = b, a
        dense = dict(self.dense)
        for name, values in other.dense.items():
            dense[name] = dense[name] + values if name in dense else values
        return Change(low_rank, dense)

    def __mul__(self, factor: float) -> "Change":
        low_rank = {name: (factor * b, a) for name, (b, a) in self.low_rank.items()}
        return Change(low_rank, {name: factor * values for name, values in self.dense.items()})

    __rmul__ = __mul__

    def __neg__(self) -> "Change":
        return -1.0 * self

    def __sub__(self, other: "Change") -> "Change":
        return self + -other

    def whole(self) -> dict[str, Tensor]:
        """All of it by the names of weights, each of the weight's shape: what is low-rank is multiplied out."""
        products = Change(dense={f"{name}.weight": b @ a for name, (b, a) in self.low_rank.items()})
        return dict((Change(dense=self.dense) + products).dense)

    def edit(self, model: VLM) -> Trained:
        """It as an edit of ``model``, which is as the method received it.

        An `Adapter` of the ranks' sum, exactly, where all of it is low-rank: then it is put into the model. Else new
        `Weights`, rounded once to the model's precision.
        """
        if self.low_rank and not self.dense:
            return Adapter(self._adapter(model))
        own = dict(model.model.named_parameters())
        return Weights(
            {name: (own[name].detach().float() + values).to(model.dtype) for name, values in self.whole().items()}
        )

    def _adapter(self, model: VLM) -> Any:
        """PEFT's model with these factors; layers of smaller rank are filled up with zeros."""
        from peft import LoraConfig, get_peft_model

        rank = max(len(a) for _, a in self.low_rank.values())
        config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=list(self.low_rank))
        with quiet():
            peft = get_peft_model(model.model, config)
        layers = dict(model.model.named_modules())
        for name, (b, a) in self.low_rank.items():
            fill = rank - len(a)
            factors = {"lora_B": nn.functional.pad(b, (0, fill)), "lora_A": nn.functional.pad(a, (0, 0, 0, fill))}
            for which, values in factors.items():
                getattr(layers[name], which)["default"].weight.data = values.to(model.device)
        return peft


def _factors(adapted: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """B and A of every adapted layer, what PEFT multiplies them by included."""
    from peft.tuners.lora import LoraLayer

    return {
        name: (
            layer.scaling["default"] * layer.lora_B["default"].weight.detach().float().clone(),
            layer.lora_A["default"].weight.detach().float().clone(),
        )
        for name, layer in adapted.named_modules()
        if isinstance(layer, LoraLayer)
    }
