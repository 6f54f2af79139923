"""Memorising: a pretrained model is finetuned until it knows people. So the base is made, and a retrained reference."""

from collections.abc import Sequence

from torch import Tensor

from ..contracts.sample import Sample
from ..errors import UsageError
from ..models.contract.edits import Trained
from ..models.contract.vlm import VLM
from ..runtime.run import Run
from .adaptation import adapted
from .loop import Shuffled, fit
from .losses import answer_nll
from .params import BaseParams
from .seeing import see_all


def train_base(model: VLM, samples: Sequence[Sample], params: BaseParams, run: Run) -> Trained:
    """The base stage: `memorise` everybody."""
    return memorise(model, samples, params, run, "base: memorising all pairs")


def memorise(model: VLM, samples: Sequence[Sample], params: BaseParams, run: Run, what: str) -> Trained:
    """Finetune ``model`` in place on ``samples``; returns what changed. ``what`` names the work in progress bars."""
    if not samples:
        raise UsageError(
            f"{what}: there are no samples to learn; leave the method out, or let the task's sets have some"
        )
    see_all(model, (image for sample in samples for image in sample.images), run)
    with adapted(model, params, run.seed) as trainee:

        def loss(batch: list[Sample]) -> dict[str, Tensor]:
            prepared = model.prepare(batch, [sample.answer for sample in batch])
            return {"answers": answer_nll(trainee.log_probabilities(prepared)).mean()}

        outcome = fit(
            trainee.parameters,
            Shuffled(samples, params.batch_size, run.seed),
            loss,
            params,
            run,
            what=what,
            enough=lambda means: means["answers"] < params.enough_loss,
            together=lambda sample: sample.images,
            epoch="one pass over all that is learned",
        )
    run.notes["training"] = outcome.note
    return trainee.edit()
