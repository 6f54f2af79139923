"""What a model that never saw somebody would lose on the true answers about them: an estimate without retraining.

It is the starting model's own loss on strangers, people of the same kind of whom no model ever learns anything. No
method sees them: it gets the sets without them, and a number.
"""

import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from ...contracts.sample import Sample, Sets
from ...models.contract.vlm import VLM
from ...runtime.run import Run, Unseen
from ..losses import answer_nll
from .bounds import spread

AT_A_TIME = 16
"""Questions that are weighed together."""


def within_reach(sets: Sets, model: VLM, run: Run, *, ideal: bool = False) -> Sets:
    """The sets that a method gets; ``run`` is told what it may know of the others, and keeps no model in memory.

    Those are without people whom only a score may rest on. An ``ideal`` reference (`Method.ideal`) gets the people held
    out nevertheless: it is the base that never saw the forget set, and the base learns them.
    """
    alive = weakref.ref(model)

    def unseen(most: int) -> Unseen | None:
        found = alive()
        assert found is not None  # whoever asks has it
        return unseen_loss(found, sets, most)

    run.set_of, run.unseen = sets.set_of, unseen
    return replace(sets, held_out=sets.held_out if ideal else (), strangers=(), acquaintances=())


def unseen_loss(model: VLM, sets: Sets, most: int) -> Unseen | None:
    """The mean loss per token of ``model`` as it is on strangers' questions; None without strangers to ask about.

    Only kinds of questions (their tags) that are to be forgotten count, each with its share of the forget set; at most
    so many questions are asked (one at least of each kind), evenly spaced over the people.
    """
    wanted = Counter(sample.tags for sample in sets.forget)
    asked, total, weight = list[Sample](), 0.0, 0.0
    for tags, number in sorted(wanted.items()):
        share = number / len(sets.forget)
        own = spread([s for s in sets.bounding if s.tags == tags], max(1, int(most * share)))
        if own:
            total, weight = total + share * _mean_loss(model, own), weight + share
            asked += own
    if not asked:
        return None
    return Unseen(total / weight, len({sample.cluster for sample in asked}), len(asked))


@torch.no_grad()
def _mean_loss(model: VLM, samples: Sequence[Sample]) -> float:
    """The mean over samples of the loss per token of their true answers, dropout off."""
    training, losses = model.model.training, list[torch.Tensor]()
    model.model.eval()
    try:
        for start in range(0, len(samples), AT_A_TIME):
            part = samples[start : start + AT_A_TIME]
            batch = model.prepare(part, [sample.answer for sample in part])
            losses.append(answer_nll(model.answer_log_probabilities(batch)))
    finally:
        model.model.train(training)
    return float(torch.cat(losses).mean())
