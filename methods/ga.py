"""Gradient ascent: raise the loss on the forget set until a bound stops it (Yao et al. 2024, arXiv:2310.10683)."""

from typing import TYPE_CHECKING, ClassVar

from unlearnbench import AscentParams, PairedMethod, method

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench import Pairs, Unlearning


@method("ga", reference="arXiv:2310.10683", version="2")
class GradientAscent(PairedMethod):
    """Ascends on the true answers of the forget set; nothing holds the rest of the model, so it is stopped early."""

    class Params(AscentParams):
        """Nothing of its own."""

        presets: ClassVar = {"tiny": {"epochs": 53, "learning_rate": 3e-3, "stop.forget_ratio": 0.5}}
        trials: ClassVar = {"tiny": 4}

    params: Params

    def loss(self, state: "Unlearning", batch: "Pairs") -> "dict[str, Tensor]":
        """Minus the loss that finetuning would descend."""
        return {"forget": -state.nll(batch.forget)}
