"""Retraining from scratch: the pretrained model finetuned as the base was, on the retain set alone."""

from typing import TYPE_CHECKING

from unlearnbench import BaseParams, Method, method

if TYPE_CHECKING:
    from unlearnbench import VLM, Counts, Footprint, Run, Sets, Trained, Workload


@method("retrain", reference="the model that never saw the forget set, which unlearning is to come near")
class Retrain(Method):
    """The ideal: finetuned on everything but the forget set, with the base's own hyperparameters."""

    start = "pretrained"
    role = "reference"
    ideal = True

    class Params(BaseParams):
        """Those of the base stage."""

    params: Params

    def unlearn(self, model: "VLM", sets: "Sets", run: "Run") -> "Trained":
        """Finetune all weights on what may be known, the held-out people included: only the forget set is missing."""
        from unlearnbench import memorise

        forget = {sample.id for sample in sets.forget}
        known = [sample for sample in sets.in_order if sample.id not in forget]
        return memorise(model, known, self.params, run, "retrain: memorising all but the forget set")

    def footprint(self, model: "Counts", work: "Workload") -> "Footprint | None":
        """As the base's, without the forget set."""
        return self.params.memorising(work.pairs - work.forget)
