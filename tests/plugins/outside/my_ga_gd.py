"""Gradient difference from outside: ascend on the forget set, descend on the retain set (arXiv:2203.12817)."""

from typing import ClassVar

from pydantic import Field

from unlearnbench import AscentParams, PairedMethod, method


@method("my-ga-gd", reference="arXiv:2203.12817")
class MyGradientDifference(PairedMethod):
    """What `ga-gd` does, in a file of its own: an adapter is trained on pairs of a forget and a retain sample."""

    class Params(AscentParams):
        """Learning rate, epochs, adapter and early stopping come with AscentParams."""

        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {"tiny": {"epochs": 27, "learning_rate": 1e-3, "retain_weight": 10.0}}

    def loss(self, state, batch):
        """Minus the forget loss, plus the retain loss."""
        retain = self.params.retain_weight * state.nll(batch.retain)
        return {"forget": -state.nll(batch.forget), "retain": retain}
