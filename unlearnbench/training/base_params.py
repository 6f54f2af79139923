"""Hyperparameters of the base stage, apart from its code so that planning imports no torch."""

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from ..contracts.footprint import Footprint, Workload
from .params import FinetuneParams


class BaseParams(FinetuneParams):
    """Finetuning of language model and projector on all pairs; the vision tower stays frozen.

    Epochs, rate and weight decay are those of FIUBench's first stage, batch size and warm-up ours (docs/methods.md);
    tiny models need a higher rate and more epochs. With ``full=false`` an adapter is trained and merged into the
    weights, which fits where a full finetune does not.
    """

    epochs: int = Field(10, ge=1, description="most passes over all pairs")
    batch_size: int = Field(32, ge=1, description="samples a step")
    learning_rate: float = Field(2e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay")
    full: bool = Field(True, description="train all of language model and projector instead of an adapter")
    enough_loss: float = Field(0.0, ge=0, description="stop once an epoch's mean loss per token is below this")

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "tiny": {"epochs": 60, "learning_rate": 1.5e-3, "enough_loss": 0.03},
    }

    def footprint(self, work: Workload) -> Footprint:
        """Every pair once an epoch."""
        return replace(self.trained(self.epochs * work.pairs), instead="--base lora")
