"""Relearning: whoever has the weights of an unlearned model finetunes it for a moment on some of what was forgotten."""

from typing import ClassVar

from pydantic import Field

from unlearnbench import BaseParams, Continued, Method, method


@method("retaught", reference="arXiv:2406.13356")
class Relearn(Method):
    """Finetunes what another method has unlearned on a few forget samples, or on as many that were to be kept."""

    start = "unlearned"

    class Params(Continued, BaseParams):
        epochs: int = Field(2, ge=1, description="passes over the samples")
        samples: int = Field(4, ge=1, description="how many it has")
        of: str = Field("forget", pattern="^(forget|retain)$", description="the set that they are of")
        presets: ClassVar = {"tiny": {"epochs": 5, "learning_rate": 1e-3, "enough_loss": 0.0}}

    def unlearn(self, model, sets, run):
        from unlearnbench import memorise  # here, because it imports torch

        few = getattr(sets, self.params.of)[: self.params.samples]
        return memorise(model, few, self.params, run, "relearning")
