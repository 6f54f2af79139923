"""Gradient difference from outside: ascend on the forget set, descend on the retain set (arXiv:2203.12817)."""

from typing import ClassVar

from pydantic import Field

from unlearnbench import Method, method
from unlearnbench.training.params import AscentParams


@method("my-ga-gd", reference="arXiv:2203.12817")
class MyGradientDifference(Method):
    """What `ga-gd` does, in a file of its own."""

    class Params(AscentParams):
        """Learning rate, epochs, adapter and early stopping come with AscentParams."""

        retain_weight: float = Field(1.0, ge=0, description="weight of the retain part")

        presets: ClassVar = {"tiny": {"epochs": 30, "learning_rate": 3e-3, "retain_weight": 10.0}}

    def unlearn(self, model, sets, run):
        """Train an adapter on pairs of a forget sample and a retain sample."""
        from unlearnbench.training.unlearning import unlearn  # here, because it imports torch

        def loss(state, batch):
            retain = self.params.retain_weight * state.nll(batch.retain)
            return {"forget": -state.nll(batch.forget), "retain": retain}

        return unlearn(model, sets, self.params, run, loss)
