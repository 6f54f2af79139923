"""Finetuning on the retain set alone, in the hope that what is not repeated fades."""

from pydantic import Field

from unlearnbench import Method, Shuffled, TrainParams, Weights, answer_nll, fit, project_once


class RetainOnly(Method):
    """Trains the projector on everybody's answers but the private ones of those who are to be forgotten."""

    name = "retain-only"
    reference = "a common baseline"

    class Params(TrainParams):
        epochs: int = Field(1, ge=1, description="passes over the retain set")
        batch_size: int = Field(60, ge=1, description="samples a step")

    def unlearn(self, model, sets, run):
        def loss(batch):
            prepared = model.prepare(batch, [sample.answer for sample in batch])
            return {
                "retain": answer_nll(model.answer_log_probabilities(prepared, project_once(model, prepared))).mean()
            }

        with model.training(model.projector_parameters()) as trained:
            fit(trained, Shuffled(sets.retain, self.params.batch_size, run.seed), loss, self.params, run)
        return Weights.of(model.projector_parameters())
