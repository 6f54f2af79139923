"""NPO without a reference model, held by finetuning on the retain set (Fan et al. 2024, arXiv:2410.07163)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from unlearnbench import PairedMethod, UnlearnParams, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("simnpo-gd", reference="arXiv:2410.07163", version="2")
class SimNPO(PairedMethod):
    """Makes the true answers unlikely by their likelihood per token, and finetunes on retain samples."""

    class Params(UnlearnParams):
        """What weighs what."""

        beta: float = Field(
            2.5, gt=0, description="inverse temperature (authors' commands for TOFU: 2.5 and 4.5, by the split)"
        )
        gamma: float = Field(
            0.0, ge=0, description="margin by which an answer is to be unlikely, as in eq. 4 (authors' default: 0)"
        )
        forget_weight: float = Field(
            0.1375, gt=0, description="weight of the forget part (authors' commands for TOFU: 0.1375 and 0.125)"
        )
        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {"tiny": {"epochs": 27, "learning_rate": 3e-3, "forget_weight": 1.0}}
        trials: ClassVar = {"tiny": 4}

    params: Params

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """SimNPO on the forget answers, plus the retain loss."""
        from unlearnbench import simnpo

        forget = simnpo(state.log_probabilities(batch.forget), self.params.beta, self.params.gamma)
        return {
            "forget": self.params.forget_weight * forget.mean(),
            "retain": self.params.retain_weight * state.nll(batch.retain),
        }
