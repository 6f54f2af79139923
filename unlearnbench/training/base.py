"""The base stage: a pretrained model is finetuned until it has memorised the people it will be asked to forget."""

from collections.abc import Sequence
from typing import Any

from ..data.questions import Sample
from ..models.edits import Weights
from ..models.vlm import VLM, Batch
from .base_params import BaseParams
from .loop import Shuffled, fit
from .losses import answer_nll
from .run import Run


def train_base(model: VLM, samples: Sequence[Sample], params: BaseParams, run: Run) -> Weights:
    """Finetune ``model`` in place on ``samples``; returns the weights that changed."""
    parameters = {**model.language_parameters(), **model.projector_parameters()}

    def loss(batch: list[Sample]) -> dict[str, Any]:
        prepared = model.prepare(batch, [sample.answer for sample in batch])
        visual = project_once(model, prepared)
        return {"answers": answer_nll(model.answer_log_probabilities(prepared, visual)).mean()}

    with model.training(parameters) as trained:
        outcome = fit(
            trained,
            Shuffled(samples, params.batch_size, run.seed),
            loss,
            params,
            run,
            what="base: memorising all pairs",
            enough=lambda means: means["answers"] < params.enough_loss,
        )
    run.notes["base"] = {"epochs": outcome.epochs, "stopped": outcome.stopped, **outcome.losses}
    return Weights.of(parameters)


def project_once(model: VLM, batch: Batch) -> list[Any]:
    """Visual tokens of a batch with gradients into the projector, each distinct picture projected once."""
    projected = {id(picture): model.project(picture) for picture in batch.pictures}
    return [projected[id(picture)] for picture in batch.pictures]
