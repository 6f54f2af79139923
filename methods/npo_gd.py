"""Negative preference optimisation, held by finetuning on the retain set (Zhang et al. 2024, arXiv:2404.05868)."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from unlearnbench import PairedMethod, UnlearnParams, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("npo-gd", reference="arXiv:2404.05868", version="2")
class NPO(PairedMethod):
    """Makes the true answers less likely than the base has them, ever more gently, and finetunes on retain samples."""

    class Params(UnlearnParams):
        """What weighs what."""

        beta: float = Field(
            0.1, gt=0, description="inverse temperature; towards 0 it becomes gradient ascent (paper: 0.1)"
        )
        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {"tiny": {"epochs": 27, "learning_rate": 3e-3, "beta": 0.3}}
        trials: ClassVar = {"tiny": 4}

    params: Params
    needs_reference = True

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """NPO on the forget answers with the base as reference, plus the retain loss."""
        from unlearnbench import npo

        forget = npo(state.log_probabilities(batch.forget), state.reference(batch.forget), self.params.beta)
        return {"forget": forget.mean(), "retain": self.params.retain_weight * state.nll(batch.retain)}
