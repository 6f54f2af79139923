"""Gradient difference on the projector: raise the loss on the forget set, keep it low on the retain set."""

import random
from typing import ClassVar

from pydantic import Field

from unlearnbench import Method, Shuffled, TrainParams, Weights, answer_nll, fit, method, project_once


@method("projector-ga", reference="arXiv:2402.15159")
class ProjectorGA(Method):
    """Ascends on forget answers and descends on as many retain answers; trains the projector's weights alone."""

    class Params(TrainParams):
        epochs: int = Field(5, ge=1, description="passes over the forget set")
        ceiling: float = Field(6.0, gt=0, description="nats per token from which a forget answer is let be")
        presets: ClassVar = {"tiny": {"batch_size": 16, "learning_rate": 1e-2}}

    def unlearn(self, model, sets, run):
        parameters, rng = model.projector_parameters(), random.Random(run.seed)

        def nll(samples):
            batch = model.prepare(samples, [sample.answer for sample in samples])
            return answer_nll(model.answer_log_probabilities(batch, project_once(model, batch)))

        def loss(forget):
            retain = rng.choices(sets.retain, k=len(forget))
            return {"forget": -nll(forget).clamp(max=self.params.ceiling).mean(), "retain": nll(retain).mean()}

        with model.training(parameters) as trained:
            fit(trained, Shuffled(sets.forget, self.params.batch_size, run.seed), loss, self.params, run)
        return Weights.of(parameters)
