"""Gradient difference: ascend on the forget set, descend on the retain set (Liu et al. 2022, arXiv:2203.12817)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from unlearnbench import AscentParams, PairedMethod, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("ga-gd", reference="arXiv:2203.12817", version="2")
class GradientDifference(PairedMethod):
    """Gradient ascent on the forget set, held by finetuning on as many retain samples; stopped early."""

    class Params(AscentParams):
        """What weighs what."""

        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {
            "large/mllama": {"learning_rate": 2e-5},  # FIUBench's on Llama
            "tiny": {"epochs": 27, "learning_rate": 1e-3, "retain_weight": 10.0},
        }
        trials: ClassVar = {"tiny": 4}

    params: Params

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """Minus the forget loss, plus the retain loss."""
        retain = self.params.retain_weight * state.nll(batch.retain)
        return {"forget": -state.nll(batch.forget), "retain": retain}
