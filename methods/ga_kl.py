"""Gradient ascent held by the base model's own predictions on the retain set (Yao et al. 2024, arXiv:2310.10683)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from unlearnbench import AscentParams, PairedMethod, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("ga-kl", reference="arXiv:2310.10683", version="2")
class GradientAscentKL(PairedMethod):
    """Gradient ascent on the forget set while the retain answers' distributions stay near the base's; stopped early."""

    class Params(AscentParams):
        """What weighs what."""

        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {
            "large/mllama": {"learning_rate": 6e-5},  # FIUBench's on Llama
            "tiny": {"epochs": 27, "learning_rate": 1e-3, "retain_weight": 10.0},
        }
        trials: ClassVar = {"tiny": 4}

    params: Params
    needs_reference = True

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """Minus the forget loss, plus KL(base || model) on the answer tokens of the retain batch."""
        retain = self.params.retain_weight * state.kl(batch.retain)
        return {"forget": -state.nll(batch.forget), "retain_kl": retain}
