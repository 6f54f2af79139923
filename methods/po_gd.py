"""Preference optimisation: refuse the forget set, finetune on the retain set (Maini et al. 2024, arXiv:2401.06121)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from unlearnbench import REFUSALS, PairedMethod, Refusals, UnlearnParams, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("po-gd", reference="arXiv:2401.06121", version="2")
class PreferenceOptimisation(PairedMethod):
    """Finetuning on a refusal for each forget question and on as many retain answers: "PO" in FIUBench and TOFU."""

    class Params(UnlearnParams):
        """What weighs what."""

        refusals: Refusals = Field(REFUSALS, description="answers taught for private questions, one drawn for each")
        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {
            "large": {"learning_rate": 3e-4},  # FIUBench's for PO, on both of its models
            "tiny": {"epochs": 27, "learning_rate": 1e-3, "retain_weight": 3.0},
        }
        trials: ClassVar = {"tiny": 4}

    params: Params

    @property
    def refusals(self) -> tuple[str, ...]:
        """Those of the parameters."""
        return self.params.refusals

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """The loss of each sample's refusal, plus the retain loss."""
        retain = self.params.retain_weight * state.nll(batch.retain)
        return {"refuse": state.nll(batch.forget, batch.refusals), "retain": retain}
