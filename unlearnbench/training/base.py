"""Memorising: a pretrained model is finetuned until it knows people, as the base is and a retrained reference is.

And whether a base that was made elsewhere knows them.
"""

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor

from ..contracts.sample import Sample
from ..errors import UsageError
from ..models.asking.batch_size import FEW, Held
from ..models.contract.edits import Trained
from ..models.contract.vlm import VLM
from ..runtime.run import Run
from .adaptation import adapted
from .loop import Shuffled, fit
from .losses import answer_nll
from .params import BaseParams
from .seeing import see_all

AT_A_TIME = FEW
"""Answers that are looked at together, as many as questions are asked at first."""


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
            Shuffled(samples, params.batch_size, run.seed, attrgetter("images"), params.questions_per_picture),
            loss,
            params,
            run,
            what=what,
            enough=lambda means: means["answers"] < params.enough_loss,
            together=attrgetter("images"),
            epoch="one pass over all that is learned",
        )
    run.notes["training"] = outcome.note
    return trainee.edit()


@torch.no_grad()
def by_heart(model: VLM, samples: Sequence[Sample], run: Run) -> int:
    """Of how many samples ``model`` would give the true answer word for word: each token, the end's too, is likeliest.

    Pictures are looked at as they come, `AT_A_TIME` answers at once, and fewer where memory runs out.
    """

    def knows(part: Sequence[Sample]) -> list[bool]:
        batch = model.prepare(part, [sample.answer for sample in part])
        return [bool(facts.is_argmax.all()) for facts in model.answer_token_facts(batch)]

    known, in_memory = 0, Held(knows, model.device)
    with run.progress.bar("base: what it knows by heart", len(samples)) as bar:
        for start in range(0, len(samples), AT_A_TIME):
            part = samples[start : start + AT_A_TIME]
            known += sum(in_memory(part))
            bar.advance(len(part))
    return known
